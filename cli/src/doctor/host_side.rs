//! Checks that need the host alone.

use serde_json::Value;
use tenet_install::bootstrap::{SERVICE_CIDR, outside};
use tenet_install::names;
use time::OffsetDateTime;

use super::Target;
use super::finding::Finding;
use crate::certs::Certificate;
use crate::create::{OLDEST_HOST, is_ours, minor, pod_state, text};
use crate::pod::containers;
use crate::verdict::Verdict;

pub(super) const SERVICE_RANGE: &str = "service range";
pub(super) const CERTIFICATES: &str = "certificates";

/// Checks the version of the host.
pub(super) fn version(version: &Value) -> Finding {
    let shown = text(&version["gitVersion"]);
    match minor(version) {
        Some(minor) if minor < OLDEST_HOST => {
            Finding::fail("host version", shown, format!("Kubernetes 1.{OLDEST_HOST} or later is needed"))
        }
        _ => Finding::ok("host version", shown),
    }
}

/// Checks that the namespace stays; it is null if it does not exist.
pub(super) fn namespace(name: &str, found: &Value) -> Finding {
    let check = "host namespace";
    if found.is_null() {
        return Finding::fail(check, format!("{name} does not exist"), "tenet list -A");
    }
    if !found["metadata"]["deletionTimestamp"].is_null() {
        let help = format!("kubectl get namespace {name} -o yaml shows what holds it");
        return Finding::fail(check, format!("{name} is being deleted"), help);
    }
    Finding::ok(check, name)
}

/// Checks the pod of the control plane, and the syncer in it.
pub(super) fn control_plane(target: &Target, set: &Value, pod: &Value) -> Vec<Finding> {
    let (name, check) = (&target.name, "control plane");
    if set.is_null() {
        let detail = format!("there is no virtual cluster {name} in namespace {}", target.host.namespace);
        return vec![Finding::fail(check, detail, target.command("create", ""))];
    }
    if !is_ours(set, name) {
        let detail = format!("StatefulSet {name} is no virtual cluster");
        return vec![Finding::fail(check, detail, "choose another name")];
    }
    if set["spec"]["replicas"] == 0 {
        return vec![Finding::fail(check, "it is paused", target.command("resume", ""))];
    }
    let (statuses, pod_name) = (statuses(pod), names::pod(name));
    let is_syncer = |status: &&&Value| status["name"] == "syncer";
    let others_ready =
        !statuses.is_empty() && statuses.iter().filter(|it| !is_syncer(it)).all(|it| it["ready"] == true);
    let mut findings = Vec::new();
    if others_ready {
        findings
            .push(restarts(target, &statuses).unwrap_or_else(|| Finding::ok(check, format!("pod {pod_name} runs"))));
    } else {
        let help = format!("kubectl describe pod {pod_name} -n {}", target.host.namespace);
        findings.push(Finding::fail(check, format!("pod {pod_name}: {}", pod_state(pod)), help));
    }
    // Its readiness probe asks /readyz every two seconds.
    let is_ready = statuses.iter().find(is_syncer).is_some_and(|status| status["ready"] == true);
    findings.push(if is_ready {
        Finding::ok("syncer", "/readyz says ok")
    } else {
        Finding::fail("syncer", "/readyz does not say ok", target.command("logs", "--tail 50"))
    });
    findings
}

/// Returns the states of the containers, without those that have done their work.
fn statuses(pod: &Value) -> Vec<&Value> {
    containers(pod).filter(|status| status["state"]["terminated"]["exitCode"] != 0).collect()
}

/// Warns about containers that have crashed.
fn restarts(target: &Target, statuses: &[&Value]) -> Option<Finding> {
    let count = |status: &Value| status["restartCount"].as_u64().unwrap_or(0);
    let worst = statuses.iter().copied().max_by_key(|status| count(status)).filter(|status| count(status) > 0)?;
    let container = text(&worst["name"]);
    let detail = format!("{container} was restarted {} time(s)", count(worst));
    Some(Finding::warn("control plane", detail, target.command("logs", &format!("-c {container} --previous"))))
}

/// Checks that the range of the virtual API server holds the addresses that the host gives.
pub(super) fn service_range(target: &Target, service: &Value, range: &str) -> Finding {
    let check = SERVICE_RANGE;
    if range.is_empty() {
        let detail = format!("Secret {} holds no range", names::certificates(&target.name));
        return Finding::fail(check, detail, target.command("logs", "-c bootstrap"));
    }
    match outside(range, &service["spec"]) {
        Some(address) => Finding::fail(
            check,
            format!("{range} does not hold {address}, the address of host Service {}", target.name),
            format!(
                "delete the key \"{}\" of Secret {} and the pod {}: the range is then learnt anew",
                SERVICE_CIDR,
                names::certificates(&target.name),
                names::pod(&target.name)
            ),
        ),
        None if service.is_null() => Finding::fail(
            check,
            format!("host Service {} does not exist", target.name),
            target.command("create", "--upgrade"),
        ),
        None => Finding::ok(check, range),
    }
}

/// Reports the certificate that ends first.
pub(super) fn certificates(target: &Target, all: &[Certificate], now: OffsetDateTime) -> Finding {
    let check = CERTIFICATES;
    let help = target.command("certs check", "");
    if let Some(unreadable) = all.iter().find(|certificate| certificate.end.is_none()) {
        return Finding::fail(check, format!("{}: cannot be read", unreadable.name), help);
    }
    let of = |verdict| all.iter().filter(move |certificate| certificate.verdict(now) == verdict);
    let told = |certificate: &Certificate| {
        let date = certificate.end.map(|end| end.date().to_string()).unwrap_or_default();
        format!("{} ends on {date}", certificate.name)
    };
    if let Some(ended) = of(Verdict::Fail).min_by_key(|certificate| certificate.end) {
        return Finding::fail(check, told(ended), help);
    }
    if let Some(old) = of(Verdict::Warn).min_by_key(|certificate| certificate.end) {
        return Finding::warn(check, told(old), help);
    }
    let first = all.iter().min_by_key(|certificate| certificate.end);
    Finding::ok(check, first.map(told).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenet_install::names::{INSTANCE, PART, PART_OF};

    use super::*;
    use crate::doctor::tests::target;

    #[test]
    fn an_old_host_fails() {
        assert_eq!(version(&json!({"minor": "28", "gitVersion": "v1.28.3"})).verdict, Verdict::Fail);
        assert_eq!(version(&json!({"minor": "30+", "gitVersion": "v1.30.1-gke"})).verdict, Verdict::Ok);
    }

    #[tokio::test]
    async fn the_pod_of_the_control_plane_says_what_is_in_the_way() {
        let target = target();
        let set = json!({"metadata": {"labels": {INSTANCE: "vc-1", PART_OF: PART}}, "spec": {"replicas": 1}});
        let container = |name: &str, ready: bool, restarts: u32| json!({"name": name, "ready": ready, "restartCount": restarts, "state": {"running": {}}});
        let pod = |containers: &[Value]| json!({"metadata": {}, "status": {"containerStatuses": containers}});
        let verdicts = |set: &Value, pod: &Value| -> Vec<String> {
            control_plane(&target, set, pod).iter().map(|it| format!("{} {}", it.verdict.as_str(), it.help)).collect()
        };
        let good = pod(&[container("kine", true, 0), container("syncer", true, 0)]);
        assert_eq!(verdicts(&set, &good), ["ok ", "ok "]);
        let crashed = pod(&[container("kine", true, 2), container("syncer", false, 0)]);
        assert_eq!(
            verdicts(&set, &crashed),
            ["warn tenet logs vc-1 -n team-a -c kine --previous", "fail tenet logs vc-1 -n team-a --tail 50"]
        );
        assert_eq!(verdicts(&Value::Null, &Value::Null), ["fail tenet create vc-1 -n team-a"]);
        let mut paused = set;
        paused["spec"]["replicas"] = json!(0);
        assert_eq!(verdicts(&paused, &Value::Null), ["fail tenet resume vc-1 -n team-a"]);
    }

    #[tokio::test]
    async fn a_range_without_the_address_of_the_service_fails() {
        let (target, service) = (target(), json!({"spec": {"clusterIPs": ["10.96.0.7"]}}));
        for (range, verdict) in [("10.96.0.0/16", Verdict::Ok), ("10.97.0.0/16", Verdict::Fail), ("", Verdict::Fail)] {
            assert_eq!(service_range(&target, &service, range).verdict, verdict, "{range}");
        }
        assert_eq!(service_range(&target, &Value::Null, "10.96.0.0/16").verdict, Verdict::Fail);
    }
}

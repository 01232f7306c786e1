//! Checks that need the virtual cluster, too.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_install::api::Api;
use tenet_translate::own_objects::{CLAIM_NAMESPACE, VIRTUAL_CLAIM, WEBHOOK};

use super::Target;
use super::finding::Finding;
use crate::create::{minor, text};
use crate::inside::Inside;

/// Difference of minor versions from which objects may have fields that the other side does not know.
const SKEW: u32 = 3;

/// Checks all that needs both sides: the versions, the claim, DNS, and the webhook. Of the host it takes the version,
/// the namespace, which is null without the right to read it, and the half of the claim.
pub(super) async fn check(
    target: &Target,
    inside: Result<Inside>,
    host: &Value,
    namespace: &Value,
    claim: &Value,
) -> Vec<Finding> {
    let reached = async {
        let inside = inside?;
        let version = inside.api.get("/version").await?.unwrap_or_default();
        Ok::<_, anyhow::Error>((inside, version))
    };
    match reached.await {
        Ok((inside, found)) => {
            let api = &inside.api;
            let (claim, dns, webhook) =
                tokio::join!(halves(target, api, namespace, claim), dns(target, api), webhook(target, api));
            vec![
                versions(host, &found),
                Finding::or_unchecked("claim", claim),
                Finding::or_unchecked("DNS", dns),
                Finding::or_unchecked("webhook", webhook),
            ]
        }
        Err(error) => {
            let mut findings = vec![Finding::fail(
                "virtual API server",
                format!("{error:#}"),
                target.command("logs", "-c api --tail 50"),
            )];
            let unchecked = |check| Finding::warn(check, "not checked, as the virtual API server does not answer", "");
            findings.extend(["claim", "DNS", "webhook"].map(unchecked));
            findings
        }
    }
}

fn versions(host: &Value, virt: &Value) -> Finding {
    let (check, shown) = ("virtual API server", text(&virt["gitVersion"]));
    match (minor(host), minor(virt)) {
        (Some(host), Some(virt)) if host.abs_diff(virt) > SKEW => {
            let detail = format!("{shown} is {} minor versions away from the host", host.abs_diff(virt));
            Finding::warn(check, detail, "tenet create NAME --upgrade --set version=VERSION changes it")
        }
        _ => Finding::ok(check, shown),
    }
}

async fn halves(target: &Target, api: &Api, namespace: &Value, host: &Value) -> Result<Finding> {
    let path = format!("/api/v1/namespaces/{CLAIM_NAMESPACE}/configmaps/{VIRTUAL_CLAIM}");
    let virt = api.get(&path).await.context("cannot read the virtual half")?.unwrap_or_default();
    let system = api.get(&format!("/api/v1/namespaces/{CLAIM_NAMESPACE}")).await?.unwrap_or_default();
    Ok(agreement(target, host, &virt, [namespace, &system]))
}

/// Compares the halves of the claim with each other, and with the namespaces that they name. The UID of a namespace
/// that may not be read is not compared.
fn agreement(target: &Target, host: &Value, virt: &Value, namespaces: [&Value; 2]) -> Finding {
    let (check, help) = ("claim", target.command("logs", "--tail 50"));
    let missing = [("host", host), ("virtual", virt)].into_iter().find(|(_, half)| half["data"].is_null());
    if let Some((side, _)) = missing {
        return Finding::fail(check, format!("the half on the {side} side is missing, so nothing is written"), help);
    }
    for field in ["name", "hostNamespace", "hostNamespaceUID", "virtualClusterUID", "names"] {
        if host["data"][field] != virt["data"][field] {
            return Finding::fail(check, format!("the two halves differ in {field}, so nothing is written"), help);
        }
    }
    for (field, namespace) in ["hostNamespaceUID", "virtualClusterUID"].into_iter().zip(namespaces) {
        let uid = &namespace["metadata"]["uid"];
        if !uid.is_null() && host["data"][field] != *uid {
            let detail = format!("{field} is not the UID of namespace {}", text(&namespace["metadata"]["name"]));
            return Finding::fail(check, format!("{detail}, so nothing is written"), help);
        }
    }
    if host["data"]["epoch"] != virt["data"]["epoch"] {
        return Finding::warn(
            check,
            "the two halves differ in epoch: a store was restored, or a start is under way",
            help,
        );
    }
    Finding::ok(check, "both halves agree")
}

async fn dns(target: &Target, api: &Api) -> Result<Finding> {
    let service = api.get("/api/v1/namespaces/kube-system/services/kube-dns").await?;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
    let slices = api.list(&format!("{slices}?labelSelector=kubernetes.io%2Fservice-name%3Dkube-dns")).await?;
    Ok(nameservers(target, service.as_ref(), &slices))
}

fn nameservers(target: &Target, service: Option<&Value>, slices: &[Value]) -> Finding {
    let check = "DNS";
    let Some(service) = service else {
        let help = "coredns: {enabled: true} in syncer.config deploys one, unless the tenant does";
        return Finding::warn(check, "there is no Service kube-system/kube-dns inside", help);
    };
    let endpoints = slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false).count();
    if ready == 0 {
        let place = format!("--cluster {} --host-namespace {}", target.name, target.host.namespace);
        let help = format!("tenet why deployment/coredns -n kube-system {place}");
        return Finding::fail(check, "no endpoint of Service kube-system/kube-dns is ready", help);
    }
    Finding::ok(check, format!("{} has {ready} endpoint(s)", text(&service["spec"]["clusterIP"])))
}

/// Lets the virtual API server ask the webhook, by a dry run.
async fn webhook(target: &Target, api: &Api) -> Result<Finding> {
    let check = "webhook";
    let path = format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{WEBHOOK}");
    let help = target.command("logs", "--tail 50");
    if api.get(&path).await?.is_none() {
        let detail = "it is not registered: Services may show an address of their own for a moment";
        return Ok(Finding::warn(check, detail, help));
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"generateName": "tenet-doctor-"},
        "spec": {"ports": [{"port": 443}]},
    });
    match api.create("/api/v1/namespaces/default/services?dryRun=All", &service).await {
        Ok(_) => Ok(Finding::ok(check, "the virtual API server reaches it")),
        Err(error) => Ok(Finding::fail(check, format!("no Service can be created inside: {error}"), help)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::target;
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn a_claim_that_does_not_agree_says_where() {
        let target = target();
        let half = |name: &str, epoch: &str| {
            json!({"data": {
                "name": name, "hostNamespace": "team-a", "hostNamespaceUID": "h", "virtualClusterUID": "v",
                "names": "tenet/1", "epoch": epoch,
            }})
        };
        let namespace = |uid: &str| json!({"metadata": {"name": "x", "uid": uid}});
        let (h, v) = (namespace("h"), namespace("v"));
        for (host, virt, namespaces, verdict, words) in [
            (half("vc-1", "3"), half("vc-1", "3"), [&h, &v], Verdict::Ok, "agree"),
            (half("vc-1", "3"), half("vc-1", "3"), [&Value::Null, &v], Verdict::Ok, "agree"),
            (Value::Null, half("vc-1", "3"), [&h, &v], Verdict::Fail, "host side is missing"),
            (half("vc-1", "3"), Value::Null, [&h, &v], Verdict::Fail, "virtual side is missing"),
            (half("vc-1", "3"), half("vc-2", "3"), [&h, &v], Verdict::Fail, "differ in name"),
            (half("vc-1", "3"), half("vc-1", "3"), [&h, &h], Verdict::Fail, "virtualClusterUID is not the UID"),
            (half("vc-1", "3"), half("vc-1", "2"), [&h, &v], Verdict::Warn, "differ in epoch"),
        ] {
            let found = agreement(&target, &host, &virt, namespaces);
            assert!(found.verdict == verdict && found.detail.contains(words), "{words}: {found}");
        }
    }

    #[tokio::test]
    async fn a_nameserver_without_a_ready_endpoint_fails() {
        let (target, service) = (target(), json!({"spec": {"clusterIP": "10.96.0.10"}}));
        let slice = |ready: bool| json!({"endpoints": [{"conditions": {"ready": ready}}]});
        assert_eq!(nameservers(&target, None, &[]).verdict, Verdict::Warn);
        assert_eq!(nameservers(&target, Some(&service), &[slice(false)]).verdict, Verdict::Fail);
        let found = nameservers(&target, Some(&service), &[slice(true), slice(false)]);
        assert_eq!((found.verdict, found.detail.as_str()), (Verdict::Ok, "10.96.0.10 has 1 endpoint(s)"));
    }

    #[test]
    fn versions_that_are_far_apart_are_told() {
        let version = |minor: &str| json!({"minor": minor, "gitVersion": format!("v1.{minor}.0")});
        assert_eq!(versions(&version("37"), &version("34")).verdict, Verdict::Ok);
        assert_eq!(versions(&version("37"), &version("33")).verdict, Verdict::Warn);
    }
}

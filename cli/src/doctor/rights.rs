//! Rights of the syncer on the host: in its own namespace, and in those whose Services it shows.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;
use tenet_install::names;
use tenet_install::objects::Rights;
use tenet_translate::own_objects;

use super::finding::Finding;
use super::{Target, namespace};
use crate::access::{Ask, Who, asks_of, granted, manifest, missing, rules_of};
use crate::host::Host;

pub(super) const CHECK: &str = "rights of the syncer";
pub(super) const ELSEWHERE: &str = "rights elsewhere";

/// Compares what the syncer needs with what it may do. A syncer that is ready works without the rest.
pub(super) async fn check(target: &Target, needed: &Rights, is_ready: bool) -> Result<Finding> {
    let Target { workloads, name, .. } = target;
    let asks = asks_of(needed.rules());
    let count = asks.len();
    let lacking = lacking(target, &workloads.namespace, asks, async || {
        granted(workloads, name).await.context("cannot read the Role of the syncer")
    });
    Ok(told(target, &lacking.await?, count, is_ready))
}

/// Compares what the syncer needs in a namespace of others with what it may do there. It works without.
pub(super) async fn check_elsewhere(target: &Target, namespace: &str, rules: &[Value]) -> Result<Finding> {
    let there = target.host.in_namespace(namespace);
    let is_absent = self::namespace(&there).await?.is_some_and(|found| found.is_null());
    let role = own_objects::host_cluster_role(&target.workloads.namespace, &target.name);
    let asks = asks_of(rules);
    let count = asks.len();
    let lacking = lacking(target, namespace, asks, async || {
        rules_of(&there, &role).await.with_context(|| format!("cannot read Role {role} in namespace {namespace}"))
    });
    Ok(told_elsewhere(target, namespace, is_absent, &lacking.await?, count))
}

/// Returns the rights that the syncer lacks in a namespace. A user who may not ask about others may still read the Role,
/// of which `granted` returns the rules.
async fn lacking(
    target: &Target,
    namespace: &str,
    asks: BTreeSet<Ask>,
    granted: impl AsyncFnOnce() -> Result<Option<Vec<Value>>>,
) -> Result<Vec<Ask>> {
    let Host { api, namespace: home } = &target.host;
    let account = names::account(&target.name);
    match missing(api, namespace, asks.clone(), Who::Account { namespace: home, name: &account }).await {
        Err(error) if error.code() == Some(403) => {
            let granted = asks_of(&granted().await?.unwrap_or_default());
            Ok(asks.into_iter().filter(|ask| !granted.contains(ask)).collect())
        }
        other => other.context("cannot ask for the rights of the syncer"),
    }
}

fn told_elsewhere(target: &Target, namespace: &str, is_absent: bool, lacking: &[Ask], count: usize) -> Finding {
    let Some(first) = lacking.first() else {
        return Finding::ok(ELSEWHERE, format!("{count} rights in namespace {namespace}"));
    };
    let upgrade = format!("{} with the same values", target.command("create", "--upgrade"));
    if is_absent {
        let detail =
            format!("namespace {namespace} does not exist: its Services of replicateServices.fromHost are not shown");
        return Finding::warn(ELSEWHERE, detail, format!("kubectl create namespace {namespace}\n{upgrade}"));
    }
    let detail = format!(
        "{} of {count} are missing in namespace {namespace}, such as {} {}: its Services of replicateServices.fromHost \
         are not shown",
        lacking.len(),
        first.verb,
        first.resource
    );
    let (home, account) = (&target.host.namespace, names::account(&target.name));
    let role = format!("{}-more", own_objects::host_cluster_role(&target.workloads.namespace, &target.name));
    let help = format!(
        "{upgrade}\nor kubectl apply this and bind it: kubectl create rolebinding {role} -n {namespace} --role={role} \
         --serviceaccount={home}:{account}\n{}",
        manifest(&role, namespace, lacking)
    );
    Finding::warn(ELSEWHERE, detail, help)
}

fn told(target: &Target, lacking: &[Ask], count: usize, is_ready: bool) -> Finding {
    let Some(first) = lacking.first() else { return Finding::ok(CHECK, format!("{count} rights")) };
    let detail = format!("{} of {count} are missing, such as {} {}", lacking.len(), first.verb, first.resource);
    let role =
        manifest(&format!("{}-more", own_objects::host_role(&target.name)), &target.workloads.namespace, lacking);
    let help = format!(
        "{}\nor grant this to ServiceAccount {}/{}:\n{role}",
        target.command("create", "--upgrade"),
        target.host.namespace,
        names::account(&target.name)
    );
    if is_ready { Finding::warn(CHECK, detail, help) } else { Finding::fail(CHECK, detail, help) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::target;
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn a_missing_right_fails_unless_the_syncer_is_ready_without_it() {
        let ask = Ask {
            group: String::new(),
            resource: "pods/resize".to_owned(),
            verb: "patch".to_owned(),
            is_namespaced: true,
        };
        let target = target();
        assert_eq!(told(&target, &[], 70, false).verdict, Verdict::Ok);
        let lacking = [ask];
        let found = told(&target, &lacking, 70, true);
        assert_eq!(
            (found.verdict, found.detail.as_str()),
            (Verdict::Warn, "1 of 70 are missing, such as patch pods/resize")
        );
        assert!(
            found.help.contains("ServiceAccount team-a/vc-vc-1:\n") && found.help.contains("pods/resize"),
            "{found}"
        );
        assert_eq!(told(&target, &lacking, 70, false).verdict, Verdict::Fail);
    }

    #[tokio::test]
    async fn a_missing_right_in_another_namespace_is_told_with_what_grants_it() {
        let target = target();
        let ask = |resource: &str| Ask {
            group: String::new(),
            resource: resource.to_owned(),
            verb: "list".to_owned(),
            is_namespaced: true,
        };
        let told = |is_absent, lacking: &[Ask]| told_elsewhere(&target, "shared", is_absent, lacking, 6);
        assert_eq!(told(false, &[]), Finding::ok(ELSEWHERE, "6 rights in namespace shared"));
        let found = told(false, &[ask("services")]);
        assert_eq!(
            (found.verdict, found.detail.as_str()),
            (
                Verdict::Warn,
                "1 of 6 are missing in namespace shared, such as list services: its Services of \
                 replicateServices.fromHost are not shown"
            )
        );
        for part in [
            "tenet create vc-1 -n team-a --upgrade",
            "kubectl create rolebinding tenet-syncer:team-a:vc-1-more -n shared --role=tenet-syncer:team-a:vc-1-more \
             --serviceaccount=team-a:vc-vc-1",
            "namespace: shared",
        ] {
            assert!(found.help.contains(part), "{part}: {found}");
        }
        let absent = told(true, &[ask("services")]);
        let help = "kubectl create namespace shared\ntenet create vc-1 -n team-a --upgrade with the same values";
        assert_eq!((absent.verdict, absent.help.as_str()), (Verdict::Warn, help));
    }
}

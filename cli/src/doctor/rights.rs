//! Rights of the syncer on the host namespace.

use anyhow::{Context, Result};
use tenet_install::names;
use tenet_install::objects::Rights;
use tenet_translate::own_objects;

use super::Target;
use super::finding::Finding;
use crate::access::{Ask, Who, asks_of, granted, manifest, missing};

pub(super) const CHECK: &str = "rights of the syncer";

/// Compares what the syncer needs with what it may do. A syncer that is ready works without the rest.
pub(super) async fn check(target: &Target, needed: &Rights, is_ready: bool) -> Result<Finding> {
    let Target { host, workloads, name } = target;
    let (asks, account) = (asks_of(needed.rules()), names::account(name));
    let account = Who::Account { namespace: &host.namespace, name: &account };
    let count = asks.len();
    let lacking = match missing(&host.api, &workloads.namespace, asks.clone(), account).await {
        // A user who may not ask about others may still read the Role.
        Err(error) if error.code() == Some(403) => {
            let rules =
                granted(workloads, name).await.context("cannot read the Role of the syncer")?.unwrap_or_default();
            let granted = asks_of(&rules);
            asks.into_iter().filter(|ask| !granted.contains(ask)).collect()
        }
        other => other.context("cannot ask for the rights of the syncer")?,
    };
    Ok(told(target, &lacking, count, is_ready))
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
}

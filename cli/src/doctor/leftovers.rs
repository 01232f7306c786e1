//! Objects on the host of a virtual cluster that is gone, or of an earlier one of the same name.

use anyhow::Result;
use serde_json::Value;

use super::Target;
use super::finding::Finding;
use crate::RightsOf;
use crate::delete::leftovers::{Found, Places};

pub(super) const CHECK: &str = "leftover objects";

/// Looks for objects that no syncer takes care of. The half of the claim names the virtual cluster that may have some.
pub(super) async fn check(target: &Target, claim: &Value, rights_of: RightsOf) -> Result<Finding> {
    let Target { host, workloads, name } = target;
    let all = Places::of(host, workloads, name, rights_of).await?.all(&host.api).await?;
    let is_installed = all.iter().any(Found::is_control_plane);
    Ok(told(target, &all, is_installed, claim["data"]["virtualClusterUID"].as_str()))
}

fn told(target: &Target, all: &[Found], is_installed: bool, cluster: Option<&str>) -> Finding {
    let is_left = |found: &&Found| match (&found.cluster, cluster) {
        _ if !is_installed => true,
        (Some(of), Some(cluster)) => of != cluster,
        _ => false,
    };
    let left: Vec<&Found> = all.iter().filter(is_left).collect();
    let Some(first) = left.first() else { return Finding::ok(CHECK, "none") };
    if is_installed {
        let detail = format!("{} of an earlier virtual cluster of this name, such as {first}", left.len());
        let help =
            format!("kubectl get {first} -n {} -o yaml; delete them if nobody needs them", target.host.namespace);
        return Finding::warn(CHECK, detail, help);
    }
    Finding::warn(CHECK, format!("{}, such as {first}", left.len()), target.command("delete", ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenet_translate::keys::{CLUSTER, MANAGED_BY};

    use super::*;
    use crate::doctor::tests::target;
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn copies_of_another_cluster_of_the_same_name_are_left_over() {
        let (target, places) = (target(), Places::empty("vc-1"));
        let copy = |cluster: &str| {
            let metadata = json!({"name": "a", "labels": {MANAGED_BY: "vc-1"}, "annotations": {CLUSTER: cluster}});
            places.found("pods", String::new(), &json!({"metadata": metadata}))
        };
        let all = [copy("now"), copy("before")];
        let found = told(&target, &all, true, Some("now"));
        assert_eq!(
            (found.verdict, found.detail.as_str()),
            (Verdict::Warn, "1 of an earlier virtual cluster of this name, such as pods/a")
        );
        assert_eq!(told(&target, &all[..1], true, Some("now")).verdict, Verdict::Ok);
        let found = told(&target, &all, false, None);
        assert_eq!((found.detail.as_str(), found.help.as_str()), ("2, such as pods/a", "tenet delete vc-1 -n team-a"));
    }
}

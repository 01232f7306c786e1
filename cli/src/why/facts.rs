//! Facts about one object: what the two clusters say.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::names;
use tenet_translate::keys::{KIND, MANAGED_BY, NAME, NAMESPACE};

use super::cluster::VirtualCluster;
use super::resource::Resource;
use crate::RightsOf;
use crate::access::{allowed, default_rights, granted};
use crate::create::text;
use crate::host::Host;
use crate::pod::{containers, is_true};

/// Facts about one object.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Kind and name for people.
    pub(super) subject: String,
    pub(super) way: Way,
    pub(super) object: Value,
    /// Events about it, the oldest first.
    pub(super) events: Vec<Value>,
    /// Events about the whole virtual cluster, the oldest first.
    pub(super) of_cluster: Vec<Value>,
    pub(super) host: Option<OnHost>,
    /// A pod of a workload: one that is not ready, if there is any.
    pub(super) pod: Option<Box<Facts>>,
}

/// Way of objects of a kind between the two clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// They are copied to the host.
    Copied,
    /// They are copied when something on the host uses them.
    WhenUsed,
    /// They show what the host has.
    Shown,
    /// They stay inside.
    #[default]
    Inside,
}

/// State on the host, for a user who may read it.
#[derive(Debug, Default)]
pub(super) struct OnHost {
    pub(super) copy: Option<Value>,
    pub(super) is_syncer_ready: bool,
}

/// Kinds that show what the host has.
const SHOWN: [&str; 7] = [
    "Node",
    "PersistentVolume",
    "Event",
    "StorageClass.storage.k8s.io",
    "IngressClass.networking.k8s.io",
    "PriorityClass.scheduling.k8s.io",
    "RuntimeClass.node.k8s.io",
];
const WHEN_USED: [&str; 2] = ["ConfigMap", "Secret"];

/// Facts that do not depend on the object.
struct Shared {
    of_cluster: Vec<Value>,
    is_syncer_ready: bool,
    /// Rules of the Role of the syncer.
    rules: Vec<Value>,
}

/// Reads the facts about an object, and about a pod of it if it is a workload.
pub(super) async fn gather(
    cluster: &VirtualCluster,
    resource: &Resource,
    namespace: &str,
    name: &str,
    rights_of: RightsOf,
) -> Result<Facts> {
    let shown = if resource.is_namespaced { format!(" in namespace {namespace}") } else { String::new() };
    let subject = format!("{}/{name}{shown}", resource.kind.to_lowercase());
    let path = format!("{}/{name}", resource.collection(namespace));
    let found = cluster.inside.get(&path).await.context("cannot read the object")?;
    let object = found.with_context(|| format!("{subject} does not exist in the virtual cluster"))?;
    let shared = Shared::read(cluster, resource, rights_of).await?;
    let mut facts = about(cluster, &shared, resource, subject, object).await?;
    if let Some(pod) = pod_of(&cluster.inside, namespace, &facts.object).await? {
        let subject = format!("pod/{} in namespace {namespace}", text(&pod["metadata"]["name"]));
        facts.pod = Some(Box::new(about(cluster, &shared, &Resource::pods(), subject, pod).await?));
    }
    Ok(facts)
}

async fn about(
    cluster: &VirtualCluster,
    shared: &Shared,
    resource: &Resource,
    subject: String,
    object: Value,
) -> Result<Facts> {
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let events = events(&cluster.inside, namespace, &resource.kind, name).await?;
    let host = match cluster.on_host() {
        Some((host, cluster)) => {
            let copy = copy(&host.workloads, cluster, resource, namespace, name).await?;
            Some(OnHost { copy, is_syncer_ready: shared.is_syncer_ready })
        }
        None => None,
    };
    let way = way(&shared.rules, resource);
    Ok(Facts { subject, way, object, events, of_cluster: shared.of_cluster.clone(), host, pod: None })
}

impl Shared {
    async fn read(cluster: &VirtualCluster, resource: &Resource, rights_of: RightsOf) -> Result<Self> {
        let of_cluster = events_of_cluster(&cluster.inside).await;
        let is_syncer_ready = match cluster.on_host() {
            Some((host, name)) => is_syncer_ready(&host.control_plane, name).await?,
            None => false,
        };
        // Kinds that show the host do not ask for the rules, and select no pod.
        let rules = if is_shown(resource) { Vec::new() } else { rules(cluster, rights_of).await? };
        Ok(Self { of_cluster, is_syncer_ready, rules })
    }
}

async fn events(api: &Api, namespace: &str, kind: &str, name: &str) -> Result<Vec<Value>> {
    // Events about objects without a namespace are in this one.
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    let selector = format!("involvedObject.kind%3D{kind},involvedObject.name%3D{name}");
    let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector={selector}");
    Ok(sorted(allowed(api.list(&path).await).context("cannot read the events")?.unwrap_or_default()))
}

async fn events_of_cluster(api: &Api) -> Vec<Value> {
    let selector = "involvedObject.kind%3DNamespace,involvedObject.name%3Dkube-system";
    // A tenant of one namespace may not read them.
    let all = api.list(&format!("/api/v1/namespaces/kube-system/events?fieldSelector={selector}")).await;
    sorted(all.unwrap_or_default())
}

fn sorted(mut events: Vec<Value>) -> Vec<Value> {
    events.sort_by(|one, other| text(&one["lastTimestamp"]).cmp(text(&other["lastTimestamp"])));
    events
}

async fn is_syncer_ready(host: &Host, cluster: &str) -> Result<bool> {
    let pod =
        allowed(host.get("pods", &names::pod(cluster)).await).context("cannot read the pod of the control plane")?;
    let is_ready = |status: &Value| status["name"] == "syncer" && status["ready"] == true;
    Ok(pod.is_some_and(|pod| containers(&pod).any(is_ready)))
}

/// Returns the copy of an object on the host.
async fn copy(host: &Host, cluster: &str, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Value>> {
    let mut selector = format!("{MANAGED_BY}%3D{cluster}");
    if !namespace.is_empty() {
        selector = format!("{selector},{NAMESPACE}%3D{namespace}");
    }
    let path = format!("{}?labelSelector={selector}", resource.collection(&host.namespace));
    let copies = allowed(host.api.list(&path).await).context("cannot read the copies on the host")?.unwrap_or_default();
    let kind = resource.group_kind();
    let is_copy = |copy: &Value| {
        let annotations = &copy["metadata"]["annotations"];
        annotations[KIND] == kind.as_str() && annotations[NAME] == name
    };
    Ok(copies.into_iter().find(is_copy))
}

/// Returns the rules of the Role of the syncer, or those of one without a configuration of its own.
async fn rules(cluster: &VirtualCluster, rights_of: RightsOf) -> Result<Vec<Value>> {
    if let Some((host, name)) = cluster.on_host()
        && let Some(rules) =
            allowed(granted(&host.workloads, name).await).context("cannot read the Role of the syncer")?.flatten()
    {
        return Ok(rules);
    }
    Ok(default_rights("x", "x", rights_of)?.rules().to_vec())
}

fn is_shown(resource: &Resource) -> bool {
    SHOWN.contains(&resource.group_kind().as_str())
}

/// Returns how a kind crosses. The Role of the syncer says which kinds are copied.
fn way(rules: &[Value], resource: &Resource) -> Way {
    let has = |list: &Value, item: &str| list.as_array().is_some_and(|list| list.iter().any(|it| it == item));
    let is_created = rules.iter().any(|rule| {
        has(&rule["apiGroups"], &resource.group)
            && has(&rule["resources"], &resource.plural)
            && has(&rule["verbs"], "create")
    });
    match resource.group_kind() {
        _ if is_shown(resource) => Way::Shown,
        kind if is_created && WHEN_USED.contains(&kind.as_str()) => Way::WhenUsed,
        _ if is_created => Way::Copied,
        _ => Way::Inside,
    }
}

/// Returns a pod that a workload selects; one that is not ready comes first.
async fn pod_of(api: &Api, namespace: &str, workload: &Value) -> Result<Option<Value>> {
    let Some(labels) = workload["spec"]["selector"]["matchLabels"].as_object() else { return Ok(None) };
    let pairs: BTreeSet<String> = labels.iter().map(|(key, value)| format!("{key}%3D{}", text(value))).collect();
    let selector = pairs.into_iter().collect::<Vec<_>>().join(",").replace('/', "%2F");
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    let pods = api.list(&path).await.context("cannot read the pods of the workload")?;
    Ok(pods.into_iter().min_by_key(|pod| is_true(pod, "Ready")))
}

impl Resource {
    fn pods() -> Self {
        Self {
            group: String::new(),
            version: "v1".to_owned(),
            plural: "pods".to_owned(),
            kind: "Pod".to_owned(),
            is_namespaced: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_role_of_the_syncer_says_what_is_copied() {
        let rule = |group: &str, resource: &str, verb: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
        let rules = [rule("", "pods", "create"), rule("", "configmaps", "create"), rule("apps", "deployments", "get")];
        let of = |group: &str, plural: &str, kind: &str| Resource {
            group: group.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            ..Resource::pods()
        };
        assert_eq!(way(&rules, &Resource::pods()), Way::Copied);
        assert_eq!(way(&rules, &of("", "configmaps", "ConfigMap")), Way::WhenUsed);
        assert_eq!(way(&rules, &of("apps", "deployments", "Deployment")), Way::Inside);
    }
}

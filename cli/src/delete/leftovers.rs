//! Everything on the host that belongs to a virtual cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::names::{INSTANCE, PART, PART_OF, SYNCER_CONFIG_FILE, certificates, syncer_config};
use tenet_install::resources::{RESOURCES, collection};
use tenet_translate::keys::{CLAIM, CLUSTER, CONTROL_PLANE, MANAGED_BY};
use tenet_translate::own_objects;

use super::AT_ONCE;
use crate::RightsOf;
use crate::access::{allowed, default_rights, granted};
use crate::create::text;
use crate::host::Host;

/// Object that belongs to the virtual cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Name of the resource, such as `pods`.
    resource: String,
    name: String,
    /// API path.
    pub(crate) path: String,
    pub(crate) uid: String,
    /// True for what the syncer made for an object of the tenant.
    pub(crate) is_copy: bool,
    is_of_data: bool,
    /// Grace period of a pod, in seconds.
    pub(crate) grace_period: u32,
    is_pod_of_control_plane: bool,
    /// Id of the virtual cluster that has made a copy.
    pub(crate) cluster: Option<String>,
}

/// Collections to look through, and what to look for.
pub(crate) struct Places {
    name: String,
    /// Name of the resource by the path of its collection.
    collections: BTreeMap<String, String>,
    /// Paths of objects without labels.
    unlabelled: Vec<(String, String)>,
}

impl Found {
    pub(crate) fn is_control_plane(&self) -> bool {
        self.resource == "statefulsets"
    }

    pub(crate) fn is_control_plane_or_its_pod(&self) -> bool {
        self.is_control_plane() || self.is_pod_of_control_plane
    }

    pub(crate) fn is_pod(&self) -> bool {
        self.resource == "pods"
    }

    /// Returns true for rights in a namespace that is none of the virtual cluster's own.
    pub(crate) fn is_elsewhere(&self, own: [&str; 2]) -> bool {
        self.path.contains("/namespaces/") && !own.iter().any(|namespace| self.is_in(namespace))
    }

    pub(crate) fn is_in(&self, namespace: &str) -> bool {
        self.path.contains(&format!("/namespaces/{namespace}/"))
    }

    /// Returns true for volumes, and for what a later control plane needs to use them.
    pub(crate) fn is_data(&self) -> bool {
        self.resource == "persistentvolumeclaims" || self.is_of_data
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource, self.name)
    }
}

impl Places {
    /// Finds the collections of a virtual cluster: the Role that it has been given may name more than one of this
    /// version.
    pub(crate) async fn of(control_plane: &Host, workloads: &Host, name: &str, rights_of: RightsOf) -> Result<Self> {
        let rights = default_rights(name, &workloads.namespace, rights_of)?;
        let granted = granted(workloads, name).await.context("cannot reach the host cluster")?.unwrap_or_default();
        let mut places =
            Self::find(&control_plane.namespace, workloads, name, rights.rules().iter().chain(&granted)).await?;
        let role = own_objects::host_cluster_role(&workloads.namespace, name);
        for namespace in namespaces_elsewhere(control_plane, workloads, name).await? {
            for resource in ["rolebindings", "roles"] {
                let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{resource}/{role}");
                places.unlabelled.push((path, resource.to_owned()));
            }
        }
        Ok(places)
    }

    /// Finds the collections: those of an installation, and those in which these rules let a syncer delete.
    async fn find<'r>(
        control_plane: &str,
        workloads: &Host,
        name: &str,
        rules: impl Iterator<Item = &'r Value>,
    ) -> Result<Self> {
        let Host { api, namespace } = workloads;
        let of_installation = RESOURCES.iter().filter(|resource| resource.is_namespaced);
        let mut collections: BTreeMap<String, String> = of_installation
            .flat_map(|resource| {
                [control_plane, namespace].map(|it| (resource.collection(it), resource.plural.to_owned()))
            })
            .collect();
        let mut versions = BTreeMap::from([(String::new(), Some("v1".to_owned()))]);
        for rule in rules.filter(|rule| rule["verbs"].as_array().is_some_and(|verbs| verbs.contains(&"delete".into())))
        {
            let (group, resource) = (text(&rule["apiGroups"][0]), text(&rule["resources"][0]));
            if !versions.contains_key(group) {
                versions.insert(group.to_owned(), version(api, group).await?);
            }
            // A group that the host does not serve has no objects.
            let Some(Some(version)) = versions.get(group) else { continue };
            collections.insert(collection(group, version, resource, Some(namespace)), resource.to_owned());
        }
        // The cluster makes these for the objects above, and removes them with their owners.
        collections.insert(
            collection("apps", "v1", "controllerrevisions", Some(control_plane)),
            "controllerrevisions".to_owned(),
        );
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let role = own_objects::host_cluster_role(namespace, name);
        let secret = own_objects::serving_secret(name);
        let lease = own_objects::lease(name);
        let unlabelled = vec![
            (format!("/api/v1/namespaces/{namespace}/secrets/{secret}"), "secrets".to_owned()),
            (format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}"), "leases".to_owned()),
            (format!("{rbac}/clusterrolebindings/{role}"), "clusterrolebindings".to_owned()),
            (format!("{rbac}/clusterroles/{role}"), "clusterroles".to_owned()),
        ];
        Ok(Self { name: name.to_owned(), collections, unlabelled })
    }

    /// Returns no places, for tests of what is found.
    #[cfg(test)]
    pub(crate) fn empty(name: &str) -> Self {
        Self { name: name.to_owned(), collections: BTreeMap::new(), unlabelled: Vec::new() }
    }

    /// Returns every object of the virtual cluster.
    pub(crate) async fn all(&self, api: &Api) -> Result<Vec<Found>> {
        let name = &self.name;
        let selectors = [
            format!("{MANAGED_BY}%3D{name}"),
            format!("{CLAIM}%3D{name}"),
            format!("{INSTANCE}%3D{name},{PART_OF}%3D{PART}"),
            format!("{CONTROL_PLANE}%3D{name}"),
        ];
        let lists = self.collections.iter().flat_map(|place| selectors.iter().map(move |selector| (place, selector)));
        let listed = stream::iter(lists)
            .map(|((collection, resource), selector)| self.list(api, collection, resource, selector))
            .buffer_unordered(AT_ONCE);
        let read = stream::iter(&self.unlabelled)
            .map(|(path, resource)| self.read(api, path, resource))
            .buffer_unordered(AT_ONCE);
        let found: Vec<Vec<Found>> = stream::select(listed, read).try_collect().await?;
        // Two selectors may find the same object.
        let all: BTreeMap<String, Found> =
            found.into_iter().flatten().map(|found| (found.path.clone(), found)).collect();
        Ok(all.into_values().collect())
    }

    async fn list(&self, api: &Api, collection: &str, resource: &str, selector: &str) -> Result<Vec<Found>> {
        let answer = api.list(&format!("{collection}?labelSelector={selector}")).await;
        // Where the user may not read, nothing was created for the user.
        let items = allowed(answer).with_context(|| format!("cannot list {resource}"))?.unwrap_or_default();
        let found =
            |item: &Value| self.found(resource, format!("{collection}/{}", text(&item["metadata"]["name"])), item);
        Ok(items.iter().map(found).collect())
    }

    async fn read(&self, api: &Api, path: &str, resource: &str) -> Result<Vec<Found>> {
        let item = allowed(api.get(path).await).with_context(|| format!("cannot read {resource}"))?.flatten();
        Ok(item.iter().map(|item| self.found(resource, path.to_owned(), item)).collect())
    }

    pub(crate) fn found(&self, resource: &str, path: String, item: &Value) -> Found {
        let metadata = &item["metadata"];
        let labels = &metadata["labels"];
        let seconds = item["spec"]["terminationGracePeriodSeconds"].as_u64().and_then(|it| u32::try_from(it).ok());
        Found {
            resource: resource.to_owned(),
            name: text(&metadata["name"]).to_owned(),
            path,
            uid: text(&metadata["uid"]).to_owned(),
            is_copy: labels[MANAGED_BY] == self.name.as_str(),
            is_of_data: !labels[CLAIM].is_null() || metadata["name"] == certificates(&self.name).as_str(),
            grace_period: seconds.unwrap_or(u32::MAX),
            is_pod_of_control_plane: resource == "pods" && labels[CONTROL_PLANE] == self.name.as_str(),
            cluster: metadata["annotations"][CLUSTER].as_str().map(str::to_owned),
        }
    }
}

/// Returns the namespaces of others whose Services the configuration of a syncer lists.
async fn namespaces_elsewhere(control_plane: &Host, workloads: &Host, name: &str) -> Result<BTreeSet<String>> {
    let config = allowed(control_plane.get("configmaps", &syncer_config(name)).await)
        .context("cannot read the configuration of the syncer")?
        .unwrap_or_default();
    Ok(listed_namespaces(&config, &workloads.namespace))
}

/// Returns the namespaces in `replicateServices.fromHost` of a configuration of a syncer, without its own.
pub(crate) fn listed_namespaces(config: &Value, own: &str) -> BTreeSet<String> {
    let config: Value = serde_saphyr::from_str(text(&config["data"][SYNCER_CONFIG_FILE])).unwrap_or_default();
    let listed = config["replicateServices"]["fromHost"].as_array().into_iter().flatten();
    let namespaces = listed.filter_map(|entry| entry["from"].as_str()?.split_once('/').map(|(namespace, _)| namespace));
    namespaces.filter(|namespace| *namespace != own).map(str::to_owned).collect()
}

/// Returns the preferred version of an API group; `None` if the host does not serve the group.
async fn version(api: &Api, group: &str) -> Result<Option<String>> {
    let found = api.get(&format!("/apis/{group}")).await.context("cannot read the API groups of the host")?;
    Ok(found.map(|group| text(&group["preferredVersion"]["version"]).to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_configuration_names_the_namespaces_of_others() {
        let listed = |from: &str| json!({"from": from, "to": "data/x"});
        let config = json!({"replicateServices": {"fromHost": [
            listed("postgres"), listed("team-a/own"), listed("shared/a"), listed("shared/b"), listed("data/c"),
        ]}});
        let map = json!({"data": {SYNCER_CONFIG_FILE: config.to_string()}});
        assert_eq!(listed_namespaces(&map, "team-a").into_iter().collect::<Vec<_>>(), ["data", "shared"]);
        assert!(listed_namespaces(&Value::Null, "team-a").is_empty());
    }
}

//! Snapshot of both sides.

use anyhow::Result;
use serde_json::Value;
use tenet_playground::{ControlPlane, Playground};

/// Objects of both sides.
pub(super) struct Snapshot {
    /// Name of the virtual cluster.
    pub(super) name: String,
    /// Objects of namespace `default` of the virtual cluster.
    pub(super) inside: Side,
    /// Objects of the host namespace that carry the label of the virtual cluster; of the ConfigMaps, the copies.
    pub(super) host: Side,
    /// Namespace on the host.
    pub(super) namespace: String,
}

/// Objects of one namespace.
#[derive(Default)]
pub(super) struct Side {
    pub(super) pods: Vec<Value>,
    pub(super) services: Vec<Value>,
    pub(super) config_maps: Vec<Value>,
    pub(super) secrets: Vec<Value>,
}

impl Snapshot {
    pub(super) async fn take(playground: &Playground, name: &str) -> Result<Self> {
        let namespace = playground.namespace();
        let selector = format!("?labelSelector=tenet.sh%2Fmanaged-by%3D{name}");
        let (inside, mut host) = tokio::try_join!(
            Side::read(playground.virtual_plane(), "default", ""),
            Side::read(playground.host_plane(), namespace, &selector),
        )?;
        // The virtual cluster has ConfigMaps of its own there: variables of Services, the owner of its pods.
        host.config_maps.retain(|map| map["metadata"]["annotations"]["tenet.sh/kind"] == "ConfigMap");
        Ok(Self { name: name.to_owned(), inside, host, namespace: namespace.to_owned() })
    }

    /// Returns the host name of an object in namespace `default`.
    ///
    /// The walk uses no names that need the hashed form.
    pub(super) fn host_name(&self, name: &str) -> String {
        format!("{name}-x-default-x-{}", self.name)
    }
}

impl Side {
    async fn read(plane: &ControlPlane, namespace: &str, query: &str) -> Result<Self> {
        let list = async |kind: &str| -> Result<Vec<Value>> {
            let list = plane.get(&format!("/api/v1/namespaces/{namespace}/{kind}{query}")).await?;
            let mut list = list.unwrap_or_default();
            Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
        };
        let (pods, services, config_maps, secrets) =
            tokio::try_join!(list("pods"), list("services"), list("configmaps"), list("secrets"))?;
        Ok(Self { pods, services, config_maps, secrets })
    }
}

/// Finds an object by name.
pub(super) fn find<'a>(objects: &'a [Value], name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| name_of(object) == name)
}

/// Returns the name of an object.
pub(super) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Returns true if the object is being deleted.
pub(super) fn is_going(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

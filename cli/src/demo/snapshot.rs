//! What both sides hold at one moment.

use anyhow::Result;
use serde_json::Value;
use tenet_playground::{ControlPlane, Playground};

/// Both sides.
pub(super) struct Snapshot {
    /// The name of the virtual cluster.
    pub(super) name: String,
    /// Namespace `default` of the virtual cluster.
    pub(super) inside: Side,
    /// What carries the label of the virtual cluster in its namespace on the host.
    pub(super) host: Side,
    /// The namespace on the host.
    pub(super) namespace: String,
}

/// The objects of one namespace.
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
        let (inside, host) = tokio::try_join!(
            Side::read(playground.virtual_plane(), "default", ""),
            Side::read(playground.host_plane(), namespace, &selector),
        )?;
        Ok(Self { name: name.to_owned(), inside, host, namespace: namespace.to_owned() })
    }

    /// The name that an object of namespace `default` has on the host.
    ///
    /// Names that are too long for this form, or could be read back in two ways, do not occur in the walk.
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

/// The object of this name.
pub(super) fn find<'a>(objects: &'a [Value], name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| name_of(object) == name)
}

/// The name of an object.
pub(super) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether it is about to go.
pub(super) fn is_going(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

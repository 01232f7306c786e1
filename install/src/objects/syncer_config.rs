//! Configuration of the syncer.

use serde_json::{Map, Value, json};

use super::{Installation, distro, metadata};
use crate::names::{self, SYNCER_CONFIG_FILE};
use crate::values::Values;

/// Folder of the configuration in the container.
pub(super) const DIR: &str = "/etc/tenet";
/// Port of /metrics, /healthz and /readyz.
pub(super) const ADMIN_PORT: u16 = 9090;

/// Returns the configuration file of the syncer, whose control plane is in this namespace.
pub fn text(name: &str, namespace: &str, values: &Values) -> String {
    let workloads = values.workload_namespace(namespace);
    let mut config = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("host".to_owned(), json!({"namespace": workloads.unwrap_or(namespace)})),
        ("virtual".to_owned(), json!({"kubeconfig": format!("{}/syncer.kubeconfig", super::programs::PKI)})),
        ("admin".to_owned(), json!({"listen": format!("0.0.0.0:{ADMIN_PORT}")})),
    ]);
    config.extend(values.syncer.config.clone());
    if workloads.is_some() {
        // A Service selects pods of its own namespace, so none there leads to the kubelets.
        let kubelet = config.entry("kubelet").or_insert_with(|| json!({}));
        kubelet["addresses"] = json!("loopback");
    }
    // JSON is YAML.
    format!("{:#}\n", Value::Object(config))
}

pub(super) fn object(installation: &Installation<'_>) -> Value {
    let mut files = Map::from_iter([(
        SYNCER_CONFIG_FILE.to_owned(),
        json!(text(installation.name, installation.namespace, installation.values)),
    )]);
    if let Some((file, config)) = distro::config(installation) {
        files.insert(file.to_owned(), json!(format!("{config:#}\n")));
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(installation, &names::syncer_config(installation.name)),
        "data": files,
    })
}

//! Names and labels of the objects and files of one virtual cluster.

use serde_json::{Value, json};

/// Port of the virtual API server, for every distro. The Services of users target it.
pub const API_PORT: u16 = 8443;

/// Key of the configuration in the ConfigMap of the syncer.
pub const SYNCER_CONFIG_FILE: &str = "syncer.yaml";

/// Label of everything that belongs to an installation: the name of the virtual cluster.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label of everything that belongs to an installation: [`PART`].
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`PART_OF`].
pub const PART: &str = "tenet";

/// Label of what an installation has in another namespace than its control plane: the namespace of the control plane.
pub const CONTROL_PLANE_NAMESPACE: &str = "tenet.sh/control-plane-namespace";

/// Annotation of the Secrets of a control plane: the namespace of the tenant's objects, if it is another one.
pub const WORKLOAD_NAMESPACE: &str = "tenet.sh/workload-namespace";

/// Returns the labels of every object of an installation.
pub(crate) fn labels(name: &str) -> Value {
    json!({INSTANCE: name, PART_OF: PART})
}

/// Returns the name of the Secret with the authorities and the learnt service range.
pub fn certificates(name: &str) -> String {
    format!("{name}-certs")
}

/// Returns the name of the Secret with the administrator's kubeconfig.
pub fn kubeconfig(name: &str) -> String {
    format!("vc-{name}")
}

/// Returns the name of the ConfigMap with the configuration of the syncer.
pub fn syncer_config(name: &str) -> String {
    format!("{name}-syncer")
}

/// Returns the name of the ServiceAccount of the syncer.
pub fn account(name: &str) -> String {
    format!("vc-{name}")
}

/// Returns the name of the pod of the control plane.
pub fn pod(name: &str) -> String {
    format!("{name}-0")
}

/// Returns the name of the headless Service of the StatefulSet.
pub fn headless(name: &str) -> String {
    format!("{name}-headless")
}

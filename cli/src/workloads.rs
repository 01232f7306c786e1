//! Host namespaces of a virtual cluster: that of its control plane, and that of the tenant's objects.

use serde_json::Value;
use tenet_install::api::ApiError;
use tenet_install::names::{
    CONTROL_PLANE_NAMESPACE, SYNCER_CONFIG_FILE, WORKLOAD_NAMESPACE, certificates, syncer_config,
};

use crate::access::allowed;
use crate::create::{is_ours, text};
use crate::host::Host;

/// Host namespaces of a virtual cluster, which often are one.
pub(crate) struct Namespaces {
    pub(crate) control_plane: Host,
    pub(crate) workloads: Host,
}

impl Namespaces {
    /// Finds the namespace of the tenant's objects. Where nothing that may be read names it, it is that of the control
    /// plane.
    pub(crate) async fn of(control_plane: Host, name: &str) -> Result<Self, ApiError> {
        let workloads = recorded(&control_plane, name).await?;
        let workloads = control_plane.in_namespace(workloads.as_deref().unwrap_or(&control_plane.namespace));
        Ok(Self { control_plane, workloads })
    }

    /// Finds both namespaces from either.
    pub(crate) async fn around(host: Host, name: &str) -> Result<Self, ApiError> {
        let service = allowed(host.get("services", name).await)?.unwrap_or_default();
        match service["metadata"]["labels"][CONTROL_PLANE_NAMESPACE].as_str() {
            Some(control_plane) => Ok(Self { control_plane: host.in_namespace(control_plane), workloads: host }),
            None => Self::of(host, name).await,
        }
    }

    /// Returns true if there are two.
    pub(crate) fn are_two(&self) -> bool {
        self.control_plane.namespace != self.workloads.namespace
    }
}

/// Returns the namespace of the tenant's objects that the configuration of the syncer names, or the Secret that outlives
/// it; `None` before there is either, or without the right to read them.
pub(crate) async fn recorded(control_plane: &Host, name: &str) -> Result<Option<String>, ApiError> {
    let config = allowed(control_plane.get("configmaps", &syncer_config(name)).await)?.unwrap_or_default();
    if let Some(namespace) = configured(&config) {
        return Ok(Some(namespace));
    }
    let secret = allowed(control_plane.get("secrets", &certificates(name)).await)?.unwrap_or_default();
    let annotation = secret["metadata"]["annotations"][WORKLOAD_NAMESPACE].as_str().map(str::to_owned);
    // A Secret of another origin holds authorities that no control plane has used yet.
    Ok(annotation.or_else(|| is_ours(&secret, name).then(|| control_plane.namespace.clone())))
}

/// Returns the namespace of the tenant's objects in the configuration of a syncer.
fn configured(config: &Value) -> Option<String> {
    let config: Value = serde_saphyr::from_str(text(&config["data"][SYNCER_CONFIG_FILE])).ok()?;
    config["host"]["namespace"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_configuration_of_the_syncer_names_the_namespace_of_the_workloads() {
        let of = |text: &str| configured(&json!({"data": {"syncer.yaml": text}}));
        assert_eq!(of("host: {namespace: \"123\"}").as_deref(), Some("123"));
        assert_eq!(of("{\"name\": \"vc-1\", \"host\": {\"namespace\": \"tenant\"}}").as_deref(), Some("tenant"));
        assert_eq!(of("name: vc-1"), None);
        assert_eq!(configured(&Value::Null), None);
    }
}

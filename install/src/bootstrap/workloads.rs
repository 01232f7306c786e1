//! Way of the tenant's pods to the virtual API server, if they are in another host namespace than the control plane.
//!
//! Their environment names an address of their own namespace. The Service there selects no pod, so its endpoints are
//! written by the pod of the control plane itself, which knows its address.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{BootstrapError, Changes, server_names};
use crate::api::Api;
use crate::names::{self, API_PORT, CONTROL_PLANE_NAMESPACE};

/// Host namespace of the tenant's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workloads {
    /// Name of the namespace.
    pub namespace: String,
    /// Addresses of the pod of the control plane.
    pub pod_addresses: Vec<IpAddr>,
}

impl Workloads {
    /// Points the Service of this name at the pod of the control plane, which is in the other namespace. Returns the
    /// Service.
    pub(super) async fn publish(
        &self,
        host: &Api,
        name: &str,
        control_plane: &str,
        changes: &mut Changes,
    ) -> Result<Value, BootstrapError> {
        let service = server_names::service_of(host, &self.namespace, name).await?;
        let family =
            if service["spec"]["clusterIP"].as_str().is_some_and(|it| it.contains(':')) { "IPv6" } else { "IPv4" };
        let address = self.pod_addresses.iter().find(|address| address.is_ipv6() == (family == "IPv6"));
        let address = address.ok_or_else(|| BootstrapError::NoPodAddress {
            family,
            namespace: self.namespace.clone(),
            name: name.to_owned(),
        })?;
        let slice = slice(name, control_plane, &service, family, *address);
        let slice_name = format!("{name}-{}", family.to_lowercase());
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices/{slice_name}", self.namespace);
        if !host.get(&path).await?.is_some_and(|found| is_current(&found, &slice)) {
            host.apply(&format!("{path}?fieldManager=tenet-bootstrap&force=true"), &slice).await?;
            changes.endpoints.push(slice_name);
        }
        Ok(service)
    }
}

/// Returns the endpoints of the Service, which end with it.
fn slice(name: &str, control_plane: &str, service: &Value, family: &str, address: IpAddr) -> Value {
    let mut labels = names::labels(name);
    for (key, value) in [
        ("kubernetes.io/service-name", name),
        ("endpointslice.kubernetes.io/managed-by", "tenet.sh"),
        (CONTROL_PLANE_NAMESPACE, control_plane),
    ] {
        labels[key] = json!(value);
    }
    let metadata = &service["metadata"];
    let owner = json!({"apiVersion": "v1", "kind": "Service", "name": metadata["name"], "uid": metadata["uid"]});
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-{}", family.to_lowercase()),
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
    })
}

/// Returns true if a slice leads where this one does. The API server may have added fields.
fn is_current(found: &Value, wanted: &Value) -> bool {
    let alike = |pointer: &str| found.pointer(pointer) == wanted.pointer(pointer);
    let count = |field: &str| found[field].as_array().map_or(0, Vec::len);
    count("endpoints") == 1
        && count("ports") == 1
        && [
            "/metadata/labels/kubernetes.io~1service-name",
            "/metadata/ownerReferences/0/uid",
            "/endpoints/0/addresses",
            "/endpoints/0/conditions/ready",
            "/ports/0/port",
        ]
        .into_iter()
        .all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uid: &str, address: &str) -> Value {
        let service = json!({"metadata": {"name": "vc-1", "namespace": "tenant", "uid": uid}});
        slice("vc-1", "team-a", &service, "IPv4", address.parse().unwrap())
    }

    #[test]
    fn endpoints_are_written_again_for_another_pod_and_for_another_service() {
        let wanted = of("u", "10.1.0.7");
        let mut found = wanted.clone();
        found["endpoints"][0]["nodeName"] = json!("n");
        assert!(is_current(&found, &wanted), "a field of another writer is ignored");
        assert!(!is_current(&found, &of("u", "10.1.0.8")));
        assert!(!is_current(&found, &of("other", "10.1.0.7")));
        found["endpoints"].as_array_mut().unwrap().push(json!({"addresses": ["10.1.0.9"]}));
        assert!(!is_current(&found, &wanted), "a second endpoint is not ours");
    }
}

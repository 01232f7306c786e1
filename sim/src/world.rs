//! Actors of a simulated world besides the syncer: what a tenant, controllers, nodes and other users do.

mod controllers;
mod host;
mod mutator;
mod node;
mod tenant;
mod volumes;
mod webhook;

use serde_json::Value;
use tenet_mapper::Kind;

pub use host::{FOREIGN, FORGED_UID, HostUser, TOLD};
pub use mutator::admission;
pub use node::Nodes;
pub use tenant::Tenant;
pub use webhook::Webhook;

pub(crate) use controllers::{on_host, on_virtual};
pub(crate) use volumes::is_used;

/// User of the tenant.
pub const TENANT: &str = "tenant";
/// User of the controllers of both clusters.
pub const CONTROLLER: &str = "system:controller";
/// User of scheduler and kubelets of the host.
pub const NODE: &str = "system:node";
/// User of the host who knows nothing of the virtual cluster.
pub const ADMIN: &str = "admin";
/// User of the webhook.
pub const WEBHOOK: &str = "webhook";
/// User who writes to objects of ours on purpose.
pub const INTRUDER: &str = "intruder";

/// Kind of the lease of replicas.
pub const LEASE: Kind = Kind::of("coordination.k8s.io", "v1", "Lease", "leases");

/// Returns true if a pod has ended for good.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Returns the UID of the controller of an object.
pub(crate) fn controller(object: &Value) -> Option<&str> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)?["uid"].as_str()
}

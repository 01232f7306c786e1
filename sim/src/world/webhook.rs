//! Webhook of the virtual API server, as another replica of the syncer serves it: it reserves a Service on the host
//! before the virtual one is stored.

use serde_json::{Value, json};
use tenet_mapper::keys::PENDING;
use tenet_mapper::kinds;
use tenet_mapper::translate::OwnerRecord;

use super::WEBHOOK;
use super::host::host_name;
use crate::api::Cluster;
use crate::clock::Clock;
use crate::oracle::record;
use crate::run::{NAME, NAMESPACE};
use crate::script::Name;

/// Webhook of a virtual cluster.
pub struct Webhook {
    virt: Cluster,
    host: Cluster,
    clock: Clock,
}

impl Webhook {
    /// A webhook that reserves on this host.
    pub fn new(virt: Cluster, host: Cluster, clock: Clock) -> Self {
        Self { virt, host, clock }
    }

    /// Reserves the address of a Service that does not exist inside. Returns it; `None` if the host has none to give.
    pub(super) fn reserve(&self, name: &Name, spec: &Value) -> Option<Value> {
        let host_name = host_name(name);
        if let Some(found) = self.host.get(kinds::SERVICE, NAMESPACE, &host_name) {
            // It belongs to an earlier Service of the name, which is gone, or to somebody else.
            record(&found).filter(|record| record.cluster == self.virt.cluster_id())?;
            let options = json!({"preconditions": {"uid": found.uid()}});
            self.host.delete(WEBHOOK, kinds::SERVICE, NAMESPACE, &host_name, options).ok()?;
        }
        let record = OwnerRecord {
            cluster: self.virt.cluster_id(),
            kind: kinds::SERVICE.group_kind(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            uid: String::new(),
        };
        let mut annotations = record.annotations(NAMESPACE, &host_name);
        annotations.insert(PENDING.to_owned(), json!(self.clock.now().unix_timestamp().to_string()));
        let metadata = json!({"name": host_name, "labels": record.labels(NAME), "annotations": annotations});
        let reservation = json!({"metadata": metadata, "spec": spec});
        let created = self.host.create(WEBHOOK, kinds::SERVICE, NAMESPACE, reservation).ok()?;
        Some(created["spec"]["clusterIP"].clone())
    }
}

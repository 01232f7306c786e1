//! Report of a restored store to the tenant: an event on the virtual namespace `kube-system`.
//!
//! The gate writes nothing while the claim does not agree, so the claim writes this event itself, once.

use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::{EventReason, Side};

use super::Claim;
use super::decide::Difference;
use crate::api::Target;
use crate::cluster_event;
use crate::engine::Engine;

/// Number of objects that the event names.
const NAMED: usize = 10;

impl Claim {
    /// Emits the event of a restored store. An event that exists says the same.
    pub(super) async fn report(&self, engine: &Engine, difference: &Difference) {
        let Difference::Restored { side, .. } = difference else { return };
        let facts = engine.facts.load_full();
        let newer = if *side == Side::Virtual { self.newer_objects(&facts.cluster_id).await } else { String::new() };
        let message = format!("{difference}. Nothing is written until the administrator of the host decides{newer}");
        let event = cluster_event::warning(&facts, EventReason::Suspended, message);
        for mut write in cluster_event::writes(&facts, &event) {
            cluster_event::stamp(&mut write, &engine.runtime.timestamp());
            let Write { target, payload: Payload::Create { object, .. }, .. } = write else { continue };
            let target = Target::new(target.kind, &target.namespace, &target.name);
            if let Err(error) = self.servers.virt.create(&target, &object, self.servers.limit).await
                && !error.is_lost_race()
            {
                tracing::warn!(%error, "cannot emit the event of a restored store");
            }
        }
    }

    /// Returns the end of a sentence that names the objects which are newer than the backup of the virtual store.
    async fn newer_objects(&self, cluster: &str) -> String {
        let Ok(copies) = self.without_original(cluster).await else { return String::new() };
        if copies.is_empty() {
            return String::new();
        }
        let names = copies.iter().take(NAMED).map(|copy| format!("{} {}", copy.record.kind, copy.original()));
        let names: Vec<_> = names.collect();
        let more = if copies.len() > NAMED { ", ..." } else { "" };
        format!("; {} objects are newer than the backup and still run: {}{more}", copies.len(), names.join(", "))
    }
}

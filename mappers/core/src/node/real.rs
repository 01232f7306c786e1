//! The picture of a host Node that may be read.

use serde_json::{Value, json};
use tenet_mapper::Object;
use tenet_mapper::rules::Table;

use super::head;

/// Fields that are read of a host Node besides its metadata: the fields that the table uses, and
/// conditions without their heartbeats. The rest, above all its images, is most of a Node.
pub(super) const FIELDS: &[&str] = &[
    "spec.taints",
    "spec.unschedulable",
    "spec.providerID",
    "status.capacity",
    "status.allocatable",
    "status.nodeInfo",
    "status.addresses",
    "status.declaredFeatures",
    "status.conditions[].type",
    "status.conditions[].status",
    "status.conditions[].reason",
    "status.conditions[].message",
    "status.conditions[].lastTransitionTime",
];

/// Node as the table shows it, with addresses and conditions, but without the fields that change with every heartbeat.
pub(super) fn node(table: &Table, host: &Object) -> Value {
    let (mut node, mut shown) = (head(host.name(), host.at("/metadata/labels")), table.up(host.value()));
    for part in ["spec", "status"] {
        node[part] = json!({});
        if let Some(value) = shown.get_mut(part) {
            node[part] = value.take();
        }
    }
    node["status"]["addresses"] = json!(host.list_at("/status/addresses"));
    node["status"]["conditions"] = host.list_at("/status/conditions").iter().map(without_heartbeat).collect();
    node
}

/// Replaces the heartbeat time by the time of the last change.
fn without_heartbeat(condition: &Value) -> Value {
    let mut condition = condition.clone();
    if let Some(time) = condition.get("lastTransitionTime").cloned() {
        condition["lastHeartbeatTime"] = time;
    }
    condition
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tenet_mapper::testing::Clusters;
    use tenet_mapper::{Mapper, Projection, Side, kinds};

    use super::super::NodeMapper;
    use super::*;

    fn fixture() -> Value {
        let clusters = Clusters::default().with(Side::Host, include_str!("fixtures/real.host.yaml"));
        clusters.object(Side::Host, kinds::NODE, "", "worker-1").unwrap().value().clone()
    }

    #[test]
    fn what_is_kept_of_a_host_node_gives_the_same_picture_as_all_of_it() {
        let table: Arc<Table> = NodeMapper::new().spec().table.clone().unwrap();
        let (whole, cut) = (fixture(), Projection::Fields(FIELDS).cut(fixture()));
        assert_eq!(node(&table, &Object::new(cut.clone())), node(&table, &Object::new(whole)));
        assert!(cut.pointer("/status/images").is_none() && cut.pointer("/spec/podCIDR").is_none());
    }

    #[test]
    fn every_field_that_crosses_up_is_kept_and_no_heartbeat_is() {
        let table = NodeMapper::new().spec().table.clone().unwrap();
        let up = table.shown().iter().map(|pointer| tenet_mapper::pointer::field(pointer));
        let missing: Vec<_> = up.filter(|path| !FIELDS.contains(&path.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let mut later = fixture();
        later["status"]["conditions"][0]["lastHeartbeatTime"] = json!("2026-11-23T06:05:00Z");
        let projection = Projection::Fields(FIELDS);
        assert_eq!(projection.cut(later), projection.cut(fixture()));
    }
}

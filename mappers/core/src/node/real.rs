//! The picture of a host Node that may be read.

use serde_json::{Value, json};
use tenet_mapper::Object;
use tenet_mapper::rules::{Action, Table};

use super::head;

/// What the table takes up, without what changes with every heartbeat.
pub(super) fn node(table: &Table, host: &Object) -> Value {
    let mut node = head(host.name(), host.at("/metadata/labels"));
    node["spec"] = json!({});
    node["status"] = json!({
        "addresses": host.list_at("/status/addresses"),
        "conditions": host.list_at("/status/conditions").iter().map(without_heartbeat).collect::<Vec<_>>(),
    });
    for (path, _) in table.rules().into_iter().filter(|(_, rule)| rule.action == Action::Up) {
        if let Some((part, member)) = path.split_once('.')
            && let Some(value) = host.at(&format!("/{part}/{member}"))
        {
            node[part][member] = value.clone();
        }
    }
    node
}

/// A heartbeat shows the time of the last change instead of its own.
fn without_heartbeat(condition: &Value) -> Value {
    let mut condition = condition.clone();
    if let Some(time) = condition.get("lastTransitionTime").cloned() {
        condition["lastHeartbeatTime"] = time;
    }
    condition
}

//! Updates of host objects: after any sequence of changes inside, the host object equals, in every field that
//! follows, what a creation from the last state gives. Fields that do not follow, and what the host added, stay.

mod cases;
mod law;
mod server;
mod tables;

use serde_json::{Value, json};
use tenet_mapper::rules::{Defaults, DownContext, Policy, Table};
use tenet_mapper::translate::labels::LabelPolicy;
use tenet_mapper::translate::selectors::Scope;
use tenet_mapper::{Projection, patch};

/// The host object of a virtual one, as it is created.
fn creation(table: &Table, virt: &Value) -> Value {
    let context = DownContext {
        policy: &Policy::default(),
        defaults: &Defaults::default(),
        scope: Scope { vc: "vc-1", namespace: "shop", labels: &LabelPolicy::default() },
        name_of: &|reference| reference.name.clone(),
    };
    let crossing = table.down(virt, &context);
    assert_eq!(crossing.refusals, [], "{virt}");
    let mut host = crossing.host;
    host["metadata"] = json!({"name": "n", "annotations": {}});
    patch::note_applied(&mut host, table, &Projection::Whole);
    host
}

/// The JSON patch that the gate sends for an update.
fn update(table: &Table, virt: &Value, host: &Value) -> Vec<Value> {
    patch::host_ops(&creation(table, virt), host, Some(table), &Projection::Whole)
}

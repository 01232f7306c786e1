//! Updates of host objects: after any sequence of changes inside, the host object equals, in every field that
//! follows, what a creation from the last state gives. Fields that do not follow, and what the host added, stay.

mod cases;
mod law;
mod merges;
mod ownership;
mod secrets;
mod server;
mod tables;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use server::Server;
use tenet_mapper::plan::{PlanContext, Write, plan};
use tenet_mapper::rules::{Defaults, DownContext, Policy, Table};
use tenet_mapper::translate::kubelets::NodeAddresses;
use tenet_mapper::translate::labels::{Globs, LabelPolicy};
use tenet_mapper::translate::selectors::Scope;
use tenet_mapper::translate::{NameScheme, Names, OwnerRecord};
use tenet_mapper::{
    ApplyHost, Effect, Facts, HostKey, Kind, Kubelets, MapError, Object, Policies, Projection, Sections, kinds,
};

/// The kind of the tests.
const KIND: Kind = kinds::CONFIG_MAP;
/// The host namespace and the name of the copy.
const PLACE: (&str, &str) = ("team-a", "a-x-shop-x-vc-1");

/// The virtual cluster of the tests.
fn facts() -> Facts {
    Facts {
        names: Names::new("vc-1", PLACE.0, NameScheme::Tenet),
        cluster_id: "cluster-1".to_owned(),
        host_namespace_uid: String::new(),
        virtual_version: String::new(),
        annotations: Globs::default(),
        labels: LabelPolicy::default(),
        api_service: "vc-1".to_owned(),
        kubelets: Kubelets { enabled: false, addresses: NodeAddresses::Service, port: 10250 },
        policies: Policies::default(),
        mappers: BTreeSet::new(),
        sections: Sections::default(),
        reservation: 90,
    }
}

fn host_key() -> HostKey {
    HostKey::new(PLACE.0, PLACE.1)
}

/// The owner record of the copy.
fn owner() -> OwnerRecord {
    OwnerRecord {
        cluster: "cluster-1".to_owned(),
        kind: KIND.group_kind(),
        namespace: "shop".to_owned(),
        name: "a".to_owned(),
        uid: "u".to_owned(),
    }
}

/// The requests that perform an effect on an object that is cached whole.
fn planned(effect: &Effect, cached: Option<&Value>) -> Result<Vec<Write>, MapError> {
    let (facts, cached) = (facts(), cached.cloned().map(Object::new));
    plan(effect, cached.as_ref(), &PlanContext { facts: &facts, projection: &Projection::Whole, minted: &[] })
}

/// The effect that creates the copy of a virtual object, or brings it up to date.
fn apply(table: &Table, virt: &Value) -> Effect {
    let context = DownContext {
        policy: &Policy::default(),
        defaults: &Defaults::default(),
        scope: Scope { vc: "vc-1", namespace: "shop", labels: &LabelPolicy::default() },
        name_of: &|reference| reference.name.clone(),
    };
    let crossing = table.down(virt, &context);
    assert_eq!(crossing.refusals, [], "{virt}");
    let (mut desired, owner) = (crossing.host, owner());
    desired["metadata"] = json!({"namespace": PLACE.0, "name": PLACE.1,
        "labels": owner.labels("vc-1"), "annotations": owner.annotations(PLACE.0, PLACE.1)});
    let table = Some(Arc::new(table.clone()));
    Effect::ApplyHost(Box::new(ApplyHost { kind: KIND, key: host_key(), owner, desired, table, fallback: None }))
}

/// The requests for the copy of a virtual object, as the gate sends them.
fn writes(table: &Table, virt: &Value, host: Option<&Value>) -> Vec<Write> {
    planned(&apply(table, virt), host).expect("the copy is ours")
}

/// The copy after the requests.
fn synced(server: &Server, table: &Table, virt: &Value, host: Option<&Value>) -> Value {
    let writes = writes(table, virt, host);
    let stored = writes.iter().fold(host.cloned(), |host, write| Some(server.perform(host.as_ref(), write)));
    stored.expect("an object that is not there is created")
}

//! The promises about writes, against a server that answers by a table.

mod breaker;
mod budget;
mod deletes;
mod events;
mod proofs;
mod reservations;
mod status;
mod writes;

use serde_json::json;
use tenet_mapper::keys::{MANAGED_BY, SYNCED};
use tenet_mapper::rules::{Table, copy};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{
    ApplyHost, ApplyVirtual, Deletion, Event, EventReason, EventType, HostKey, Object, Projection, VirtualKey,
    VirtualPatch, condition,
};

use super::*;
use crate::cache::Cache;
use crate::engine::Engine;
use crate::fixture::{Answers, Asked, Fixture, api};

const ID: &str = "cluster-1";

pub(crate) struct Rig {
    pub(crate) engine: Engine,
    host: Asked,
    virt: Asked,
}

impl Rig {
    pub(crate) fn new(host: Answers, virt: Answers) -> Self {
        Self::holding(host, virt, Hold::always())
    }

    fn holding(host: Answers, virt: Answers, hold: Hold) -> Self {
        // The claim has clients of its own.
        let system = virt.iter().find(|(_, path, ..)| *path == SYSTEM).cloned();
        let claim = Claim::answered(system.unwrap_or(("GET", SYSTEM, 200, system_of(ID))));
        let ((host_api, host), (virt_api, virt)) = (api(host), api(virt));
        let fixture = Fixture::new(virt_api, host_api, &[kinds::POD, kinds::CONFIG_MAP, kinds::NODE]);
        let secrets = Cache::new(Side::Host, kinds::SECRET, Projection::Digest(&["data"]));
        let engine = fixture.claimed(claim).held(hold).caching(secrets).engine(Vec::new());
        Self { engine, host, virt }
    }

    fn knows(self, side: Side, kind: Kind, object: Value) -> Self {
        self.engine.caches.get(side, kind).unwrap().store(object);
        self
    }

    async fn perform(&self, effect: Effect) -> Result<Done, MapError> {
        self.engine.gate.perform(effect).await
    }

    pub(crate) fn asked(&self, side: Side) -> Vec<String> {
        let asked = if side == Side::Host { &self.host } else { &self.virt };
        asked.lock().unwrap().iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }
}

fn owner(uid: &str) -> OwnerRecord {
    let text = |text: &str| text.to_owned();
    OwnerRecord {
        cluster: text(ID),
        kind: kinds::CONFIG_MAP.group_kind(),
        namespace: text("default"),
        name: text("a"),
        uid: text(uid),
    }
}

fn key() -> HostKey {
    HostKey::new("team-a", "a-x-default-x-vc-1")
}

const COLLECTION: &str = "/api/v1/namespaces/team-a/configmaps";

const PLACE: &str = "/api/v1/namespaces/team-a/configmaps/a-x-default-x-vc-1";

fn host_object(uid: &str, data: &str) -> Value {
    let (owner, key) = (owner(uid), key());
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "team-a", "name": key.name(), "uid": "host-uid", "resourceVersion": "7",
                     "labels": owner.labels("vc-1"), "annotations": owner.annotations("team-a", key.name())},
        "data": {"k": data},
    })
}

fn foreign_object() -> Value {
    json!({"kind": "ConfigMap", "metadata": {"namespace": "team-a", "name": key().name(), "uid": "theirs", "resourceVersion": "3"}})
}

fn apply(uid: &str, data: &str) -> Effect {
    let table = Table::new(&[("", &[copy("data").whole().kept()])]).unwrap();
    Effect::ApplyHost(Box::new(ApplyHost {
        kind: kinds::CONFIG_MAP,
        key: key(),
        owner: owner(uid),
        desired: host_object(uid, data),
        table: Some(Arc::new(table)),
        fallback: None,
    }))
}

const SYSTEM: &str = "/api/v1/namespaces/kube-system";

fn system_of(id: &str) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": "kube-system", "uid": id}})
}

const NODE: &str = "/api/v1/nodes/node-1";

fn picture() -> Value {
    json!({"kind": "Node", "metadata": {"name": "node-1", "uid": "n", "resourceVersion": "4", "labels": {MANAGED_BY: "vc-1"}}})
}

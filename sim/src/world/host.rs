//! Users of the host: they evict, delete by hand, take names, and damage objects of ours.

use std::sync::Arc;

use serde_json::{Value, json};
use tenet_mapper::kinds;

use super::{ADMIN, INTRUDER, NODE};
use crate::api::{Cluster, Object, PatchType, QUOTA};
use crate::oracle::record;
use crate::script::{Act, Damage, Name, What};

/// The UID that a hostile writer puts into an owner record. The owner of the object is unknown then.
pub const FORGED_UID: &str = "another";

/// Reason of the events that components of the host tell.
pub const TOLD: &str = "Unhealthy";

/// Label `app` of an object that is not ours.
pub const FOREIGN: &str = "foreign";

/// A user of the host.
pub struct HostUser {
    host: Cluster,
    namespace: String,
}

impl HostUser {
    /// A user who works in the host namespace of a virtual cluster.
    pub fn new(host: Cluster, namespace: &str) -> Self {
        Self { host, namespace: namespace.to_owned() }
    }

    /// Performs an act. Returns false if there was nothing to act on.
    pub fn act(&self, act: &Act) -> bool {
        match act {
            Act::Evict(name) | Act::Remove(name) => self.remove(name),
            Act::Foreign(name) => self.take(name),
            Act::DropForeign(name) => self.release(name),
            Act::Damage(name, Damage::Clone) => self.clone_of(name),
            Act::Damage(name, damage) => self.damage(name, *damage),
            Act::Tell(name) => self.tell(name),
            Act::Quota(pods) => self.allow(*pods),
            _ => true,
        }
    }

    /// Returns the copy of an object.
    fn copy(&self, name: &Name) -> Option<Arc<Object>> {
        let copies = self.host.list(name.kind.kind(), &self.namespace);
        copies.into_iter().find(|copy| {
            record(copy).is_some_and(|record| record.namespace == name.namespace && record.name == name.name)
        })
    }

    fn remove(&self, name: &Name) -> bool {
        let Some(copy) = self.copy(name) else { return false };
        let options = json!({"preconditions": {"uid": copy.uid()}});
        self.host.delete(ADMIN, name.kind.kind(), &self.namespace, copy.name(), options).is_ok()
    }

    fn take(&self, name: &Name) -> bool {
        let metadata = json!({"name": host_name(name), "labels": {"app": FOREIGN}});
        let object = match name.kind {
            What::Pod => {
                json!({"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "example.com/other:1"}]}})
            }
            What::Service => json!({"metadata": metadata, "spec": {"ports": [{"port": 80}]}}),
            _ => json!({"metadata": metadata}),
        };
        self.host.create(ADMIN, name.kind.kind(), &self.namespace, object).is_ok()
    }

    fn release(&self, name: &Name) -> bool {
        let host_name = host_name(name);
        let found = self.host.get(name.kind.kind(), &self.namespace, &host_name);
        if found.is_none_or(|found| record(&found).is_some()) {
            return false;
        }
        let options = if name.kind == What::Pod { json!({"gracePeriodSeconds": 0}) } else { json!({}) };
        self.host.delete(ADMIN, name.kind.kind(), &self.namespace, &host_name, options).is_ok()
    }

    fn damage(&self, name: &Name, damage: Damage) -> bool {
        let Some(copy) = self.copy(name) else { return false };
        let body = match (damage, name.kind) {
            (Damage::Mark, _) => json!({"metadata": {"labels": {"tenet.sh/managed-by": null}}}),
            (Damage::Record, _) => json!({"metadata": {
                "annotations": {"tenet.sh/cluster": null, "tenet.sh/uid": null, "tenet.sh/host-name": null},
                "labels": {"intruder": "was here"},
            }}),
            (Damage::Bare, _) => bare(&copy),
            (Damage::Owner, _) => json!({"metadata": {"annotations": {"tenet.sh/uid": FORGED_UID}}}),
            (_, What::ConfigMap) => json!({"data": {"value": "damaged"}}),
            (_, What::Secret) => json!({"data": {"value": "ZGFtYWdlZA=="}}),
            _ => json!({"metadata": {"labels": {"app": "damaged", "intruder": "was here"}}}),
        };
        let at = (self.namespace.as_str(), copy.name());
        self.host.patch(INTRUDER, name.kind.kind(), at, None, PatchType::Merge, body).is_ok()
    }

    /// Creates another object with everything that marks the copy of an object as ours, under the name that the copy of
    /// another object would have.
    fn clone_of(&self, name: &Name) -> bool {
        let Some(copy) = self.copy(name) else { return false };
        let restored = Name { name: format!("{}-restored", name.name), ..name.clone() };
        let mut metadata = json!({"name": host_name(&restored)});
        for map in ["labels", "annotations"] {
            metadata[map] = copy["metadata"][map].clone();
        }
        metadata["labels"]["app"] = json!(FOREIGN);
        let mut clone = json!({"metadata": metadata});
        for member in ["data", "type", "spec"] {
            if let Some(value) = copy.get(member) {
                clone[member] = value.clone();
            }
        }
        if let Some(spec) = clone.get_mut("spec").and_then(Value::as_object_mut) {
            spec.retain(|member, _| !matches!(member.as_str(), "nodeName" | "clusterIP" | "clusterIPs"));
        }
        self.host.create(INTRUDER, name.kind.kind(), &self.namespace, clone).is_ok()
    }

    /// Tells an event about the host pod of a pod, in the words of the host.
    fn tell(&self, name: &Name) -> bool {
        let Some(copy) = self.copy(name) else { return false };
        let (host_name, uid) = (copy.name(), copy.uid());
        let about = json!({"apiVersion": "v1", "kind": name.kind.kind().kind, "namespace": self.namespace,
                           "name": host_name, "uid": uid});
        let time = copy["metadata"]["creationTimestamp"].clone();
        let event = json!({
            "metadata": {"generateName": format!("{host_name}.")}, "involvedObject": about, "reason": TOLD,
            "message": format!("probe of container main in pod {host_name}_{}({uid}) failed", self.namespace),
            "type": "Warning",
            "source": {"component": "kubelet"}, "count": 1, "firstTimestamp": time, "lastTimestamp": time,
        });
        self.host.create(NODE, kinds::EVENT, &self.namespace, event).is_ok()
    }

    /// Allows so many pods; any number when absent.
    pub fn allow(&self, pods: Option<u64>) -> bool {
        let at = (self.namespace.as_str(), "compute");
        let found = self.host.get(QUOTA, at.0, at.1).is_some();
        let Some(pods) = pods else {
            return found && self.host.delete(ADMIN, QUOTA, at.0, at.1, json!({})).is_ok();
        };
        let spec = json!({"hard": {"pods": pods.to_string()}});
        let written = if found {
            self.host.patch(ADMIN, QUOTA, at, None, PatchType::Merge, json!({"spec": spec}))
        } else {
            self.host.create(ADMIN, QUOTA, at.0, json!({"metadata": {"name": at.1}, "spec": spec}))
        };
        written.is_ok()
    }

    /// Removes what stands in the way: objects of ours that were damaged, and objects of others under our names. Events
    /// end too, as those of a host do after an hour.
    pub fn clear(&self) {
        for event in self.host.list(kinds::EVENT, &self.namespace) {
            drop(self.host.delete(ADMIN, kinds::EVENT, &self.namespace, event.name(), json!({})));
        }
        for what in [What::Pod, What::Service, What::ConfigMap, What::Secret] {
            for object in self.host.list(what.kind(), &self.namespace) {
                let is_taken = object["metadata"]["labels"]["app"] == FOREIGN;
                let annotations = &object["metadata"]["annotations"];
                let is_marked = object["metadata"]["labels"]["intruder"].is_string() && record(&object).is_none();
                let is_damaged = is_marked
                    || annotations["tenet.sh/uid"] == FORGED_UID
                    || (annotations["tenet.sh/uid"].is_string()
                        && object["metadata"]["labels"]["tenet.sh/managed-by"].is_null());
                if is_taken || is_damaged {
                    drop(self.host.delete(
                        ADMIN,
                        what.kind(),
                        &self.namespace,
                        object.name(),
                        json!({"gracePeriodSeconds": 0}),
                    ));
                }
            }
        }
    }
}

/// Returns the change that removes every label and annotation of the syncer.
fn bare(copy: &Object) -> Value {
    let mut change = json!({"metadata": {"labels": {"intruder": "was here"}}});
    for map in ["labels", "annotations"] {
        let keys = copy["metadata"][map].as_object().into_iter().flatten().map(|(key, _)| key);
        for key in keys.filter(|key| key.starts_with("tenet.sh/")) {
            change["metadata"][map][key] = Value::Null;
        }
    }
    change
}

/// The name that the copy of an object gets on the host.
pub(super) fn host_name(name: &Name) -> String {
    format!("{}-x-{}-x-{}", name.name, name.namespace, crate::run::NAME)
}

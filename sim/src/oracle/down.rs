//! Writes of a syncer on the host.

use serde_json::Value;
use tenet_mapper::kinds;

use super::pods::is_gated;
use super::{Oracle, Promise, Record, names_uid, record};
use crate::api::{AuditEntry, Object, Verb};
use crate::network::Clusters;
use crate::script::GATE;
use crate::world::is_finished;

/// Time for which an object may still be deleted that is needed only since.
const RACE: time::Duration = time::Duration::seconds(30);

impl Oracle {
    pub(super) fn down(&mut self, entry: &AuditEntry, clusters: &Clusters) {
        let name = format!("{} {}/{}", entry.kind.kind, entry.namespace, entry.name);
        if entry.namespace != self.namespace {
            // A virtual cluster without a claim belongs to whoever claims it first, from another namespace too.
            if !self.is_unclaimed {
                self.fail(Promise::Foreign, format!("{} wrote {name} outside of the host namespace", entry.user));
            }
            return;
        }
        if is_claim(entry) {
            return;
        }
        for object in [&entry.before, &entry.after].into_iter().flatten() {
            if record(object).is_none_or(|record| !self.is_of_cluster(&record)) {
                self.fail(Promise::Foreign, format!("{} wrote {name}, which is not ours", entry.user));
                return;
            }
        }
        let Some(record) = entry.before.as_ref().or(entry.after.as_ref()).and_then(|object| record(object)) else {
            return;
        };
        match (&entry.before, &entry.after) {
            (None, Some(_)) if entry.kind == kinds::POD => self.created(&name, &record, clusters),
            (None, Some(_)) if matches!(record.kind.as_str(), "ConfigMap" | "Secret") => {
                self.brought(&name, &record, clusters);
            }
            (None, Some(_)) if entry.kind == kinds::PERSISTENT_VOLUME_CLAIM => self.claimed(&name, &record, clusters),
            (Some(before), _) if entry.verb == Verb::Delete => {
                if !names_uid(&entry.body, before.uid()) {
                    self.fail(Promise::Uid, format!("{} deleted {name} without its UID", entry.user));
                }
                self.deleted(entry, before, &record, clusters);
            }
            (Some(before), Some(after))
                if entry.kind == kinds::POD
                    && before["status"] != after["status"]
                    && status_of_host(before) != status_of_host(after) =>
            {
                self.fail(Promise::Writer, format!("{} wrote the status of the host pod {name}", entry.user));
            }
            _ => {}
        }
    }

    /// A host pod was created for a virtual pod.
    fn created(&mut self, name: &str, record: &Record, clusters: &Clusters) {
        let twins = clusters.host.list(kinds::POD, "");
        let running = twins
            .iter()
            .filter(|pod| super::record(pod).is_some_and(|twin| twin.uid == record.uid) && !is_finished(pod));
        if running.count() > 1 {
            self.fail(Promise::Twice, format!("{name} is a second host pod of {}/{}", record.namespace, record.name));
        }
        let virt = clusters.virt.get(kinds::POD, &record.namespace, &record.name);
        if virt.as_ref().is_some_and(|virt| virt.uid() == record.uid && is_gated(virt)) {
            self.fail(Promise::Held, format!("{name} was created for a pod that a scheduling gate holds"));
        }
        let has_run = virt.is_some_and(|virt| {
            virt.uid() == record.uid
                && (virt["spec"]["nodeName"].is_string() || virt["status"]["startTime"].is_string())
        });
        if has_run && self.history.of(&record.uid).twins > 0 {
            self.fail(
                Promise::Twice,
                format!("{name} was created again for {}/{}, which has run", record.namespace, record.name),
            );
        }
    }

    /// Content was brought to the host. What only pods mount that may not run yet stays away.
    fn brought(&mut self, name: &str, record: &Record, clusters: &Clusters) {
        let mut pods = clusters.virt.list(kinds::POD, &record.namespace);
        pods.retain(|pod| mounts(pod, &record.kind, &record.name));
        if !pods.is_empty() && pods.iter().all(|pod| is_gated(pod)) {
            self.fail(Promise::Held, format!("{name} was created for pods that scheduling gates hold"));
        }
    }

    /// A claim was created on the host for a virtual one. After its first volume it would be empty.
    fn claimed(&mut self, name: &str, record: &Record, clusters: &Clusters) {
        let virt = clusters.virt.get(kinds::PERSISTENT_VOLUME_CLAIM, &record.namespace, &record.name);
        if virt.is_some_and(|virt| virt.uid() == record.uid && virt["spec"]["volumeName"].is_string()) {
            self.fail(
                Promise::Twice,
                format!("{name} was created again for {}/{}, which had a volume", record.namespace, record.name),
            );
        }
    }

    fn deleted(&mut self, entry: &AuditEntry, host: &Object, record: &Record, clusters: &Clusters) {
        let (namespace, name) = (&record.namespace, &record.name);
        let of = |kind| {
            let found = clusters.virt.get(kind, namespace, name);
            found.filter(|found| found.uid() == record.uid && !found.is_deleting())
        };
        match record.kind.as_str() {
            "Pod" => {
                let Some(virt) = of(kinds::POD).filter(|virt| !is_finished(virt)) else { return };
                let nodes = (&virt["spec"]["nodeName"], &host["spec"]["nodeName"]);
                let is_apart = entry.kind == kinds::POD && nodes.0.is_string() && nodes.0 != nodes.1;
                if !is_apart {
                    self.fail(
                        Promise::Lost,
                        format!("{} deleted the {} of the live pod {namespace}/{name}", entry.user, entry.kind.kind),
                    );
                }
            }
            "Service" if entry.kind == kinds::SERVICE => {
                let live = clusters.virt.get(kinds::SERVICE, namespace, name).filter(|virt| !virt.is_deleting());
                let has_address = |virt: &Object| virt["spec"]["clusterIP"] == host["spec"]["clusterIP"];
                let is_needed = live.is_some_and(|virt| {
                    let is_copy = virt.uid() == record.uid && virt["spec"]["type"] != "ExternalName";
                    is_copy || (self.history.is_reserved(host.uid()) && has_address(&virt))
                });
                if is_needed {
                    self.fail(
                        Promise::Lost,
                        format!("{} deleted the host Service of the live Service {namespace}/{name}", entry.user),
                    );
                }
            }
            "PersistentVolumeClaim" if of(kinds::PERSISTENT_VOLUME_CLAIM).is_some() => {
                self.fail(
                    Promise::Lost,
                    format!("{} deleted the copy of the live claim {namespace}/{name}", entry.user),
                );
            }
            "ConfigMap" | "Secret" => {
                let kind = if record.kind == "Secret" { kinds::SECRET } else { kinds::CONFIG_MAP };
                let since = entry.time - RACE;
                let needs = |pod: &Object| {
                    !pod.is_deleting()
                        && !is_finished(pod)
                        && mounts(pod, &record.kind, name)
                        && created_before(pod, since)
                };
                let pods = clusters.virt.list(kinds::POD, namespace);
                if of(kind).is_some() && pods.iter().any(|pod| needs(pod)) {
                    self.fail(
                        Promise::Lost,
                        format!(
                            "{} deleted the copy of {} {namespace}/{name}, which a pod mounts",
                            entry.user, record.kind
                        ),
                    );
                }
            }
            _ => {}
        }
    }
}

/// Returns the status of a host pod without the condition that crosses from inside.
fn status_of_host(pod: &Object) -> Value {
    let mut status = pod["status"].clone();
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.retain(|condition| condition["type"] != GATE);
    }
    status
}

/// Returns true for an object with which the syncer claims a namespace, which has no original.
pub(super) fn is_claim(entry: &AuditEntry) -> bool {
    let objects = [&entry.before, &entry.after];
    objects.into_iter().flatten().any(|object| {
        let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
        let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
        labels.chain(annotations).any(|(key, _)| key.starts_with("tenet.sh/claim"))
    })
}

/// Returns true if a pod mounts an object.
pub(super) fn mounts(pod: &Value, kind: &str, name: &str) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut volumes = volumes.into_iter();
    volumes.any(|volume| {
        let direct = if kind == "Secret" { &volume["secret"]["secretName"] } else { &volume["configMap"]["name"] };
        let sources = volume["projected"]["sources"].as_array().into_iter().flatten();
        let member = if kind == "Secret" { "secret" } else { "configMap" };
        *direct == *name || sources.into_iter().any(|source| source[member]["name"] == *name)
    })
}

pub(super) fn created_before(object: &Value, instant: time::OffsetDateTime) -> bool {
    let text = object["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    let created = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    created.is_ok_and(|created| created < instant)
}

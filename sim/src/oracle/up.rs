//! Writes of a syncer in the virtual cluster.

use std::time::Duration;

use serde_json::Value;
use tenet_mapper::kinds;
use tokio::time::Instant;

use super::down::is_claim;
use super::pods::value;
use super::{Oracle, Promise, names_uid, record};
use crate::api::{AuditEntry, Object, Verb};
use crate::network::Clusters;
use crate::run::NAME;
use crate::script::GATE;
use crate::world::is_finished;

/// Time in which a pod gets its node inside.
const PROMPT: Duration = Duration::from_secs(10);
/// Time that a request which was decided before may still take.
const REACTION: Duration = Duration::from_millis(50);

impl Oracle {
    pub(super) fn up(&mut self, entry: &AuditEntry, clusters: &Clusters) {
        let name = format!("{} {}/{}", entry.kind.kind, entry.namespace, entry.name);
        match entry.kind.kind {
            // Volumes are pictures, which hold nothing.
            "PersistentVolume" => return,
            "Event" => {
                self.reads(entry);
                return;
            }
            "Node" => {
                self.pictures(entry, clusters);
                return;
            }
            "Pod" | "Service" | "PersistentVolumeClaim" => {}
            // The policies that keep tenants from pictures.
            "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding" if entry.name.starts_with("tenet-") => {
                return;
            }
            _ if is_claim(entry) => return,
            _ => {
                self.fail(Promise::Foreign, format!("{} wrote the virtual {name}", entry.user));
                return;
            }
        }
        let Some(before) = &entry.before else {
            self.fail(Promise::Foreign, format!("{} created the virtual {name}", entry.user));
            return;
        };
        if !names_uid(&entry.body, before.uid()) {
            self.fail(Promise::Uid, format!("{} wrote the virtual {name} without its UID", entry.user));
        }
        if entry.subresource == "binding" && self.is_prompt {
            self.bound(entry, before, clusters);
        }
        if entry.kind == kinds::POD && entry.verb == Verb::Delete {
            self.ends(entry, before, clusters);
        } else if entry.verb == Verb::Delete {
            self.fail(Promise::Lost, format!("{} deleted the virtual {name}", entry.user));
        }
        if entry.kind == kinds::POD && entry.subresource == "status" {
            self.shows(entry, before, clusters);
            if entry.after.as_ref().is_some_and(|after| value(after, GATE) != value(before, GATE)) {
                self.fail(Promise::Writer, format!("{} wrote a condition of a tenant to the {name}", entry.user));
            }
        }
        if let Some(after) = &entry.after
            && let Some(field) = owned_by_tenant(entry.kind.kind, before, after)
        {
            self.fail(Promise::Writer, format!("{} wrote {field} of the virtual {name}", entry.user));
        }
    }

    /// A syncer tells an event, which a tenant reads.
    fn reads(&mut self, entry: &AuditEntry) {
        let message = entry.after.as_ref().and_then(|event| event["message"].as_str()).unwrap_or_default();
        let end = format!("-x-{NAME}");
        let mut words = message.split(|c: char| !(c.is_alphanumeric() || c == '-'));
        if let Some(word) = words.find(|word| *word == self.namespace || word.ends_with(&end)) {
            let why = format!("{} told an event with the host's name {word}: {message}", entry.user);
            self.fail(Promise::Words, why);
        }
    }

    /// A syncer shows the status of a pod.
    fn shows(&mut self, entry: &AuditEntry, before: &Object, clusters: &Clusters) {
        if is_finished(before) || !entry.after.as_deref().is_some_and(|after| is_finished(after)) {
            return;
        }
        let twins = clusters.host.list(kinds::POD, "");
        let mut living = twins.iter().filter(|twin| !is_finished(twin));
        if let Some(twin) = living.find(|twin| record(twin).is_some_and(|record| record.uid == before.uid())) {
            let name = format!("{}/{}", entry.namespace, entry.name);
            let why =
                format!("{} showed the end of the pod {name} while its host pod {} lives", entry.user, twin.name());
            self.fail(Promise::Lost, why);
        }
    }

    /// A syncer deletes a virtual pod, or begins to.
    fn ends(&mut self, entry: &AuditEntry, before: &Object, clusters: &Clusters) {
        let name = format!("{}/{}", entry.namespace, entry.name);
        let life = self.history.of(before.uid());
        let twins = clusters.host.list(kinds::POD, "");
        // Its owner record may have been removed.
        let twin = twins
            .iter()
            .find(|pod| record(pod).is_some_and(|record| record.uid == before.uid()) || pod.uid() == life.twin);
        if entry.after.is_none()
            && let Some(twin) = twin
        {
            self.fail(
                Promise::Lost,
                format!("{} removed the pod {name} while its host pod {} exists", entry.user, twin.name()),
            );
        }
        if !before.is_deleting() {
            let is_ending = twin.is_some_and(|twin| twin.is_deleting()) || (twin.is_none() && life.twins > 0);
            if !is_ending {
                self.fail(Promise::Lost, format!("{} deleted the live pod {name}", entry.user));
            } else if life.is_ended_by_syncer {
                self.fail(Promise::Lost, format!("{} ended both sides of the live pod {name}", entry.user));
            }
        }
        if entry.after.is_none()
            && let Some((last, gone)) = &life.last
            && is_finished(last)
            && last["status"]["phase"] != before["status"]["phase"]
            && (!self.is_blind(*gone) || self.knows_end(&entry.user, last))
        {
            let (told, was) = (&before["status"]["phase"], &last["status"]["phase"]);
            self.fail(Promise::Final, format!("the pod {name} was removed as {told}, and its host pod ended as {was}"));
        }
    }
}

impl Oracle {
    /// A virtual pod gets its node, in a run without delays.
    fn bound(&mut self, entry: &AuditEntry, before: &Object, clusters: &Clusters) {
        let twins = clusters.host.list(kinds::POD, "");
        let twin = twins.iter().find(|pod| record(pod).is_some_and(|record| record.uid == before.uid()));
        let since = twin.and_then(|twin| self.history.bound(twin.uid())).map(|bound| bound.elapsed());
        if let Some(since) = since.filter(|since| *since > PROMPT) {
            let name = format!("{}/{}", entry.namespace, entry.name);
            self.fail(Promise::Late, format!("the pod {name} got its node {since:?} after its host pod"));
        }
    }

    /// Returns true if a syncer may have missed the end of a host pod that has gone then.
    fn is_blind(&self, gone: Instant) -> bool {
        self.blind.iter().any(|(from, to)| *to >= gone && *from <= Instant::now())
    }

    /// Returns true if a syncer knew the last state of a host pod when it sent what is judged now.
    fn knows_end(&self, user: &str, last: &Object) -> bool {
        let told = self.told.get(&(user.to_owned(), last.uid().to_owned()));
        told.is_some_and(|told| told.elapsed() > REACTION)
    }

    /// A syncer writes the picture of a node.
    fn pictures(&mut self, entry: &AuditEntry, clusters: &Clusters) {
        let Some(before) = &entry.before else { return };
        if !names_uid(&entry.body, before.uid()) {
            self.fail(Promise::Uid, format!("{} wrote the virtual Node {} without its UID", entry.user, entry.name));
        }
        if entry.verb != Verb::Delete {
            return;
        }
        let pods = clusters.host.list(kinds::POD, "");
        let living = pods.iter().find(|pod| {
            let is_there = pod["spec"]["nodeName"] == entry.name && !pod.is_deleting() && !is_finished(pod);
            let bound = self.history.bound(pod.uid());
            is_there && record(pod).is_some() && bound.is_some_and(|bound| bound.elapsed() > REACTION + self.delay)
        });
        if let Some(pod) = living {
            let why = format!("{} deleted the virtual Node {} of the host pod {}", entry.user, entry.name, pod.name());
            self.fail(Promise::Lost, why);
        }
    }
}

/// Returns a field of the tenant that a write has changed.
fn owned_by_tenant(kind: &str, before: &Value, after: &Value) -> Option<&'static str> {
    let differs = |pointer: &str| match pointer {
        "/metadata/annotations" => annotations(before).ne(annotations(after)),
        "/metadata/finalizers" => finalizers(before).ne(finalizers(after)),
        _ => before.pointer(pointer) != after.pointer(pointer),
    };
    let fields: &[&'static str] = match kind {
        "Pod" => {
            &["/metadata/labels", "/metadata/annotations", "/metadata/finalizers", "/spec/containers", "/spec/volumes"]
        }
        "PersistentVolumeClaim" => &[
            "/metadata/labels",
            "/metadata/annotations",
            "/metadata/finalizers",
            "/spec/accessModes",
            "/spec/resources",
        ],
        _ => &[
            "/metadata/labels",
            "/metadata/annotations",
            "/metadata/finalizers",
            "/spec/selector",
            "/spec/sessionAffinity",
        ],
    };
    fields.iter().find(|field| differs(field)).copied()
}

/// Returns the annotations of the tenant: all but the mark of a binding, which the API server copies to its pod.
fn annotations(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = object["metadata"]["annotations"].as_object().into_iter().flatten();
    all.filter(|(key, _)| *key != "tenet.sh/bound")
}

/// Returns the finalizers of others than the syncer.
fn finalizers(object: &Value) -> impl Iterator<Item = &Value> {
    let all = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    all.filter(|finalizer| **finalizer != *"tenet.sh/host-claim")
}

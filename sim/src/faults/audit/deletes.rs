//! Proof of each delete of the syncer: who ended the original before?

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::super::finding::{Class, Finding};
use super::super::references::references;
use super::{Entry, SYNCER, key, text};

/// Name that stands for all objects of a collection.
const EVERY: &str = "*";

/// Returns the virtual objects that the syncer deleted although nobody else had deleted them.
pub(super) fn inside(inside: &[Entry], has_deleted: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut ended: BTreeSet<String> = BTreeSet::new();
    let mut findings = Vec::new();
    for entry in inside.iter().filter(|entry| entry.may_be_done()) {
        let (is_delete, object) = (entry.verb == "delete", entry.object());
        if entry.verb == "create" && entry.subresource.is_empty() {
            if entry.is_done() {
                ended.remove(&object);
            }
        } else if entry.verb == "deletecollection" {
            ended.insert(everything(entry));
        } else if is_delete && entry.user != SYNCER {
            ended.insert(object);
        } else if is_delete && entry.is_done() && entry.resource == "pods" {
            let uid = text(&entry.body, "/preconditions/uid");
            if uid.is_empty() {
                let why = format!("deleted without a UID: {}", entry.line());
                findings.push(Finding::new(Class::Lost, format!("virtual {object}"), &entry.name, why));
            } else if !ended.contains(&object) && !ended.contains(&everything(entry)) && !has_deleted(uid) {
                let why = format!("deleted by the syncer, and by nobody before: {}", entry.line());
                findings.push(Finding::new(Class::Lost, format!("virtual {object}"), &entry.name, why));
            }
        } else if is_delete && entry.is_done() && !matches!(entry.resource.as_str(), "nodes" | "events") {
            let why = format!("deleted by the syncer: {}", entry.line());
            findings.push(Finding::new(Class::Lost, format!("virtual {object}"), &entry.name, why));
        }
    }
    findings
}

/// Returns the host objects that the syncer deleted without a reason: copies of pods and Services whose originals
/// nobody had deleted, and copies of `ConfigMaps` and `Secrets` that a host pod needed.
pub(super) fn on_host(host: &[Entry], inside: &[Entry], has_deleted: impl Fn(&str) -> bool) -> Vec<Finding> {
    let inside = Inside::read(inside);
    let mut created: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    let mut users: BTreeMap<&str, Copy<'_>> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in host.iter().filter(|entry| entry.may_be_done()) {
        let is_of_syncer = entry.is_write_of_syncer() && entry.subresource.is_empty();
        let is_end = entry.verb == "delete" && is_of_syncer;
        if entry.resource == "pods" && (entry.verb == "delete" || entry.is_final()) {
            users.remove(entry.name.as_str());
        }
        if entry.verb == "create" && is_of_syncer {
            let copies = created.entry(entry.object()).or_default();
            copies.push(entry);
            if entry.is_pod() {
                users.extend(Copy::latest(copies).map(|copy| (entry.name.as_str(), copy)));
            }
        }
        let unproven = match entry.resource.as_str() {
            "pods" | "services" if is_end => created
                .get(&entry.object())
                .and_then(|copies| Copy::latest(copies))
                .filter(|copy| !copy.is_ended(entry.at, &inside) && !has_deleted(copy.of("uid")))
                .map(|_| "deleted by the syncer, and its original by nobody before".to_owned()),
            "configmaps" | "secrets" if is_end => users
                .values()
                .find(|pod| pod.needs(entry, &inside) && !has_deleted(pod.of("uid")))
                .map(|pod| format!("deleted by the syncer, and the host pod {} needs it", pod.created.name)),
            _ => None,
        };
        findings.extend(unproven.map(|why| {
            let why = format!("{why}: {}", entry.line());
            let name = entry.name.split_once("-x-").map_or(entry.name.as_str(), |(name, _)| name);
            Finding::new(Class::Lost, format!("host {}", entry.object()), name, why)
        }));
    }
    findings
}

/// Times at which the originals were created and deleted, by object.
struct Inside {
    created: BTreeMap<String, Vec<Times>>,
    ended: BTreeMap<String, Vec<Times>>,
}

/// Times at which a request arrived and was answered. It took effect in between.
struct Times {
    received: OffsetDateTime,
    answered: OffsetDateTime,
}

impl Inside {
    fn read(entries: &[Entry]) -> Self {
        let mut inside = Self { created: BTreeMap::new(), ended: BTreeMap::new() };
        for entry in entries.iter().filter(|entry| entry.user != SYNCER && entry.may_be_done()) {
            let (times, object) = match entry.verb.as_str() {
                "create" if entry.subresource.is_empty() && entry.is_done() => (&mut inside.created, entry.object()),
                "delete" => (&mut inside.ended, entry.object()),
                "deletecollection" => (&mut inside.ended, everything(entry)),
                _ => continue,
            };
            times.entry(object).or_default().push(Times { received: entry.received, answered: entry.at });
        }
        inside
    }

    /// Returns true if somebody deleted an object in this time.
    fn has_ended(&self, object: &Original<'_>, since: Option<OffsetDateTime>, until: OffsetDateTime) -> bool {
        let names = [object.key(), Original { name: EVERY, ..*object }.key()];
        let mut times = names.iter().filter_map(|name| self.ended.get(name)).flatten();
        times.any(|end| end.received <= until && since.is_none_or(|since| end.answered >= since))
    }

    /// Returns true if an object was certainly stored at this time.
    fn is_stored(&self, object: &Original<'_>, at: OffsetDateTime) -> bool {
        let mut creates = self.created.get(&object.key()).into_iter().flatten();
        let last = creates.rfind(|create| create.answered <= at);
        last.is_some_and(|create| !self.has_ended(object, Some(create.received), at))
    }
}

/// Names a virtual object.
struct Original<'e> {
    resource: &'e str,
    namespace: &'e str,
    name: &'e str,
}

impl Original<'_> {
    fn key(&self) -> String {
        key(self.resource, self.namespace, self.name)
    }
}

/// A host object as the syncer created it.
struct Copy<'e> {
    created: &'e Entry,
    /// No other object had this name before.
    is_first: bool,
}

impl<'e> Copy<'e> {
    fn latest(copies: &[&'e Entry]) -> Option<Self> {
        Some(Self { created: copies.last()?, is_first: copies.len() == 1 })
    }

    /// Returns an entry of its owner record.
    fn of(&self, key: &str) -> &'e str {
        self.created.body["metadata"]["annotations"][format!("tenet.sh/{key}")].as_str().unwrap_or_default()
    }

    /// Returns true if somebody deleted the original by then, or if there was none: a reservation for a Service that
    /// was not stored.
    fn is_ended(&self, until: OffsetDateTime, inside: &Inside) -> bool {
        let resource = self.created.resource.as_str();
        let original = Original { resource, namespace: self.of("namespace"), name: self.of("name") };
        if resource == "services" {
            return !inside.is_stored(&original, until);
        }
        // A delete before this copy was created may be that of an earlier object of the name.
        let since = (!self.is_first).then_some(self.created.received);
        inside.has_ended(&original, since, until)
    }

    /// Returns true for a pod that refers to the object which this entry deletes, while both originals are there.
    fn needs(&self, end: &Entry, inside: &Inside) -> bool {
        let mut needed = Vec::new();
        references(&self.created.body["spec"], &mut needed);
        let refers = needed.iter().any(|needed| needed.resource() == end.resource && needed.name == end.name);
        let namespace = self.of("namespace");
        // The name of the copy of an object that the tenant named; other content belongs to the pod.
        let name = end.name.split_once(&format!("-x-{namespace}-x-")).map(|(name, _)| name);
        let original = name.map(|name| Original { resource: &end.resource, namespace, name });
        let is_gone = original.is_some_and(|original| inside.has_ended(&original, None, end.at));
        refers && !is_gone && !self.is_ended(end.at, inside)
    }
}

/// Stands for all objects that a request for a collection deletes.
fn everything(entry: &Entry) -> String {
    key(&entry.resource, &entry.namespace, EVERY)
}

#[cfg(test)]
mod tests {
    use super::super::entries;
    use super::super::tests::{entry, event};
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_delete_by_the_syncer_needs_one_by_somebody_else_since_the_create() {
        let body = json!({"preconditions": {"uid": "u"}});
        let judge = |entries: &[Entry]| inside(entries, |_| false).len();
        let created = || entry(1, "tenant", "create", "p", &Value::Null);
        assert_eq!(judge(&[created(), entry(2, SYNCER, "delete", "p", &body)]), 1);
        let asked = entry(2, "tenant", "delete", "p", &Value::Null);
        assert_eq!(judge(&[created(), asked, entry(3, SYNCER, "delete", "p", &body)]), 0);
        let earlier = entry(0, "tenant", "delete", "p", &Value::Null);
        assert_eq!(judge(&[earlier, created(), entry(3, SYNCER, "delete", "p", &body)]), 1);
        let blind = entry(2, SYNCER, "delete", "p", &Value::Null);
        assert_eq!(judge(&[entry(1, "tenant", "delete", "p", &Value::Null), blind]), 1, "without a UID");
        for (code, found) in [(200, 0), (404, 1), (409, 1), (500, 0)] {
            let mut asked = event(2, "tenant", "delete", "p", &Value::Null);
            asked["responseStatus"]["code"] = json!(code);
            let asked = Entry::parse(&asked.to_string()).unwrap();
            assert_eq!(judge(&[created(), asked, entry(3, SYNCER, "delete", "p", &body)]), found, "{code}");
        }
    }

    #[test]
    fn a_delete_that_was_not_answered_counts_when_its_api_server_was_killed() {
        let body = json!({"preconditions": {"uid": "u"}});
        let mut arrived = event(2, "tenant", "delete", "p", &Value::Null);
        arrived["stage"] = json!("RequestReceived");
        let mut refused = event(2, "tenant", "delete", "p", &Value::Null);
        refused["responseStatus"]["code"] = json!(409);
        let judge = |events: &[&Value]| {
            let dir = tempfile();
            let created = event(1, "tenant", "create", "p", &Value::Null);
            let ended = event(3, SYNCER, "delete", "p", &body);
            let all = [&[&created], events, &[&ended]].concat();
            let text: Vec<_> = all.iter().map(ToString::to_string).collect();
            std::fs::write(&dir, text.join("\n")).unwrap();
            let found = inside(&entries(&dir).unwrap(), |_| false).len();
            std::fs::remove_file(&dir).unwrap();
            found
        };
        assert_eq!(judge(&[&arrived]), 0, "nobody knows whether it was performed");
        assert_eq!(judge(&[&arrived, &refused]), 1, "it was refused");
    }

    fn tempfile() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("tenet-audit-{}.log", std::process::id()))
    }

    #[test]
    fn a_host_pod_may_be_deleted_after_its_virtual_pod() {
        let copy = |second, uid: &str| {
            let annotations = json!({"tenet.sh/uid": uid, "tenet.sh/namespace": "a", "tenet.sh/name": "p"});
            entry(second, SYNCER, "create", "p-x", &json!({"metadata": {"annotations": annotations}}))
        };
        let end = |second| entry(second, SYNCER, "delete", "p-x", &Value::Null);
        let asked = |second| entry(second, "tenant", "delete", "p", &Value::Null);
        let judge = |host: &[Entry], inside: &[Entry]| on_host(host, inside, |uid| uid == "mine").len();
        assert_eq!(judge(&[copy(1, "u"), end(3)], &[asked(2)]), 0);
        assert_eq!(judge(&[copy(1, "u"), end(3)], &[]), 1);
        assert_eq!(judge(&[copy(1, "u"), end(3)], &[asked(4)]), 1, "too early");
        assert_eq!(judge(&[copy(1, "mine"), end(3)], &[]), 0, "the ledger of the tenant knows");
        assert_eq!(
            judge(&[copy(1, "u"), end(3), copy(5, "v"), end(7)], &[asked(2)]),
            1,
            "the second one was not deleted"
        );
    }

    #[test]
    fn a_delete_counts_from_its_arrival_as_the_answer_may_come_late() {
        let annotations = json!({"tenet.sh/uid": "u", "tenet.sh/namespace": "a", "tenet.sh/name": "p"});
        let copy = entry(1, SYNCER, "create", "p-x", &json!({"metadata": {"annotations": annotations}}));
        let host = [copy, entry(3, SYNCER, "delete", "p-x", &Value::Null)];
        for (arrival, found) in [(2, 0), (4, 1)] {
            let mut late = event(5, "tenant", "delete", "p", &Value::Null);
            late["requestReceivedTimestamp"] = json!(format!("2026-01-01T00:00:{arrival:02}.000000Z"));
            let late = Entry::parse(&late.to_string()).unwrap();
            assert_eq!(on_host(&host, &[late], |_| false).len(), found, "{arrival}");
        }
    }

    #[test]
    fn a_copy_of_a_service_ends_after_its_original_or_without_one() {
        let service = |mut event: Value, name: &str| {
            event["objectRef"] = json!({"resource": "services", "namespace": "a", "name": name});
            Entry::parse(&event.to_string()).unwrap()
        };
        let annotations = json!({"tenet.sh/namespace": "a", "tenet.sh/name": "w"});
        let copy = json!({"metadata": {"annotations": annotations}});
        let host = [
            service(event(1, SYNCER, "create", "", &copy), "w-x"),
            service(event(5, SYNCER, "delete", "", &Value::Null), "w-x"),
        ];
        let of_tenant = |second, verb| service(event(second, "tenant", verb, "", &Value::Null), "w");
        let judge = |inside: &[Entry]| on_host(&host, inside, |_| false).len();
        assert_eq!(judge(&[]), 0, "a reservation");
        assert_eq!(judge(&[of_tenant(2, "create")]), 1);
        assert_eq!(judge(&[of_tenant(2, "create"), of_tenant(4, "delete")]), 0);
        assert_eq!(judge(&[of_tenant(2, "create"), of_tenant(6, "delete")]), 1, "too early");
        let mut refused = event(4, "tenant", "create", "", &Value::Null);
        refused["responseStatus"]["code"] = json!(503);
        let earlier = [of_tenant(2, "create"), of_tenant(3, "delete"), service(refused, "w")];
        assert_eq!(judge(&earlier), 0, "a reservation for a second one that was not stored");
    }

    #[test]
    fn content_stays_while_a_host_pod_needs_it() {
        let content = |second, user, verb, name: &str| {
            let mut event = event(second, user, verb, "", &Value::Null);
            event["objectRef"] = json!({"resource": "secrets", "namespace": "a", "name": name});
            Entry::parse(&event.to_string()).unwrap()
        };
        let pod = |second| {
            let annotations = json!({"tenet.sh/uid": "u", "tenet.sh/namespace": "a", "tenet.sh/name": "p"});
            let volumes = json!([{"name": "s", "secret": {"secretName": "s-x-a-x-vc-1"}}]);
            let body = json!({"metadata": {"annotations": annotations}, "spec": {"volumes": volumes}});
            entry(second, SYNCER, "create", "p-x", &body)
        };
        let end = |second| content(second, SYNCER, "delete", "s-x-a-x-vc-1");
        let judge = |host: &[Entry], inside: &[Entry]| on_host(host, inside, |_| false).len();
        assert_eq!(judge(&[pod(1), end(3)], &[]), 1);
        assert_eq!(judge(&[pod(1), end(3)], &[content(2, "tenant", "delete", "s")]), 0, "its original is gone");
        assert_eq!(judge(&[pod(1), end(3)], &[entry(2, "tenant", "delete", "p", &Value::Null)]), 0);
        assert_eq!(judge(&[pod(1), content(3, SYNCER, "delete", "t-x-a-x-vc-1")], &[]), 0, "nobody needs it");
        let killed = entry(2, "kubelet", "delete", "p-x", &Value::Null);
        assert_eq!(judge(&[pod(1), killed, end(3)], &[]), 0, "the pod is gone");
        let mut failed = event(2, "kubelet", "patch", "p-x", &json!({"status": {"phase": "Failed"}}));
        failed["objectRef"]["subresource"] = json!("status");
        assert_eq!(judge(&[pod(1), Entry::parse(&failed.to_string()).unwrap(), end(3)], &[]), 0, "the pod has ended");
    }
}

//! Comparison of both sides at the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use tenet_mapper::{Kind, kinds};
use tenet_playground::Playground;

use super::api::{call, list, name, text};
use super::churn::Tenant;
use super::creation::Creation;
use super::finding::{Class, Finding};
use super::references::references;
use crate::oracle::{Record, record};
use crate::world::is_finished;

/// Kinds that are compared, each with the fields of a copy that are shown on its original. All others are those of a
/// [`Creation`].
const KINDS: [(Kind, &[&str]); 4] = [
    (kinds::POD, POD_FIELDS),
    (kinds::SERVICE, &["/spec/clusterIP", "/spec/clusterIPs"]),
    (kinds::CONFIG_MAP, &[]),
    (kinds::SECRET, &[]),
];
const POD_FIELDS: &[&str] = &[
    "/spec/nodeName",
    "/status/phase",
    "/status/podIP",
    "/status/podIPs",
    "/status/startTime",
    "/status/containerStatuses/0/state",
    "/status/containerStatuses/0/ready",
];

/// Objects in the host namespace that are not of the syncer, as they were created.
pub(super) struct Foreign(Vec<(String, Value)>);

/// Creates foreign objects in the host namespace: under names that copies would have, and with our label.
pub(super) async fn plant(playground: &Playground) -> Result<Foreign> {
    let (client, namespace) = (playground.host_plane().client(), playground.namespace());
    let objects = [
        ("configmaps", json!({"metadata": {"name": "c-0-x-blue-x-vc-1"}, "data": {"of": "somebody else"}})),
        ("secrets", json!({"metadata": {"name": "s-0-x-blue-x-vc-1"}, "stringData": {"of": "somebody else"}})),
        ("services", json!({"metadata": {"name": "w-0-x-blue-x-vc-1"}, "spec": {"ports": [{"port": 1}]}})),
        (
            "configmaps",
            json!({"metadata": {"name": "labelled", "labels": {"tenet.sh/managed-by": "vc-1"}}, "data": {"a": "b"}}),
        ),
        (
            "pods",
            json!({"metadata": {"name": "p-0-x-blue-x-vc-1"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}),
        ),
    ];
    let mut planted = Vec::new();
    for (kind, object) in objects {
        let collection = format!("/api/v1/namespaces/{namespace}/{kind}");
        let object = call(&client, Method::POST, &collection, &object).await?;
        planted.push((format!("{collection}/{}", text(&object, "/metadata/name")), object));
    }
    Ok(Foreign(planted))
}

/// Compares both sides. Returns the differences, and the numbers of virtual pods, host objects, and copies that were
/// compared with a creation.
pub(super) async fn both(
    playground: &Playground,
    tenant: &Tenant,
    foreign: &Foreign,
) -> Result<(Vec<Finding>, [usize; 3])> {
    let (host, inside) = (playground.host_plane().client(), playground.virtual_plane().client());
    let mut originals = BTreeMap::new();
    let mut copies = BTreeMap::new();
    for (kind, _) in KINDS {
        originals.insert(kind.kind, list(&inside, &kind.path("")).await?);
        copies.insert(kind.kind, list(&host, &kind.path(playground.namespace())).await?);
    }
    let sides = Sides { originals, copies, taken: foreign.names() };
    let mut findings = sides.findings();
    let mut compared = 0;
    if findings.is_empty() {
        let creation = Creation::read(playground, &KINDS.map(|(kind, _)| kind)).await?;
        let pairs = sides.pairs();
        compared = pairs.len();
        findings.extend(pairs.iter().filter_map(|pair| pair.difference(&creation)));
    }
    findings.extend(lost(&sides.originals["Pod"], tenant));
    findings.extend(foreign.findings(&host).await?);
    let count = sides.copies.values().map(Vec::len).sum();
    Ok((findings, [sides.originals["Pod"].len(), count, compared]))
}

impl Foreign {
    fn names(&self) -> BTreeSet<String> {
        self.0.iter().map(|(_, object)| text(object, "/metadata/name").to_owned()).collect()
    }

    async fn findings(&self, client: &Client) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (path, planted) in &self.0 {
            let found = match call(client, Method::GET, path, &Value::Null).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Value::Null,
                other => other?,
            };
            // A pod has a scheduler and a kubelet; other objects have nobody else who writes them.
            let fields: &[&str] = if path.contains("/pods/") {
                &["/metadata/uid", "/metadata/labels", "/metadata/annotations", "/metadata/deletionTimestamp"]
            } else {
                &["/metadata/uid", "/metadata/resourceVersion"]
            };
            if let Some(field) = fields.iter().find(|field| found.pointer(field) != planted.pointer(field)) {
                let why = format!("{field} was {:?}, now {:?}", planted.pointer(field), found.pointer(field));
                findings.push(Finding::new(Class::Foreign, path.clone(), text(planted, "/metadata/name"), why));
            }
        }
        Ok(findings)
    }
}

/// Returns the pods that the tenant created, did not delete, and no longer finds.
fn lost(pods: &[Value], tenant: &Tenant) -> Vec<Finding> {
    let there: BTreeSet<_> = pods.iter().map(|pod| text(pod, "/metadata/uid")).collect();
    let gone = tenant.live_pods().into_iter().filter(|(uid, ..)| !there.contains(uid.as_str()));
    gone.map(|(uid, namespace, name)| {
        Finding::new(Class::Lost, format!("virtual pods {namespace}/{name}"), &name, format!("UID {uid} is gone"))
    })
    .collect()
}

/// Objects of both sides, by kind.
struct Sides {
    originals: BTreeMap<&'static str, Vec<Value>>,
    copies: BTreeMap<&'static str, Vec<Value>>,
    /// Names of foreign objects on the host. An original whose copy would have one of them is blocked.
    taken: BTreeSet<String>,
}

impl Sides {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (kind, fields) in KINDS {
            let mut twins: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
            for (copy, record) in self.copies_of(kind) {
                twins.entry(record.uid.clone()).or_default().push(copy);
                if let Some(why) = self.leak(kind.kind, &record) {
                    let object = format!("host {} {}", kind.kind, name(copy));
                    findings.push(Finding::new(Class::Leaked, object, &record.name, why));
                }
            }
            for original in &self.originals[kind.kind] {
                let found = twins.get(text(original, "/metadata/uid")).map(Vec::as_slice).unwrap_or_default();
                if let Some((class, why)) = self.difference(kind.kind, original, found, fields) {
                    let object = format!("virtual {} {}", kind.kind, name(original));
                    findings.push(Finding::new(class, object, text(original, "/metadata/name"), why));
                }
            }
        }
        findings
    }

    /// Returns the copies with their originals. A finished pod stays as it is, and so does content that only pods ask
    /// for which are blocked.
    fn pairs(&self) -> Vec<Pair<'_>> {
        let mut pairs = Vec::new();
        for (kind, _) in KINDS {
            for (copy, record) in self.copies_of(kind) {
                let original = self.original_of(kind.kind, &record);
                let original =
                    original.filter(|original| !is_finished(original) && self.needs_copy(kind.kind, original));
                pairs.extend(original.map(|original| Pair { kind, original, copy }));
            }
        }
        pairs
    }

    /// Returns the copies of a kind, each with its record.
    fn copies_of(&self, kind: Kind) -> impl Iterator<Item = (&Value, Record)> {
        let copies = self.copies[kind.kind].iter().filter_map(|copy| Some((copy, record(copy)?)));
        copies.filter(move |(_, record)| record.kind == kind.kind)
    }

    /// Returns the original that a record names.
    fn original_of(&self, kind: &str, record: &Record) -> Option<&Value> {
        self.originals[kind].iter().find(|original| text(original, "/metadata/uid") == record.uid)
    }

    /// Returns the reason why a copy should not exist.
    fn leak(&self, kind: &str, record: &Record) -> Option<String> {
        match self.original_of(kind, record) {
            None => Some(format!("its original {}/{} with UID {} is gone", record.namespace, record.name, record.uid)),
            Some(original) if matches!(kind, "ConfigMap" | "Secret") && !self.is_used(kind, original, |_| true) => {
                Some(format!("no pod uses its original {}/{}", record.namespace, record.name))
            }
            Some(_) => None,
        }
    }

    /// Returns the first difference between an original and its copies.
    fn difference(&self, kind: &str, original: &Value, copies: &[&Value], fields: &[&str]) -> Option<(Class, String)> {
        let copy = match copies {
            [] if self.needs_copy(kind, original) => {
                return Some((Class::Lost, "it has no copy on the host".to_owned()));
            }
            [] => return None,
            [copy] => *copy,
            more => return Some((Class::Duplicated, format!("it has {} copies", more.len()))),
        };
        if copy.pointer("/metadata/deletionTimestamp").is_some() {
            return Some((Class::Different, "its copy is being deleted".to_owned()));
        }
        let field = fields.iter().find(|field| original.pointer(field) != copy.pointer(field))?;
        let why = format!("{field} is {:?}, and on the host {:?}", original.pointer(field), copy.pointer(field));
        Some((Class::Different, why))
    }

    fn needs_copy(&self, kind: &str, original: &Value) -> bool {
        let (namespace, name) = (text(original, "/metadata/namespace"), text(original, "/metadata/name"));
        if self.taken.contains(&format!("{name}-x-{namespace}-x-vc-1")) {
            return false;
        }
        match kind {
            "Pod" => !is_finished(original) && !self.waits(original),
            "Service" => !(namespace == "default" && name == "kubernetes"),
            _ => self.is_used(kind, original, |pod| self.needs_copy("Pod", pod)),
        }
    }

    /// Returns true for a pod that waits for content: an object that is missing, or whose copy is blocked.
    fn waits(&self, pod: &Value) -> bool {
        let namespace = text(pod, "/metadata/namespace");
        let mut needed = Vec::new();
        references(&pod["spec"], &mut needed);
        needed.iter().any(|needed| {
            let is_there = self.originals[needed.kind]
                .iter()
                .any(|one| text(one, "/metadata/namespace") == namespace && text(one, "/metadata/name") == needed.name);
            let is_taken = self.taken.contains(&format!("{}-x-{namespace}-x-vc-1", needed.name));
            // An optional reference would bring the content of the foreign object to the pod.
            is_taken || (!is_there && !needed.is_optional)
        })
    }

    /// Returns true if one of these pods refers to an object. A pod that waits has references as well.
    fn is_used(&self, kind: &str, object: &Value, is_asked: impl Fn(&Value) -> bool) -> bool {
        let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        self.originals["Pod"].iter().any(|pod| {
            let mut needed = Vec::new();
            references(&pod["spec"], &mut needed);
            text(pod, "/metadata/namespace") == namespace
                && !is_finished(pod)
                && needed.iter().any(|needed| needed.kind == kind && needed.name == name)
                && is_asked(pod)
        })
    }
}

/// An original and its copy.
struct Pair<'s> {
    kind: Kind,
    original: &'s Value,
    copy: &'s Value,
}

impl Pair<'_> {
    /// Returns the difference between the copy and what a creation from its original gives.
    fn difference(&self, creation: &Creation) -> Option<Finding> {
        let why = creation.difference(self.kind, self.original, self.copy)?;
        let object = format!("host {} {}", self.kind, name(self.copy));
        Some(Finding::new(Class::Different, object, text(self.original, "/metadata/name"), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(original: Value, copies: Vec<Value>) -> Sides {
        let mut sides = Sides { originals: BTreeMap::new(), copies: BTreeMap::new(), taken: BTreeSet::new() };
        for (kind, _) in KINDS {
            sides.originals.insert(kind.kind, Vec::new());
            sides.copies.insert(kind.kind, Vec::new());
        }
        sides.originals.insert("Pod", vec![original]);
        sides.copies.insert("Pod", copies);
        sides
    }

    fn pod(uid: &str, phase: &str) -> Value {
        json!({"metadata": {"namespace": "a", "name": "p", "uid": uid}, "status": {"phase": phase}, "spec": {}})
    }

    fn copy(uid: &str, phase: &str) -> Value {
        let annotations = json!({
            "tenet.sh/host-name": "h/p-x", "tenet.sh/cluster": "c", "tenet.sh/kind": "Pod",
            "tenet.sh/namespace": "a", "tenet.sh/name": "p", "tenet.sh/uid": uid,
        });
        json!({
            "metadata": {
                "namespace": "h", "name": "p-x", "annotations": annotations, "labels": {"tenet.sh/managed-by": "vc-1"},
            },
            "status": {"phase": phase}, "spec": {},
        })
    }

    #[test]
    fn each_kind_of_difference_has_its_class() {
        let cases = [
            (vec![copy("1", "Running")], vec![]),
            (vec![], vec![Class::Lost]),
            (vec![copy("1", "Running"), copy("1", "Running")], vec![Class::Duplicated]),
            (vec![copy("1", "Pending")], vec![Class::Different]),
            (vec![copy("1", "Running"), copy("2", "Running")], vec![Class::Leaked]),
        ];
        for (copies, expected) in cases {
            let found = sides(pod("1", "Running"), copies.clone()).findings();
            assert_eq!(found.iter().map(|one| one.class).collect::<Vec<_>>(), expected, "{copies:?}");
        }
    }

    #[test]
    fn content_is_compared_while_a_pod_needs_it_that_is_not_blocked() {
        let mut pod = pod("1", "Running");
        pod["spec"] = json!({"volumes": [{"configMap": {"name": "c"}}]});
        let mut sides = sides(pod, vec![]);
        let content = json!({"metadata": {"namespace": "a", "name": "c", "uid": "2"}});
        let mut copied = copy("2", "");
        copied["metadata"]["annotations"]["tenet.sh/kind"] = "ConfigMap".into();
        copied["metadata"]["annotations"]["tenet.sh/name"] = "c".into();
        sides.originals.insert("ConfigMap", vec![content]);
        sides.copies.insert("ConfigMap", vec![copied]);
        assert_eq!(sides.pairs().len(), 1);
        sides.taken.insert("p-x-a-x-vc-1".to_owned());
        assert_eq!(sides.pairs().len(), 0);
    }

    #[test]
    fn a_pod_waits_for_content_that_is_missing_and_not_optional() {
        let mut waiting = pod("1", "Pending");
        waiting["spec"] = json!({"volumes": [{"configMap": {"name": "c"}}]});
        assert!(sides(waiting.clone(), vec![]).findings().is_empty());
        waiting["spec"]["volumes"][0]["configMap"]["optional"] = true.into();
        assert_eq!(sides(waiting, vec![]).findings().len(), 1);
    }
}

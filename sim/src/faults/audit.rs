//! Audit logs of both API servers: an independent record of who wrote what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tenet_playground::Playground;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::api::text;
use super::churn::Tenant;
use super::finding::{Class, Finding};
use super::kills::Outages;

/// User of the syncer on both sides.
const SYNCER: &str = "tenet-syncer";
/// Lines of history that a finding shows.
const SHOWN: usize = 40;
/// Time after an outage in which a delete may answer a request whose audit entry was lost.
const LATE: Duration = Duration::from_secs(60);

/// A write in an audit log.
pub(super) struct Entry {
    /// Time of the answer.
    pub(super) at: OffsetDateTime,
    /// Name of the object; empty for a create with a generated name.
    pub(super) name: String,
    user: String,
    verb: String,
    resource: String,
    subresource: String,
    namespace: String,
    code: u64,
    body: Value,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        let own = |pointer: &str| text(&event, pointer).to_owned();
        let is_write = matches!(text(&event, "/verb"), "create" | "update" | "patch" | "delete" | "deletecollection");
        let is_dry = text(&event, "/requestURI").contains("dryRun=");
        (is_write && !is_dry && text(&event, "/stage") == "ResponseComplete").then_some(())?;
        let name = if text(&event, "/objectRef/name").is_empty() {
            own("/requestObject/metadata/name")
        } else {
            own("/objectRef/name")
        };
        Some(Self {
            at: OffsetDateTime::parse(text(&event, "/stageTimestamp"), &Rfc3339).ok()?,
            name,
            user: own("/user/username"),
            verb: own("/verb"),
            resource: own("/objectRef/resource"),
            subresource: own("/objectRef/subresource"),
            namespace: own("/objectRef/namespace"),
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
            body: event["requestObject"].clone(),
        })
    }

    /// Returns the resource, namespace and name.
    pub(super) fn object(&self) -> String {
        format!("{} {}/{}", self.resource, self.namespace, self.name)
    }

    /// Returns the entry as one line.
    pub(super) fn line(&self) -> String {
        let Self { user, verb, subresource, code, .. } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        format!("{} {user} {verb} {}{slash}{subresource} -> {code} {}", self.at, self.object(), self.body)
    }

    /// Returns true for a successful write of the syncer. Requests that store nothing are no writes.
    pub(super) fn is_write_of_syncer(&self) -> bool {
        self.user == SYNCER
            && self.is_done()
            && !matches!(self.subresource.as_str(), "token")
            && !self.resource.ends_with("reviews")
    }

    fn is_done(&self) -> bool {
        self.code < 300
    }

    fn is_pod(&self) -> bool {
        self.resource == "pods" && self.subresource.is_empty()
    }
}

/// Reads the audit logs of both sides.
pub(super) fn both(playground: &Playground) -> Result<[(&'static str, Vec<Entry>); 2]> {
    Ok([
        ("host", entries(&playground.host_plane().audit_log())?),
        ("virtual", entries(&playground.virtual_plane().audit_log())?),
    ])
}

/// Returns the writes that concern an object of this name, or its copy.
pub(super) fn history(playground: &Playground, name: &str) -> Result<Vec<String>> {
    let copy = format!("{name}-x-");
    let mut lines = Vec::new();
    for (side, entries) in both(playground)? {
        let about = entries.iter().filter(|entry| entry.name == name || entry.name.starts_with(&copy));
        lines.extend(about.map(|entry| (entry.at, format!("{side} {}", entry.line()))));
    }
    lines.sort();
    Ok(lines.into_iter().rev().take(SHOWN).rev().map(|(_, line)| line).collect())
}

/// Checks every write of the syncer. Returns the findings and the numbers of writes on the host and inside.
pub(super) fn check(playground: &Playground, tenant: &Tenant, outages: &Outages) -> Result<(Vec<Finding>, [usize; 2])> {
    let [(_, host), (_, inside)] = both(playground)?;
    let count = |entries: &[Entry]| entries.iter().filter(|entry| entry.is_write_of_syncer()).count();
    let mut findings = twice(&host);
    findings.extend(unproven(&inside, |uid| tenant.has_deleted(uid), outages));
    findings.extend(outside(&host, playground.namespace()));
    Ok((findings, [count(&host), count(&inside)]))
}

/// Returns the pods for which the syncer created more than one host pod.
fn twice(host: &[Entry]) -> Vec<Finding> {
    let mut created: BTreeMap<&str, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in host.iter().filter(|entry| entry.is_write_of_syncer() && entry.is_pod() && entry.verb == "create") {
        let uid = entry.body["metadata"]["annotations"]["tenet.sh/uid"].as_str().unwrap_or_default();
        let count = created.entry(uid).or_default();
        *count += 1;
        if *count == 2 {
            let why = format!("a second host pod for the virtual pod with UID {uid}");
            findings.push(Finding::new(Class::Duplicated, format!("host {}", entry.object()), &entry.name, why));
        }
    }
    findings
}

/// Returns the virtual objects that the syncer deleted although nobody else had deleted them.
fn unproven(inside: &[Entry], has_deleted: impl Fn(&str) -> bool, outages: &Outages) -> Vec<Finding> {
    let mut ended: BTreeSet<String> = BTreeSet::new();
    let mut findings = Vec::new();
    for entry in inside.iter().filter(|entry| entry.is_done()) {
        let (is_delete, object) = (entry.verb == "delete", entry.object());
        if entry.verb == "create" && entry.subresource.is_empty() {
            ended.remove(&object);
        } else if entry.verb == "deletecollection" {
            ended.insert(format!("{} {}/*", entry.resource, entry.namespace));
        } else if is_delete && entry.user != SYNCER {
            ended.insert(object);
        } else if is_delete && entry.resource == "pods" {
            let uid = text(&entry.body, "/preconditions/uid");
            let everything = format!("pods {}/*", entry.namespace);
            if uid.is_empty() {
                let why = format!("deleted without a UID: {}", entry.line());
                findings.push(Finding::new(Class::Lost, format!("virtual {object}"), &entry.name, why));
            } else if !ended.contains(&object)
                && !ended.contains(&everything)
                && !has_deleted(uid)
                && !outages.cover(entry.at, LATE)
            {
                let why = format!("deleted by the syncer, and by nobody before: {}", entry.line());
                findings.push(Finding::new(Class::Lost, format!("virtual {object}"), &entry.name, why));
            }
        } else if is_delete && !matches!(entry.resource.as_str(), "nodes" | "events") {
            let why = format!("deleted by the syncer: {}", entry.line());
            findings.push(Finding::new(Class::Lost, format!("virtual {object}"), &entry.name, why));
        }
    }
    findings
}

/// Returns the writes of the syncer on the host outside of its namespace.
fn outside(host: &[Entry], namespace: &str) -> Vec<Finding> {
    let outside = host.iter().filter(|entry| entry.is_write_of_syncer() && entry.namespace != namespace);
    outside
        .map(|entry| Finding::new(Class::Foreign, format!("host {}", entry.object()), &entry.name, entry.line()))
        .collect()
}

/// Reads the writes of an audit log. The line that an API server wrote when it was killed is incomplete.
fn entries(log: &Path) -> Result<Vec<Entry>> {
    let file = File::open(log).with_context(|| log.display().to_string())?;
    let mut entries = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        // Most lines are reads, and parsing is slow.
        let line = line?;
        if let Ok(line) = std::str::from_utf8(&line)
            && !["\"verb\":\"get\"", "\"verb\":\"list\"", "\"verb\":\"watch\""].iter().any(|verb| line.contains(verb))
        {
            entries.extend(Entry::parse(line));
        }
    }
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(second: u64, user: &str, verb: &str, name: &str, body: &Value) -> Entry {
        let event = json!({
            "stage": "ResponseComplete", "verb": verb, "user": {"username": user}, "requestObject": body,
            "requestURI": "/api/v1/namespaces/a/pods", "responseStatus": {"code": 200},
            "stageTimestamp": format!("2026-01-01T00:00:{second:02}.000000Z"),
            "objectRef": {"resource": "pods", "namespace": "a", "name": name},
        });
        Entry::parse(&event.to_string()).expect("a write")
    }

    #[test]
    fn a_delete_by_the_syncer_needs_one_by_somebody_else_since_the_create() {
        let body = json!({"preconditions": {"uid": "u"}});
        let judge = |entries: &[Entry]| unproven(entries, |_| false, &Outages::default()).len();
        let created = || entry(1, "tenant", "create", "p", &Value::Null);
        assert_eq!(judge(&[created(), entry(2, SYNCER, "delete", "p", &body)]), 1);
        let asked = entry(2, "tenant", "delete", "p", &Value::Null);
        assert_eq!(judge(&[created(), asked, entry(3, SYNCER, "delete", "p", &body)]), 0);
        let earlier = entry(0, "tenant", "delete", "p", &Value::Null);
        assert_eq!(judge(&[earlier, created(), entry(3, SYNCER, "delete", "p", &body)]), 1);
        let blind = entry(2, SYNCER, "delete", "p", &Value::Null);
        assert_eq!(judge(&[entry(1, "tenant", "delete", "p", &Value::Null), blind]), 1, "without a UID");
    }

    #[test]
    fn a_second_host_pod_of_one_virtual_pod_is_found() {
        let body = |uid: &str| json!({"metadata": {"annotations": {"tenet.sh/uid": uid}}});
        let create = |uid: &str| entry(1, SYNCER, "create", "p-x-a-x-vc-1", &body(uid));
        assert_eq!(twice(&[create("1"), create("2")]).len(), 0);
        assert_eq!(twice(&[create("1"), create("2"), create("1")]).len(), 1);
    }
}

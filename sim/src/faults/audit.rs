//! Audit logs of both API servers: an independent record of who wrote what.

mod deletes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tenet_playground::Playground;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::api::text;
use super::churn::Tenant;
use super::finding::{Class, Finding};

/// User of the syncer on both sides.
const SYNCER: &str = "tenet-syncer";
/// Lines of history that a finding shows.
const SHOWN: usize = 40;
/// Characters of a request's body that a line shows.
const BODY: usize = 240;

/// A write in an audit log.
pub(super) struct Entry {
    /// Time of the answer.
    pub(super) at: OffsetDateTime,
    /// Time at which the request arrived. Others may see its effect before it is answered.
    received: OffsetDateTime,
    /// Name of the object; empty for a create with a generated name.
    pub(super) name: String,
    user: String,
    verb: String,
    resource: String,
    subresource: String,
    namespace: String,
    /// Code of the answer; `None` for a delete that the API server did not answer before it was killed.
    code: Option<u64>,
    id: String,
    body: Value,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        let own = |pointer: &str| text(&event, pointer).to_owned();
        let is_write = matches!(text(&event, "/verb"), "create" | "update" | "patch" | "delete" | "deletecollection");
        let is_dry = text(&event, "/requestURI").contains("dryRun=");
        (is_write && !is_dry).then_some(())?;
        let name = if text(&event, "/objectRef/name").is_empty() {
            own("/requestObject/metadata/name")
        } else {
            own("/objectRef/name")
        };
        let at = OffsetDateTime::parse(text(&event, "/stageTimestamp"), &Rfc3339).ok()?;
        Some(Self {
            at,
            received: OffsetDateTime::parse(text(&event, "/requestReceivedTimestamp"), &Rfc3339).unwrap_or(at),
            name,
            user: own("/user/username"),
            verb: own("/verb"),
            resource: own("/objectRef/resource"),
            subresource: own("/objectRef/subresource"),
            namespace: own("/objectRef/namespace"),
            // An entry of another stage is that of a request which has arrived.
            code: (text(&event, "/stage") == "ResponseComplete")
                .then(|| event["responseStatus"]["code"].as_u64().unwrap_or_default()),
            id: own("/auditID"),
            body: event["requestObject"].clone(),
        })
    }

    /// Returns the resource, namespace and name.
    pub(super) fn object(&self) -> String {
        key(&self.resource, &self.namespace, &self.name)
    }

    /// Returns the entry as one line.
    pub(super) fn line(&self) -> String {
        let Self { user, verb, subresource, code, .. } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let code = code.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
        let body: String = self.body.to_string().chars().take(BODY).collect();
        format!("{} {user} {verb} {}{slash}{subresource} -> {code} {body}", self.at, self.object())
    }

    /// Returns true for a successful write of the syncer. Requests that store nothing are no writes.
    pub(super) fn is_write_of_syncer(&self) -> bool {
        self.user == SYNCER
            && self.is_done()
            && !matches!(self.subresource.as_str(), "token")
            && !self.resource.ends_with("reviews")
    }

    fn is_done(&self) -> bool {
        self.code.is_some_and(|code| code < 300)
    }

    /// Returns true if the request was performed, or may have been: the API server or its store died meanwhile.
    fn may_be_done(&self) -> bool {
        self.code.is_none_or(|code| !(300..500).contains(&code))
    }

    /// Returns true for a final phase of a pod.
    fn is_final(&self) -> bool {
        self.is_done() && matches!(text(&self.body, "/status/phase"), "Failed" | "Succeeded")
    }

    fn is_pod(&self) -> bool {
        self.resource == "pods" && self.subresource.is_empty()
    }
}

/// Names an object of an audit log.
fn key(resource: &str, namespace: &str, name: &str) -> String {
    format!("{resource} {namespace}/{name}")
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
pub(super) fn check(playground: &Playground, tenant: &Tenant) -> Result<(Vec<Finding>, [usize; 2])> {
    let [(_, host), (_, inside)] = both(playground)?;
    let count = |entries: &[Entry]| entries.iter().filter(|entry| entry.is_write_of_syncer()).count();
    let mut findings = twice(&host);
    findings.extend(deletes::inside(&inside, |uid| tenant.has_deleted(uid)));
    findings.extend(deletes::on_host(&host, &inside, |uid| tenant.has_deleted(uid)));
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
    let answered: BTreeSet<_> =
        entries.iter().filter(|entry| entry.code.is_some()).map(|entry| entry.id.clone()).collect();
    entries.retain(|entry| entry.code.is_some() || !answered.contains(&entry.id));
    entries.sort_by_key(|entry| entry.at);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn entry(second: u64, user: &str, verb: &str, name: &str, body: &Value) -> Entry {
        Entry::parse(&event(second, user, verb, name, body).to_string()).expect("a write")
    }

    pub(super) fn event(second: u64, user: &str, verb: &str, name: &str, body: &Value) -> Value {
        json!({
            "stage": "ResponseComplete", "verb": verb, "user": {"username": user}, "requestObject": body,
            "requestURI": "/api/v1/namespaces/a/pods", "responseStatus": {"code": 200},
            "stageTimestamp": format!("2026-01-01T00:00:{second:02}.000000Z"),
            "objectRef": {"resource": "pods", "namespace": "a", "name": name}, "auditID": format!("{second}-{verb}"),
        })
    }

    #[test]
    fn a_second_host_pod_of_one_virtual_pod_is_found() {
        let body = |uid: &str| json!({"metadata": {"annotations": {"tenet.sh/uid": uid}}});
        let create = |uid: &str| entry(1, SYNCER, "create", "p-x-a-x-vc-1", &body(uid));
        assert_eq!(twice(&[create("1"), create("2")]).len(), 0);
        assert_eq!(twice(&[create("1"), create("2"), create("1")]).len(), 1);
    }
}

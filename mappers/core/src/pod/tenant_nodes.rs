//! Labels, taints and cordons that the tenant has set on Nodes, with `nodes.tenantScheduling`. The host's scheduler
//! does not see them, so they become a node affinity by name on the host pod.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::translate::digest::digest;
use tenet_mapper::{Deletion, Dependency, Effect, Object, Outcome, Side, kinds, pointer};

use super::Subject;
use super::update::Record;
use crate::node::{Nodes, TenantPart};

const AFFINITY: &str = "/spec/affinity/nodeAffinity";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Taint of a cordoned Node, as pods tolerate it.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

/// Largest weight of a preference.
const MOST: u8 = 100;

/// Length that is enough to tell one placement from the next.
const DIGEST: usize = 16;

/// Node that the tenant sees.
struct Seen {
    name: String,
    labels: Map<String, Value>,
    /// True if the pod must stay away.
    is_barred: bool,
    /// True if the pod should rather be on another Node.
    is_avoided: bool,
}

/// Nodes that the tenant sees, and the keys of the labels that the tenant has set on any of them.
struct Inside {
    nodes: Vec<Seen>,
    own: BTreeSet<String>,
}

/// Restricts a draft to the Nodes that the tenant's labels, taints and cordons leave. Returns sentences about what the
/// host cannot follow.
pub(super) fn place(pod: &Subject<'_, '_>, draft: &mut Value) -> Vec<String> {
    // A pod that comes with a node does not ask a scheduler.
    if !is_on(pod) || pod.virt.str_at("/spec/nodeName").is_some() {
        return Vec::new();
    }
    let inside = Inside::of(pod);
    let selected = inside.take_selected(draft);
    inside.require(draft, &selected);
    inside.prefer(draft);
    inside.avoid(draft);
    topology_keys(draft)
        .into_iter()
        .filter(|(_, key)| inside.own.contains(key))
        .map(|(at, key)| unseen(&at, &key))
        .collect()
}

fn unseen(at: &str, key: &str) -> String {
    format!(
        "{}: the label {key} of a Node is the tenant's, and the scheduler of the host, which counts pods by it, does not \
         see it; use a label of the host, such as kubernetes.io/hostname",
        pointer::field(at)
    )
}

/// Returns the topology keys by which a scheduler counts pods, each with its pointer.
fn topology_keys(pod: &Value) -> Vec<(String, String)> {
    let mut found: Vec<_> = pointer::elements(pod, "/spec/topologySpreadConstraints");
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let base = format!("/spec/affinity/{affinity}");
        found.extend(pointer::elements(pod, &format!("{base}/{REQUIRED}")));
        let preferred = pointer::elements(pod, &format!("{base}/{PREFERRED}"));
        found.extend(preferred.into_iter().map(|term| format!("{term}/podAffinityTerm")));
    }
    let keys = found.into_iter().map(|term| format!("{term}/topologyKey"));
    keys.filter_map(|at| Some((at.clone(), pod.pointer(&at)?.as_str()?.to_owned()))).collect()
}

/// Returns a digest of where the host pod of a pod may be placed; empty without `nodes.tenantScheduling`.
pub(super) fn placement(pod: &Subject<'_, '_>) -> String {
    if !is_on(pod) {
        return String::new();
    }
    let mut draft = json!({"spec": {}});
    for field in ["/spec/nodeSelector", AFFINITY] {
        if let Some(value) = pod.virt.at(field) {
            pointer::set(&mut draft, field, value.clone());
        }
    }
    drop(place(pod, &mut draft));
    let mut digest = digest(&draft);
    digest.truncate(DIGEST);
    digest
}

/// Returns the outcome for a host pod that is not scheduled: it is created again when its placement has changed, which
/// the API does not allow otherwise.
pub(super) fn replace(pod: &Subject<'_, '_>, host: &Object) -> Option<Outcome> {
    let is_stale = is_on(pod) && !is_placed(host) && Record::on(host).placement != placement(pod);
    is_stale.then(|| Outcome::one(Effect::Delete(Deletion::redundant(kinds::POD, host).at_version(host))))
}

/// Returns the change that a host pod without a node waits for.
pub(super) fn wait(pod: &Subject<'_, '_>, host: &Object) -> Option<Dependency> {
    (is_on(pod) && !is_placed(host)).then_some(Dependency::Any(Side::Virtual, kinds::NODE))
}

/// Returns true if a host pod that is gone never had a node, and is to be created again.
pub(super) fn was_replaced(last: &Object) -> bool {
    !is_placed(last) && !Record::on(last).placement.is_empty()
}

fn is_on(pod: &Subject<'_, '_>) -> bool {
    pod.cx.section::<Nodes>().tenant_scheduling
}

fn is_placed(host: &Object) -> bool {
    host.str_at("/spec/nodeName").is_some()
}

impl Inside {
    fn of(pod: &Subject<'_, '_>) -> Self {
        let tolerations = pod.virt.list_at("/spec/tolerations");
        let cordon = json!({"key": CORDONED, "effect": "NoSchedule"});
        let (mut nodes, mut own) = (Vec::new(), BTreeSet::new());
        for node in pod.cx.list(Side::Virtual, kinds::NODE, "") {
            if node.label(MANAGED_BY).is_none() {
                continue;
            }
            let part = TenantPart::of(&node);
            own.extend(part.labels.iter().map(|key| (*key).to_owned()));
            let cordon = part.is_cordoned.then_some(&cordon);
            let taints = part.taints.iter().copied().chain(cordon);
            let felt: Vec<_> = taints.filter(|taint| !tolerations.iter().any(|one| tolerates(one, taint))).collect();
            let is_barred = felt.iter().any(|taint| keeps_away(taint));
            let is_avoided = felt.iter().any(|taint| taint["effect"] == "PreferNoSchedule");
            let labels = node.at("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
            nodes.push(Seen { name: node.name().to_owned(), labels, is_barred, is_avoided });
        }
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        Self { nodes, own }
    }

    fn is_own(&self, requirement: &Value) -> bool {
        requirement["key"].as_str().is_some_and(|key| self.own.contains(key))
    }

    /// Takes the labels of the tenant out of the node selector, as requirements.
    fn take_selected(&self, draft: &mut Value) -> Vec<Value> {
        let Some(selector) = draft.pointer_mut("/spec/nodeSelector").and_then(Value::as_object_mut) else {
            return Vec::new();
        };
        let keys: Vec<_> = selector.keys().filter(|key| self.own.contains(*key)).cloned().collect();
        let taken = keys.iter().filter_map(|key| Some(requirement(key, "In", &selector.remove(key)?)));
        let taken = taken.collect();
        if selector.is_empty() {
            pointer::remove(draft, "/spec/nodeSelector");
        }
        taken
    }

    fn require(&self, draft: &mut Value, selected: &[Value]) {
        let at = format!("{AFFINITY}/{REQUIRED}/nodeSelectorTerms");
        let terms = draft.pointer(&at).and_then(Value::as_array).cloned().unwrap_or_default();
        let barred: Vec<_> = self.nodes.iter().filter(|node| node.is_barred).map(|node| except(&node.name)).collect();
        let mut wanted = Vec::new();
        if terms.is_empty() {
            wanted.extend(self.expand(&json!({}), selected));
        }
        for term in &terms {
            // An empty term matches no node.
            wanted.extend(if is_empty(term) { vec![term.clone()] } else { self.expand(term, selected) });
        }
        for term in &mut wanted {
            if terms.is_empty() || !is_empty(term) {
                extend(term, "matchFields", &barred);
            }
        }
        if wanted != terms && !(terms.is_empty() && wanted.iter().all(is_empty)) {
            pointer::set(draft, &at, Value::Array(wanted));
        }
    }

    fn prefer(&self, draft: &mut Value) {
        let at = format!("{AFFINITY}/{PREFERRED}");
        let Some(terms) = draft.pointer(&at).and_then(Value::as_array).cloned() else { return };
        let wanted: Vec<_> = terms
            .iter()
            .flat_map(|term| {
                let expanded = self.expand(&term["preference"], &[]).into_iter();
                expanded.map(|preference| json!({"weight": term["weight"], "preference": preference}))
            })
            .collect();
        if wanted != terms {
            pointer::set(draft, &at, Value::Array(wanted));
        }
    }

    /// Prefers the Nodes without a taint of the tenant that says so.
    fn avoid(&self, draft: &mut Value) {
        let avoided: Vec<_> = self.nodes.iter().filter(|node| node.is_avoided).map(|node| except(&node.name)).collect();
        if avoided.is_empty() {
            return;
        }
        let at = format!("{AFFINITY}/{PREFERRED}");
        let mut terms = draft.pointer(&at).and_then(Value::as_array).cloned().unwrap_or_default();
        terms.push(json!({"weight": MOST, "preference": {"matchFields": avoided}}));
        pointer::set(draft, &at, Value::Array(terms));
    }

    /// Replaces the requirements on labels of the tenant by the names of the Nodes: one term for each Node that fulfils
    /// them. Requirements that no Node fulfils stay, so that the pod waits.
    fn expand(&self, term: &Value, selected: &[Value]) -> Vec<Value> {
        let list = |name: &str| term[name].as_array().cloned().unwrap_or_default();
        let (mut own, rest): (Vec<_>, Vec<_>) = list("matchExpressions").into_iter().partition(|one| self.is_own(one));
        own.extend_from_slice(selected);
        if own.is_empty() {
            return vec![term.clone()];
        }
        let mut bare = term.clone();
        pointer::remove(&mut bare, "/matchExpressions");
        extend(&mut bare, "matchExpressions", &rest);
        let with = |fields: &[Value]| {
            let mut term = bare.clone();
            extend(&mut term, "matchFields", fields);
            term
        };
        let fulfils = |node: &&Seen| own.iter().all(|one| holds(one, &node.labels));
        if own.iter().all(is_negative) {
            let failing: Vec<_> =
                self.nodes.iter().filter(|node| !fulfils(node)).map(|node| except(&node.name)).collect();
            return vec![with(&failing)];
        }
        let fit: Vec<_> = self.nodes.iter().filter(|node| !node.is_barred && fulfils(node)).collect();
        if fit.is_empty() {
            let mut waiting = term.clone();
            extend(&mut waiting, "matchExpressions", selected);
            return vec![waiting];
        }
        fit.iter().map(|node| with(&[requirement("metadata.name", "In", &json!(node.name))])).collect()
    }
}

fn requirement(key: &str, operator: &str, value: &Value) -> Value {
    json!({"key": key, "operator": operator, "values": [value]})
}

fn except(node: &str) -> Value {
    requirement("metadata.name", "NotIn", &json!(node))
}

fn is_empty(term: &Value) -> bool {
    ["matchExpressions", "matchFields"].iter().all(|list| term[list].as_array().is_none_or(Vec::is_empty))
}

fn extend(term: &mut Value, list: &str, more: &[Value]) {
    if !more.is_empty() {
        let mut all = term[list].as_array().cloned().unwrap_or_default();
        for one in more {
            if !all.contains(one) {
                all.push(one.clone());
            }
        }
        term[list] = Value::Array(all);
    }
}

/// Returns true for a requirement that Nodes without the label fulfil.
fn is_negative(requirement: &Value) -> bool {
    requirement["operator"] == "NotIn" || requirement["operator"] == "DoesNotExist"
}

/// Returns true if labels fulfil a requirement of a node affinity.
fn holds(requirement: &Value, labels: &Map<String, Value>) -> bool {
    let found = requirement["key"].as_str().and_then(|key| labels.get(key)).and_then(Value::as_str);
    let values: Vec<_> = requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let numbers = (number(found), number(values.first().copied()));
    match requirement["operator"].as_str() {
        Some("In") => found.is_some_and(|found| values.contains(&found)),
        Some("NotIn") => found.is_none_or(|found| !values.contains(&found)),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        Some("Gt") => matches!(numbers, (Some(found), Some(than)) if found > than),
        Some("Lt") => matches!(numbers, (Some(found), Some(than)) if found < than),
        _ => false,
    }
}

fn keeps_away(taint: &Value) -> bool {
    taint["effect"] == "NoSchedule" || taint["effect"] == "NoExecute"
}

/// Returns true if a toleration covers a taint, as a scheduler decides it.
fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (key, effect) = (text(toleration, "key"), text(toleration, "effect"));
    let is_named = key == text(taint, "key") && (effect.is_empty() || effect == text(taint, "effect"));
    match toleration["operator"].as_str().unwrap_or("Equal") {
        "Exists" if key.is_empty() => effect.is_empty() || effect == text(taint, "effect"),
        "Exists" => is_named,
        "Equal" => is_named && text(toleration, "value") == text(taint, "value"),
        _ => false,
    }
}

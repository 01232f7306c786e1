use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::path::Location;
use super::table::{Leaf, Node, Table};
use super::{Action, Defaults, Rule};
use crate::selectors::Scope;
use crate::{GroupKind, pointer};

/// Handling of a field that the table does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// Refuse the object, with an event on it.
    #[default]
    Refuse,
    /// Leave the field out.
    Drop,
}

/// Policy of an installation for the crossing of a kind.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Handling of unknown fields.
    pub unknown: Unknown,
    /// Paths of refused fields that this installation permits: they cross unchanged.
    pub allow: BTreeSet<String>,
}

/// A name that an object mentions: of an object in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The kind of the object.
    pub kind: GroupKind,
    /// Its name in the virtual cluster.
    pub name: String,
}

/// A reason why an object does not cross.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The location in the object: `spec.containers[0].ports[1].hostPort`.
    pub field: String,
    /// Reason, as a sentence fragment.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// Result of walking an object.
#[derive(Clone, Debug, Default)]
pub struct Crossing {
    /// The part of the host object that crosses.
    pub host: Value,
    /// References of the object, sorted, without repetition.
    pub references: BTreeSet<Reference>,
    /// Reason why the object may not cross; empty when it may.
    pub refusals: Vec<Refusal>,
}

/// Inputs of a crossing besides the object.
pub struct DownContext<'d> {
    /// Policy of the installation.
    pub policy: &'d Policy,
    /// Defaults of the virtual API server.
    pub defaults: &'d Defaults,
    /// The virtual cluster and the namespace of the object: what selectors are narrowed to.
    pub scope: Scope<'d>,
    /// Translates the names in references.
    pub name_of: &'d dyn Fn(&Reference) -> String,
}

impl Table {
    /// Carries a virtual object across.
    pub fn down(&self, object: &Value, context: &DownContext<'_>) -> Crossing {
        let labels = pointer::get(object, "/metadata/labels");
        let mut walk = Walk { context, labels, references: BTreeSet::new(), refusals: Vec::new() };
        let host = walk.node(self.root(), &Location::ROOT, object);
        Crossing {
            host: host.unwrap_or_else(|| Value::Object(Map::new())),
            references: walk.references,
            refusals: walk.refusals,
        }
    }

    /// Returns the references of an object, whether or not it may cross.
    pub fn references(&self, object: &Value) -> BTreeSet<Reference> {
        let mut found = BTreeSet::new();
        collect(self.root(), object, &mut found);
        found
    }
}

fn collect(node: &Node, value: &Value, found: &mut BTreeSet<Reference>) {
    if let Some(Leaf { rule: Rule { action: Action::Reference(kind), .. }, .. }) = node.rule.as_deref()
        && let Some(name) = value.as_str().filter(|name| !name.is_empty())
    {
        found.insert(Reference { kind: *kind, name: name.to_owned() });
    }
    match value {
        Value::Object(members) => {
            for (name, child) in node.fields.iter().filter(|(_, child)| child.refers) {
                if let Some(value) = members.get(name) {
                    collect(child, value, found);
                }
            }
            if let Some(child) = node.any().filter(|child| child.refers) {
                for value in members.values() {
                    collect(child, value, found);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = node.each().filter(|child| child.refers) {
                for item in items {
                    collect(child, item, found);
                }
            }
        }
        _ => {}
    }
}

struct Walk<'w> {
    context: &'w DownContext<'w>,
    labels: Option<&'w Value>,
    references: BTreeSet<Reference>,
    refusals: Vec<Refusal>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, location: &Location<'_>, value: &Value) -> Option<Value> {
        if let Some(leaf) = &node.rule
            && (leaf.covers() || !matches!(value, Value::Object(_) | Value::Array(_)))
        {
            return self.leaf(leaf, location, value);
        }
        match value {
            // A null says "not set" to the API server, in any location.
            Value::Null => None,
            Value::Object(members) if node.any().is_some() => self.map(node, location, members),
            Value::Object(members) => Some(self.object(node, location, members)),
            Value::Array(items) => self.list(node, location, items),
            _ => self.unknown(location, value),
        }
    }

    fn leaf(&mut self, leaf: &Leaf, location: &Location<'_>, value: &Value) -> Option<Value> {
        match leaf.rule.action {
            Action::Copy => Some(value.clone()),
            Action::Reference(kind) => Some(self.reference(kind, location, value)),
            Action::Selector(form) => form.narrow(value, self.labels, self.context.scope).unwrap_or_else(|error| {
                self.refuse(location, &error.to_string());
                None
            }),
            Action::Set | Action::Up | Action::Omit => None,
            Action::Refuse if self.context.policy.allow.contains(&leaf.path) => Some(value.clone()),
            Action::Refuse => {
                let harmless = value.is_null()
                    || leaf.unless.contains(value)
                    || self.context.defaults.contains(&location.pattern(), value);
                if !harmless {
                    self.refuse(location, leaf.rule.why);
                }
                None
            }
        }
    }

    fn reference(&mut self, kind: GroupKind, location: &Location<'_>, value: &Value) -> Value {
        let Some(name) = value.as_str() else {
            self.refuse(location, "is not a name");
            return Value::Null;
        };
        // An empty name is an omitted one; the API server decides whether it may be.
        if name.is_empty() {
            return value.clone();
        }
        let reference = Reference { kind, name: name.to_owned() };
        let host = (self.context.name_of)(&reference);
        self.references.insert(reference);
        Value::String(host)
    }

    fn object(&mut self, node: &Node, location: &Location<'_>, members: &Map<String, Value>) -> Value {
        let mut host = Map::new();
        for (name, value) in members {
            let location = location.field(name);
            let crossed = match node.field(name) {
                Some(child) => self.node(child, &location, value),
                None => self.unknown(&location, value),
            };
            if let Some(value) = crossed {
                host.insert(name.clone(), value);
            }
        }
        Value::Object(host)
    }

    fn map(&mut self, node: &Node, location: &Location<'_>, members: &Map<String, Value>) -> Option<Value> {
        let child = node.any()?;
        let mut host = Map::new();
        for (key, value) in members {
            if let Some(value) = self.node(child, &location.value(key), value) {
                host.insert(key.clone(), value);
            }
        }
        Some(Value::Object(host))
    }

    fn list(&mut self, node: &Node, location: &Location<'_>, items: &[Value]) -> Option<Value> {
        let Some(child) = node.each() else {
            return self.unknown(location, &Value::Array(items.to_vec()));
        };
        // A list is a list: an element without content stays in its position.
        let crossed = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| match item {
                Value::Null if child.rule.is_none() => Some(Value::Null),
                item => self.node(child, &location.element(index), item),
            })
            .collect();
        Some(Value::Array(crossed))
    }

    fn unknown(&mut self, location: &Location<'_>, value: &Value) -> Option<Value> {
        let harmless = value.is_null() || self.context.defaults.contains(&location.pattern(), value);
        if !harmless && self.context.policy.unknown == Unknown::Refuse {
            self.refuse(location, "is not known to this version of Tenet, so it is not passed on");
        }
        None
    }

    fn refuse(&mut self, location: &Location<'_>, why: &str) {
        self.refusals.push(Refusal { field: location.shown(), why: why.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{SelectorForm, copy, omit, reference, refuse, selector, set, up};
    use super::*;
    use crate::labels::LabelPolicy;

    fn table() -> Table {
        Table::new(&[
            ("", &[set("metadata", ""), up("status")]),
            (
                "spec",
                &[
                    copy("args[]"),
                    copy("limits{}"),
                    copy("opaque").whole(),
                    omit("gone", ""),
                    reference("secrets[].name", GroupKind::core("Secret")),
                    refuse("host", "reaches the node").unless(&["false"]),
                ],
            ),
        ])
        .unwrap()
    }

    fn down(object: &Value, policy: &Policy, defaults: &Defaults) -> Crossing {
        let scope = Scope { vc: "vc-1", namespace: "shop", labels: &LabelPolicy::default() };
        table().down(
            object,
            &DownContext { policy, defaults, scope, name_of: &|reference| format!("{}-x", reference.name) },
        )
    }

    #[test]
    fn known_fields_cross_by_their_rule() {
        let crossing = down(
            &json!({
                "metadata": {"name": "n"}, "status": {"a": 1},
                "spec": {"args": ["a", "b"], "limits": {"cpu": "1"}, "opaque": {"any": [1]},
                         "gone": {"x": 1}, "secrets": [{"name": "s"}], "host": false}
            }),
            &Policy::default(),
            &Defaults::default(),
        );
        assert_eq!(crossing.refusals, []);
        assert_eq!(
            crossing.host,
            json!({"spec": {"args": ["a", "b"], "limits": {"cpu": "1"}, "opaque": {"any": [1]},
                            "secrets": [{"name": "s-x"}]}})
        );
        let references = BTreeSet::from([Reference { kind: GroupKind::core("Secret"), name: "s".into() }]);
        assert_eq!(crossing.references, references);
        assert_eq!(table().references(&json!({"spec": {"secrets": [{"name": "s"}, {"name": ""}]}})), references);
    }

    #[test]
    fn what_may_not_cross_is_refused_with_its_place() {
        let object = json!({"spec": {"host": true, "new": 1, "secrets": [{"name": "s", "deep": {}}],
                                     "args": [{"not": "a scalar"}]}});
        let fields = |policy: &Policy| {
            down(&object, policy, &Defaults::default()).refusals.into_iter().map(|r| r.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(&Policy::default()), ["spec.args[0].not", "spec.host", "spec.new", "spec.secrets[0].deep"]);
        assert_eq!(fields(&Policy { unknown: Unknown::Drop, ..Policy::default() }), ["spec.host"]);
    }

    #[test]
    fn a_selector_is_narrowed_to_the_namespace_of_the_object() {
        let table = Table::new(&[(
            "spec",
            &[
                selector("map", SelectorForm::Map),
                selector("pods", SelectorForm::Labels),
                selector("spread[]", SelectorForm::SpreadConstraint),
            ],
        )])
        .unwrap();
        let down = |spec: Value| {
            let (policy, defaults) = (Policy::default(), Defaults::default());
            let scope = Scope { vc: "vc-1", namespace: "shop", labels: &LabelPolicy::default() };
            table.down(
                &json!({ "spec": spec }),
                &DownContext { policy: &policy, defaults: &defaults, scope, name_of: &|_| String::new() },
            )
        };
        let own = json!({"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"});
        assert_eq!(down(json!({"pods": {}, "map": {}})).host, json!({"spec": {"pods": {"matchLabels": own}}}));
        let crossing = down(json!({"spread": [{"labelSelector": {}}], "map": {"app": "a"}}));
        let expressions = &crossing.host["spec"]["spread"][0]["labelSelector"]["matchExpressions"];
        assert_eq!(expressions[1], json!({"key": "tenet.sh/namespace", "operator": "In", "values": ["shop"]}));
        assert_eq!(crossing.host["spec"]["map"]["tenet.sh/namespace"], "shop");
        let forged = down(json!({"pods": {"matchLabels": own}, "spread": [{}, {"fresh": 1}]}));
        let fields: Vec<_> = forged.refusals.iter().map(|refusal| refusal.field.as_str()).collect();
        assert_eq!(fields, ["spec.pods", "spec.spread[1]"]);
    }

    #[test]
    fn an_installation_may_permit_a_refused_field() {
        let policy = Policy { allow: BTreeSet::from(["spec.host".to_owned()]), ..Policy::default() };
        let crossing = down(&json!({"spec": {"host": {"path": "/"}}}), &policy, &Defaults::default());
        assert_eq!(crossing.refusals, []);
        assert_eq!(crossing.host, json!({"spec": {"host": {"path": "/"}}}));
    }

    #[test]
    fn a_default_of_the_server_is_no_reason_to_refuse() {
        let mut defaults = Defaults::default();
        defaults.learn(&json!({"spec": {}}), &json!({"spec": {"new": 1, "host": "node"}}));
        let object = json!({"spec": {"new": 1, "host": "node"}});
        assert_eq!(down(&object, &Policy::default(), &defaults).refusals, []);
        let other = json!({"spec": {"new": 2}});
        assert_eq!(down(&other, &Policy::default(), &defaults).refusals.len(), 1);
    }
}

//! Generated rule tables, and objects that they know.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tenet_mapper::rules::{Rule, Table, copy, omit, set, up};

/// The rules of one field, as a tree.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A text or number of the tenant's; the server may know a default.
    Scalar { follows: bool, default: bool },
    /// Opaque content of the tenant's.
    Opaque { follows: bool },
    /// A field of the host's, which the server fills in.
    Host,
    /// A field that does not cross.
    Dropped,
    /// Named members.
    Struct(BTreeMap<&'static str, Shape>),
    /// Members of any name.
    Map(Box<Shape>),
    /// Elements that are paired by their position.
    List(Box<Shape>),
    /// Elements that are paired by their member `k`.
    Keyed(BTreeMap<&'static str, Shape>),
}

/// The member that names the elements of a keyed list.
pub const KEY: &str = "k";
/// Defaults of the server.
pub const DEFAULT: &str = "default";

impl Shape {
    /// Returns true if anything in it follows after creation.
    pub fn follows(&self) -> bool {
        match self {
            Self::Scalar { follows, .. } | Self::Opaque { follows } => *follows,
            Self::Host | Self::Dropped => false,
            Self::Struct(fields) | Self::Keyed(fields) => fields.values().any(Self::follows),
            Self::Map(each) | Self::List(each) => each.follows(),
        }
    }

    /// The table of a kind whose `spec` has this shape.
    pub fn table(&self) -> Table {
        let mut rules = vec![set("metadata", "")];
        self.rules("spec".to_owned(), &mut rules);
        Table::new(&[("", &rules)]).expect("the shapes make no contradiction")
    }

    fn rules(&self, path: String, rules: &mut Vec<Rule>) {
        let kept = |rule: Rule, follows: bool| if follows { rule.kept() } else { rule };
        let leak = |path: String| &*path.leak();
        match self {
            Self::Scalar { follows, .. } => rules.push(kept(copy(leak(path)), *follows)),
            Self::Opaque { follows } => rules.push(kept(copy(leak(path)).whole(), *follows)),
            Self::Host => rules.push(up(leak(path)).computed()),
            Self::Dropped => rules.push(omit(leak(path), "")),
            Self::Struct(fields) => {
                for (name, shape) in fields {
                    shape.rules(format!("{path}.{name}"), rules);
                }
            }
            Self::Map(each) => each.rules(format!("{path}{{}}"), rules),
            Self::List(each) => each.rules(format!("{path}[]"), rules),
            Self::Keyed(fields) => {
                for (name, shape) in fields {
                    shape.rules(format!("{path}[{KEY}].{name}"), rules);
                }
            }
        }
    }

    /// The fields with a default, as patterns.
    pub fn defaults(&self, at: &[String], found: &mut Vec<(Vec<String>, Value)>) {
        let below = |step: &str| [at, &[step.to_owned()]].concat();
        match self {
            Self::Scalar { default: true, .. } => found.push((at.to_vec(), json!(DEFAULT))),
            Self::Host => found.push((at.to_vec(), json!("host"))),
            Self::Struct(fields) => fields.iter().for_each(|(name, shape)| shape.defaults(&below(name), found)),
            Self::Map(each) => each.defaults(&below("{}"), found),
            Self::List(each) => each.defaults(&below("[]"), found),
            Self::Keyed(fields) => {
                for (name, shape) in fields {
                    shape.defaults(&[below("[]"), vec![(*name).to_owned()]].concat(), found);
                }
            }
            _ => {}
        }
    }

    /// Objects of this shape, as a tenant writes them.
    pub fn values(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Scalar { .. } => {
                prop_oneof![Just(json!(0)), Just(json!(1)), Just(json!("")), Just(json!("x"))].boxed()
            }
            Self::Opaque { .. } => {
                prop_oneof![Just(json!({})), Just(json!([1])), Just(json!({"p": 1})), Just(json!({"p": {"q": [2]}}))]
                    .boxed()
            }
            Self::Host | Self::Dropped => Just(json!("tenant")).boxed(),
            Self::Struct(fields) => members(fields).prop_map(Value::Object).boxed(),
            Self::Map(each) => btree_map("[xy/]", each.values(), 0..3).prop_map(|map| json!(map)).boxed(),
            Self::List(each) => vec(each.values(), 0..4).prop_map(Value::Array).boxed(),
            Self::Keyed(fields) => {
                let fields: BTreeMap<_, _> =
                    fields.iter().filter(|(name, _)| **name != KEY).map(|(n, s)| (*n, s.clone())).collect();
                let elements = vec(members(&fields), 0..4);
                (elements, Just(vec!["p", "q", "r", "s"]).prop_shuffle())
                    .prop_map(|(elements, keys)| {
                        let named = elements.into_iter().zip(keys).map(|(mut element, key)| {
                            element.insert(KEY.to_owned(), json!(key));
                            Value::Object(element)
                        });
                        Value::Array(named.collect())
                    })
                    .boxed()
            }
        }
    }
}

fn members(fields: &BTreeMap<&'static str, Shape>) -> BoxedStrategy<Map<String, Value>> {
    let members: Vec<_> = fields.iter().map(|(name, shape)| (Just(*name), option::of(shape.values()))).collect();
    members
        .prop_map(|members| {
            members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>()
        })
        .boxed()
}

/// Tables of a few fields, some of them in structs, maps and lists in each other.
pub fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(follows, default)| Shape::Scalar { follows, default }),
        1 => any::<bool>().prop_map(|follows| Shape::Opaque { follows }),
        1 => Just(Shape::Host),
        1 => Just(Shape::Dropped),
    ];
    let inner = leaf.prop_recursive(3, 16, 3, |inner| {
        let fields = || btree_map(prop_oneof![Just("a"), Just("b"), Just("c/d")], inner.clone(), 1..4);
        let scalar = any::<bool>().prop_map(|follows| Shape::Scalar { follows, default: false });
        prop_oneof![
            fields().prop_map(Shape::Struct),
            scalar.clone().prop_map(|scalar| Shape::Map(Box::new(scalar))),
            scalar.prop_map(|scalar| Shape::List(Box::new(scalar))),
            fields().prop_map(|fields| Shape::List(Box::new(Shape::Struct(fields)))),
            (fields(), any::<bool>()).prop_map(|(mut fields, follows)| {
                fields.insert(KEY, Shape::Scalar { follows, default: false });
                Shape::Keyed(fields)
            }),
        ]
    });
    btree_map(prop_oneof![Just("e"), Just("f"), Just("g"), Just("h")], inner, 1..5).prop_map(Shape::Struct)
}

use serde_json::{Map, Value};

use super::table::{Node, Table};

impl Table {
    /// The part of a host object that follows the virtual one after creation: the fields
    /// whose rule says `kept`.
    pub fn kept(&self, host: &Value) -> Value {
        kept(self.root(), host).unwrap_or_else(|| Value::Object(Map::new()))
    }
}

fn kept(node: &Node, value: &Value) -> Option<Value> {
    if let Some(leaf) = &node.rule
        && (leaf.rule.kept || leaf.covers() || node.children.is_empty())
    {
        return leaf.rule.kept.then(|| value.clone());
    }
    match value {
        Value::Object(members) => {
            let crossed: Map<_, _> = members
                .iter()
                .filter_map(|(name, value)| {
                    let child = node.any().or_else(|| node.field(name))?;
                    Some((name.clone(), kept(child, value)?))
                })
                .collect();
            (!crossed.is_empty()).then_some(Value::Object(crossed))
        }
        Value::Array(items) => {
            let child = node.each()?;
            let crossed: Vec<_> = items.iter().filter_map(|item| kept(child, item)).collect();
            (!crossed.is_empty()).then_some(Value::Array(crossed))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Table, copy, set, up};

    #[test]
    fn only_kept_fields_follow_after_creation() {
        let table = Table::new(&[
            ("spec", &[copy("image").kept(), copy("once"), up("node"), set("ports", "").kept()]),
            ("spec.items[]", &[copy("name"), copy("tag").kept()]),
        ])
        .unwrap();
        let host = json!({"spec": {"image": "i", "once": 1, "node": "n", "ports": [{"p": 1}],
                                   "items": [{"name": "a", "tag": 1}, {"name": "b"}]}});
        assert_eq!(table.kept(&host), json!({"spec": {"image": "i", "ports": [{"p": 1}], "items": [{"tag": 1}]}}));
    }
}

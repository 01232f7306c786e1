use serde_json::{Value, json};

/// Names that the program knows and this crate does not. With them, a misspelt name is a problem at its line; without,
/// any name of the right shape is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Names of the mappers, for `kinds.disable`. Empty: not checked.
    pub mappers: Vec<String>,
    /// Field paths that the rule table of pods refuses, for `pods.allow`. Empty: not checked.
    pub refused_pod_fields: Vec<String>,
}

impl Known {
    /// Leaves only the known names in a schema.
    pub(crate) fn narrow(&self, schema: &mut Value) {
        let lists = [
            ("/properties/kinds/properties/disable/items", &self.mappers),
            ("/properties/pods/properties/allow/items", &self.refused_pod_fields),
        ];
        for (pointer, names) in lists {
            if let (false, Some(item)) = (names.is_empty(), schema.pointer_mut(pointer)) {
                item["enum"] = json!(names);
            }
        }
    }
}

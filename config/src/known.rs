use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::schema;

/// Keyword of our JSON schema, beside an `enum`: texts that are not among its values, and the reason for each.
pub const SEALED: &str = "x-sealed";

/// Knowledge of the program that this crate lacks: the sections of mappers, and names to check against.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Names of the mappers, for `kinds.enable` and `kinds.disable`. Empty: not checked.
    pub mappers: Vec<String>,
    /// For each kind in `kinds.allow`, the field paths that its rule table refuses. Empty: not checked.
    pub refused: BTreeMap<String, Vec<String>>,
    /// For each kind in `kinds.allow`, the field paths that cannot be permitted, each with the reason.
    pub sealed: BTreeMap<String, BTreeMap<String, String>>,
    sections: Vec<Section>,
}

/// Section of the file that another crate owns, such as a mapper. It is checked, completed and reloaded like the
/// others.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its key in the file.
    pub name: String,
    /// Its JSON schema, with a description and a default, and without references.
    pub schema: Value,
    /// Checks what the schema cannot express, and adds what is left out. It takes null for an absent section.
    pub complete: fn(&Value) -> Result<Value, String>,
    /// Fields that keep their value until a restart; all others change while the syncer runs.
    pub fixed: Vec<String>,
}

/// Two owners for one section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration section {0:?} has two owners")]
pub struct SectionError(String);

impl Known {
    /// Adds a section, unless its name is taken.
    pub fn add(&mut self, section: Section) -> Result<(), SectionError> {
        if schema(self)["properties"].get(&section.name).is_some() {
            return Err(SectionError(section.name));
        }
        self.sections.push(section);
        Ok(())
    }

    /// The sections that were added.
    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Adds the sections to a schema, and leaves only the known names in it.
    pub(crate) fn extend(&self, schema: &mut Value) {
        for section in &self.sections {
            schema["properties"][&section.name] = section.schema.clone();
        }
        let kinds = &mut schema["properties"]["kinds"]["properties"];
        if !self.mappers.is_empty() {
            for list in ["enable", "disable"] {
                kinds[list]["items"]["enum"] = json!(self.mappers);
            }
        }
        if let (false, Some(allow)) = (self.refused.is_empty(), kinds["allow"].as_object_mut()) {
            let list = |kind, paths| {
                let sealed = self.sealed.get(kind);
                json!({"type": "array", "items": {"type": "string", "enum": paths, SEALED: sealed}})
            };
            let lists: Map<_, _> = self.refused.iter().map(|(kind, paths)| (kind.clone(), list(kind, paths))).collect();
            allow.insert("properties".to_owned(), Value::Object(lists));
            allow.insert("additionalProperties".to_owned(), json!(false));
        }
    }

    /// Returns true if a field, given as `section.field`, may change while the syncer runs.
    pub(crate) fn is_reloadable(&self, field: &str) -> bool {
        let (root, rest) = field.split_once('.').unwrap_or((field, ""));
        match self.sections.iter().find(|section| section.name == root) {
            Some(section) => !section.fixed.iter().any(|fixed| covers(fixed, rest) || covers(rest, fixed)),
            None => crate::RELOADABLE.iter().any(|reloadable| covers(reloadable, field)),
        }
    }
}

/// Returns true if `field` is `outer` or a part of it; everything is a part of the whole.
fn covers(outer: &str, field: &str) -> bool {
    outer.is_empty() || field.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The sections of the built-in mappers, as the program adds them.
#[cfg(test)]
pub(crate) fn built_in() -> Known {
    let mut known = Known::default();
    for section in tenet_core_mappers::all().iter().flat_map(|mapper| &mapper.spec().sections) {
        let (name, schema, complete) = (section.name().to_owned(), section.schema(), section.complete());
        let fixed = section.fixed_fields().iter().map(ToString::to_string).collect();
        known.add(Section { name, schema, complete, fixed }).unwrap();
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str) -> Section {
        let complete = |value: &Value| Ok(value.clone());
        Section { name: name.to_owned(), schema: json!({"type": "object"}), complete, fixed: vec!["a.b".to_owned()] }
    }

    #[test]
    fn a_section_has_one_owner() {
        let mut known = built_in();
        for taken in ["host", "kinds", "pods"] {
            assert_eq!(known.add(section(taken)), Err(SectionError(taken.to_owned())));
        }
        assert_eq!(known.add(section("gateways")), Ok(()));
        assert_eq!(known.add(section("gateways")), Err(SectionError("gateways".to_owned())));
    }

    #[test]
    fn what_contains_a_fixed_field_is_fixed() {
        let mut known = Known::default();
        known.add(section("own")).unwrap();
        for (field, reloadable) in [
            ("own.x", true),
            ("own.a.x", true),
            ("own.a.bc", true),
            ("own.a.b", false),
            ("own.a.b.c", false),
            ("own.a", false),
            ("own", false),
            ("log.level", true),
            ("log", false),
            ("kinds.allow.Service", true),
            ("kinds.disable", false),
            ("kinds.enable", false),
        ] {
            assert_eq!(known.is_reloadable(field), reloadable, "{field}");
        }
    }
}

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::{Config, Known};

/// The JSON schema (draft 2020-12) of a configuration file, generated from the structs, with the sections of mappers.
/// `config/schema.json` is that of the built-in ones.
pub fn schema(known: &Known) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    known.extend(&mut schema);
    schema
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::known::built_in;
    use crate::yaml::{self, Kind, Node};
    use crate::{Overrides, RELOADABLE};

    fn in_crate(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    #[test]
    fn the_committed_schema_is_the_generated_one() {
        let path = in_crate("schema.json");
        let generated = format!("{:#}\n", schema(&built_in()));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(committed == generated, "run UPDATE=1 cargo test -p tenet-config");
    }

    #[test]
    fn every_example_is_valid() {
        for entry in std::fs::read_dir(in_crate("examples")).unwrap() {
            let path = entry.unwrap().path();
            Config::load_knowing(Some(&path), &Overrides::default(), &built_in())
                .unwrap_or_else(|problems| panic!("{problems}"));
        }
    }

    #[test]
    fn the_full_example_has_every_key_and_the_minimal_one_only_what_is_required() {
        let load = |name| Config::load_knowing(Some(&in_crate(name)), &Overrides::default(), &built_in()).unwrap();
        let text = std::fs::read_to_string(in_crate("examples/full.yaml")).unwrap();
        let written = yaml::parse(&text, &mut Vec::new()).unwrap();
        let absent = |field: &String| !has(&written, field);
        let absent: Vec<_> = fields(&schema(&built_in()), "").into_iter().filter(absent).collect();
        assert_eq!(absent, Vec::<String>::new());

        let minimal = load("examples/minimal.yaml");
        assert_eq!(minimal.engine, crate::Engine::default());
        assert_eq!(minimal.service_name(), "vc-1");
        let mut nodes = load("examples/full.yaml").sections["nodes"].clone();
        // All but this are the defaults.
        nodes["always"] = Value::Null;
        assert_eq!(nodes, minimal.sections["nodes"]);
    }

    #[test]
    fn every_field_is_described_and_is_required_or_has_a_default() {
        let schema = schema(&built_in());
        for field in fields(&schema, "") {
            let pointer = format!("/properties/{}", field.replace('.', "/properties/"));
            let found = schema.pointer(&pointer).unwrap();
            assert!(found["description"].is_string(), "{field} has no description");
            let (parent, key) = pointer.rsplit_once("/properties/").unwrap();
            let required = schema.pointer(&format!("{parent}/required"));
            let required = required.and_then(Value::as_array).is_some_and(|keys| keys.contains(&key.into()));
            assert!(required || found.get("default").is_some(), "{field} has no default");
        }
    }

    #[test]
    fn what_can_change_at_run_time_names_fields_that_exist() {
        let fields = fields(&schema(&built_in()), "");
        for field in RELOADABLE {
            assert!(fields.iter().any(|known| known == field), "{field}");
        }
    }

    fn has(node: &Node, field: &str) -> bool {
        let Kind::Map(entries) = &node.kind else {
            return false;
        };
        let (key, rest) = field.split_once('.').unwrap_or((field, ""));
        let entry = entries.iter().find(|entry| entry.key == key);
        entry.is_some_and(|entry| rest.is_empty() || has(&entry.value, rest))
    }

    /// The paths of all fields, mappings included.
    fn fields(schema: &Value, at: &str) -> Vec<String> {
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .flat_map(|(key, schema)| {
                let field = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let mut fields = fields(schema, &field);
                fields.push(field);
                fields
            })
            .collect()
    }
}

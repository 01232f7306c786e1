//! Configuration sections that mappers own.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

type Parsed = Arc<dyn Any + Send + Sync>;

/// A section of the configuration file that a mapper owns: a name and a type.
///
/// All fields of the type need a default, as the section may be absent; their doc comments become the descriptions in the
/// JSON schema. A text field gets its shape with `#[schemars(with = "DnsLabel")]`, see
/// [`format`](tenet_translate::format).
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use tenet_mapper::{Kind, MapperSpec, Section};
///
/// /// How Ingresses cross.
/// #[derive(Default, Serialize, Deserialize, JsonSchema)]
/// #[serde(default, rename_all = "camelCase")]
/// struct Ingresses {
///     /// Class on the host for each class inside.
///     class: String,
///     /// Port of the host's controller.
///     port: u16,
/// }
///
/// const INGRESS: Kind = Kind::of("networking.k8s.io", "v1", "Ingress", "ingresses");
/// let spec = MapperSpec::new("ingress", INGRESS).owns(Section::of::<Ingresses>("ingresses").fixed(&["port"]));
/// assert_eq!(spec.sections[0].schema()["properties"]["port"]["type"], "integer");
/// ```
///
/// A reconcile reads it with [`Context::section`](crate::Context::section).
#[derive(Clone, Copy)]
pub struct Section {
    name: &'static str,
    type_id: TypeId,
    schema: fn() -> Value,
    complete: fn(&Value) -> Result<Value, String>,
    parse: fn(&Value) -> Result<Parsed, String>,
    fixed: &'static [&'static str],
    permits: Option<&'static str>,
    also_permits: fn(&Value) -> Vec<String>,
}

impl Section {
    /// The section `name` of the type `T`.
    pub fn of<T>(name: &'static str) -> Self
    where
        T: Default + DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static,
    {
        Self {
            name,
            type_id: TypeId::of::<T>(),
            schema: schema::<T>,
            complete: |value| serde_json::to_value(read::<T>(value)?).map_err(|error| error.to_string()),
            parse: |value| Ok(Arc::new(read::<T>(value)?)),
            fixed: &[],
            permits: None,
            also_permits: |_| Vec::new(),
        }
    }

    /// Declares fields that keep their value until a restart; a change of any other is taken over while the syncer runs.
    #[must_use]
    pub fn fixed(self, fields: &'static [&'static str]) -> Self {
        Self { fixed: fields, ..self }
    }

    /// Declares that the list `field` permits refused fields of the mapper's kind, by their paths. Without it the list is
    /// `kinds.allow.KIND`.
    #[must_use]
    pub fn permits(self, field: &'static str) -> Self {
        Self { permits: Some(field), ..self }
    }

    /// Declares a function that returns the paths that other fields of the section permit, such as a level that stands
    /// for many paths.
    #[must_use]
    pub fn also_permits(self, paths: fn(&Value) -> Vec<String>) -> Self {
        Self { also_permits: paths, ..self }
    }

    /// The key of the section in the file.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The JSON schema of the section, with its default.
    pub fn schema(&self) -> Value {
        (self.schema)()
    }

    /// Returns a function that checks a section and adds what it leaves out; it takes null for an absent section.
    pub fn complete(&self) -> fn(&Value) -> Result<Value, String> {
        self.complete
    }

    /// The fields that keep their value until a restart.
    pub fn fixed_fields(&self) -> &'static [&'static str] {
        self.fixed
    }

    /// The list that permits refused fields of the mapper's kind.
    pub fn permitting_field(&self) -> Option<&'static str> {
        self.permits
    }

    /// Returns the paths that this value of the section permits: those of the list, and those of other fields.
    pub fn permitted(&self, value: &Value) -> Vec<String> {
        let list = self.permits.and_then(|field| value[field].as_array());
        let listed = list.into_iter().flatten().filter_map(|path| path.as_str().map(str::to_owned));
        listed.chain((self.also_permits)(value)).collect()
    }

    /// Returns true if two sections have the same type: each type is one section.
    pub fn is_same_type(&self, other: &Self) -> bool {
        self.type_id == other.type_id
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("name", &self.name).field("fixed", &self.fixed).finish_non_exhaustive()
    }
}

fn read<T: Default + DeserializeOwned>(value: &Value) -> Result<T, String> {
    if value.is_null() { Ok(T::default()) } else { T::deserialize(value).map_err(|error| error.to_string()) }
}

fn schema<T: JsonSchema + Default + Serialize>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("title");
        members.insert("default".to_owned(), serde_json::to_value(T::default()).unwrap_or_default());
    }
    schema
}

/// The sections of all mappers, each parsed once and found by its type.
///
/// ```
/// use tenet_mapper::Sections;
///
/// let mut sections = Sections::default();
/// sections.set(7_u8);
/// assert_eq!(*sections.get::<u8>(), 7);
/// ```
#[derive(Clone, Default)]
pub struct Sections(HashMap<TypeId, Parsed>);

impl Sections {
    /// Parses the sections; `value_of` returns the value under a name in the file. The error names the section.
    pub fn read<'s, 'v>(
        sections: impl IntoIterator<Item = &'s Section>,
        value_of: impl Fn(&str) -> Option<&'v Value>,
    ) -> Result<Self, String> {
        let parse = |section: &Section| {
            let value = value_of(section.name).unwrap_or(&Value::Null);
            let parsed = (section.parse)(value).map_err(|error| format!("{}: {error}", section.name))?;
            Ok((section.type_id, parsed))
        };
        sections.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the section of the type `T`; its defaults when no mapper owns such a section.
    pub fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let found = self.0.get(&TypeId::of::<T>()).cloned();
        found.and_then(|found| found.downcast().ok()).unwrap_or_default()
    }

    /// Sets the section of the type `T`: tests do.
    pub fn set<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }
}

impl fmt::Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sections", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    /// Settings of backups.
    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Backups {
        /// Copies to keep.
        keep: u8,
        /// Name of the schedule.
        schedule: String,
    }

    impl Default for Backups {
        fn default() -> Self {
            Self { keep: 3, schedule: "daily".to_owned() }
        }
    }

    #[test]
    fn a_section_has_a_schema_and_is_completed_with_its_defaults() {
        let section = Section::of::<Backups>("backups").fixed(&["schedule"]);
        let schema = section.schema();
        assert_eq!(schema["description"], "Settings of backups.");
        assert_eq!(schema["properties"]["keep"]["description"], "Copies to keep.");
        assert_eq!(schema["default"], json!({"keep": 3, "schedule": "daily"}));
        let complete = section.complete();
        assert_eq!(complete(&Value::Null), Ok(json!({"keep": 3, "schedule": "daily"})));
        assert_eq!(complete(&json!({"keep": 7})), Ok(json!({"keep": 7, "schedule": "daily"})));
        assert!(complete(&json!({"keep": 700})).is_err_and(|error| error.contains("700")));
    }

    #[test]
    fn sections_are_found_by_their_type() {
        let (section, value) = (Section::of::<Backups>("backups"), json!({"keep": 7}));
        let sections = Sections::read([&section], |name| (name == "backups").then_some(&value)).unwrap();
        assert_eq!(sections.get::<Backups>().keep, 7);
        assert_eq!(Sections::default().get::<Backups>().keep, 3);
        let bad = json!({"keep": "x"});
        let error = Sections::read([&section], |_| Some(&bad)).unwrap_err();
        assert!(error.starts_with("backups: "), "{error}");
    }
}

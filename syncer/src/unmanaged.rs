//! Objects without their managed fields. The caches do not keep these, and they are up to half of the text of a pod.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object of which `metadata.managedFields` was skipped.
#[derive(Debug, PartialEq)]
pub struct Unmanaged(pub Value);

/// Reads the members of an object, or those of its metadata.
enum Members {
    OfObject,
    OfMetadata,
}

impl<'de> Deserialize<'de> for Unmanaged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Members::OfObject.deserialize(deserializer).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = all.next_key::<String>()? {
            let value = match (&self, name.as_str()) {
                (Self::OfObject, "metadata") => all.next_value_seed(Self::OfMetadata)?,
                (Self::OfMetadata, "managedFields") => {
                    all.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => all.next_value()?,
            };
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(object: &Value) -> Value {
        serde_json::from_str::<Unmanaged>(&object.to_string()).unwrap().0
    }

    #[test]
    fn only_the_managed_fields_of_the_object_itself_are_skipped() {
        let fields = json!([{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:managedFields": {}}}}]);
        let pod = json!({
            "managedFields": 1,
            "metadata": {"name": "a", "managedFields": fields, "annotations": {"managedFields": "x"}},
            "spec": {"metadata": {"managedFields": fields}},
        });
        let mut expected = pod.clone();
        expected["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(read(&pod), expected);
        for other in [json!({}), json!({"metadata": null}), json!({"metadata": {}, "kind": "Status"})] {
            assert_eq!(read(&other), other);
        }
        assert!(serde_json::from_str::<Unmanaged>("[]").is_err());
    }

    proptest! {
        #[test]
        fn all_else_comes_as_it_is(
            members in prop::collection::btree_map("[a-z]{1,8}", ".{0,20}", 0..8),
            metadata in prop::collection::btree_map("[a-z]{1,8}", ".{0,20}", 0..8),
        ) {
            let mut object = json!(members);
            object["metadata"] = json!(metadata);
            prop_assert_eq!(read(&object), object);
        }
    }
}

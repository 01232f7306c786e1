//! Serde of types that a file holds as one text.

/// Implements `Serialize` and `Deserialize` by `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

pub(crate) use serde_as_text;

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json, to_value};

    use crate::{Duration, HostServiceRef, Quantity, ServiceRef};

    #[test]
    fn a_text_is_read_and_written_back_and_another_one_is_an_error_that_says_what_it_is_not() {
        fn both(good: &Value, bad: &str, of: fn(Value) -> Result<Value, String>) {
            assert_eq!(of(good.clone()).as_ref(), Ok(good));
            let error = of(json!(bad)).unwrap_err();
            assert!(error.starts_with(&format!("{bad:?} is not a")), "{error}");
            assert!(of(json!(["a"])).is_err());
        }
        macro_rules! of {
            ($type:ty) => {
                |value| from_value::<$type>(value).map(|it| to_value(it).unwrap()).map_err(|error| error.to_string())
            };
        }
        both(&json!("shop/web"), "web", of!(ServiceRef));
        both(&json!("shared/web"), "a/b/c", of!(HostServiceRef));
        both(&json!("1h30m"), "1d", of!(Duration));
        both(&json!("1.5Gi"), "many", of!(Quantity));
    }
}

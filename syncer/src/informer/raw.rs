//! An object as it comes over the wire: its JSON text, and the few fields that the
//! watcher itself needs. Nothing else is decoded, so nothing can fail to decode.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, Resource};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// One object of a list or of a watch event.
#[derive(Clone, Debug)]
pub struct RawObject {
    meta: ObjectMeta,
    json: Box<RawValue>,
}

impl RawObject {
    /// The JSON text.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    /// Namespace, name and resource version; empty where there is none.
    pub fn identity(&self) -> (&str, &str, &str) {
        let [namespace, name, version] = [&self.meta.namespace, &self.meta.name, &self.meta.resource_version]
            .map(|text| text.as_deref().unwrap_or_default());
        (namespace, name, version)
    }

    /// `metadata.namespace` and `metadata.name`, for messages.
    pub fn display_name(&self) -> String {
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}/{}", of(&self.meta.namespace), of(&self.meta.name))
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    metadata: Slim<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Slim<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let envelope: Envelope<'_> = serde_json::from_str(json.get()).map_err(serde::de::Error::custom)?;
        let own = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let meta = ObjectMeta {
            name: own(envelope.metadata.name),
            namespace: own(envelope.metadata.namespace),
            resource_version: own(envelope.metadata.resource_version),
            ..ObjectMeta::default()
        };
        Ok(Self { meta, json })
    }
}

impl Resource for RawObject {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&dt.kind)
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&dt.group)
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&dt.version)
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&dt.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectList, WatchEvent};

    use super::*;

    const POD: &str = r#"{"metadata":{"name":"a","namespace":"n","resourceVersion":"7"},"spec":{"new":[1,2]}}"#;

    #[test]
    fn a_watch_event_keeps_the_text_of_its_object() {
        let event: WatchEvent<RawObject> =
            serde_json::from_str(&format!(r#"{{"type":"ADDED","object":{POD}}}"#)).unwrap();
        let WatchEvent::Added(object) = event else { panic!("not added") };
        assert_eq!(object.json(), POD);
        assert_eq!(object.meta().resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn a_list_keeps_the_text_of_its_items() {
        let list: ObjectList<RawObject> = serde_json::from_str(&format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{POD}]}}"#
        ))
        .unwrap();
        assert_eq!(list.items[0].json(), POD);
    }
}

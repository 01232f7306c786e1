//! Downward API: fields of the virtual pod that containers read. On the host they are read from
//! the host pod, which has another name, namespace and UID, so the virtual values are stored there in
//! annotations and the field paths are rewritten to those.

mod format;

pub use format::format_map;

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use crate::digest;
use crate::keys::{ANNOTATIONS, LABELS, NAME, NAMESPACE, SERVICE_ACCOUNT, UID, VALUE};
use crate::labels::{Globs, LabelPolicy, annotation_crosses, is_reserved};

/// Fields of a virtual pod that the downward API can show.
#[derive(Clone, Copy, Debug)]
pub struct PodFields<'a> {
    /// `metadata.labels`.
    pub labels: Option<&'a Value>,
    /// `metadata.annotations`.
    pub annotations: Option<&'a Value>,
    /// `spec.serviceAccountName`.
    pub service_account: &'a str,
    /// Annotations that cross to the host under their own key.
    pub allow: &'a Globs,
    /// Keys that labels have on the host.
    pub policy: &'a LabelPolicy,
}

/// Error of rewriting a field path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the field path {0:?} is not known to the downward API")]
pub struct UnknownFieldPath(pub String);

/// Field paths rewritten for a host pod, and the annotations that they need.
///
/// Rewrite all field paths of a pod with one value of this type, then set [`annotations`](Self::annotations) on
/// the host pod. Labels and annotations change during the life of a pod, and a kubelet updates the
/// files, so rewrite the paths again on every reconcile.
#[derive(Clone, Debug)]
pub struct Downward<'a> {
    pod: PodFields<'a>,
    annotations: BTreeMap<String, String>,
}

impl<'a> Downward<'a> {
    /// Creates a value without any rewritten path.
    pub fn new(pod: PodFields<'a>) -> Self {
        Self { pod, annotations: BTreeMap::new() }
    }

    /// Returns the field path on the host pod for one on the virtual pod.
    ///
    /// The owner record already holds name, namespace and UID. A single label has a key on the host,
    /// and so has an annotation on the allow-list; any other value gets an annotation of its
    /// own. Status and node are the same on both sides.
    pub fn turn(&mut self, path: &str) -> Result<String, UnknownFieldPath> {
        match subscripted(path) {
            Some(("metadata.labels", key)) if is_reserved(key) => Ok(self.value("labels", self.pod.labels, key)),
            Some(("metadata.annotations", key)) if !annotation_crosses(key, self.pod.allow) => {
                Ok(self.value("annotations", self.pod.annotations, key))
            }
            Some(("metadata.labels", key)) => Ok(format!("metadata.labels['{}']", self.pod.policy.host_key(key))),
            Some(("metadata.annotations", _)) => Ok(path.to_owned()),
            Some(_) => Err(UnknownFieldPath(path.to_owned())),
            None => self.turn_whole(path),
        }
    }

    fn turn_whole(&mut self, path: &str) -> Result<String, UnknownFieldPath> {
        Ok(match path {
            "metadata.name" => annotation(NAME),
            "metadata.namespace" => annotation(NAMESPACE),
            "metadata.uid" => annotation(UID),
            "spec.serviceAccountName" => self.need(SERVICE_ACCOUNT, self.pod.service_account.to_owned()),
            "metadata.labels" => self.need(LABELS, format_map(self.pod.labels)),
            "metadata.annotations" => self.need(ANNOTATIONS, format_map(self.pod.annotations)),
            // `spec.host` is an old spelling of `spec.nodeName` that the API still accepts.
            "spec.nodeName" | "spec.host" | "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs" => {
                path.to_owned()
            }
            _ => return Err(UnknownFieldPath(path.to_owned())),
        })
    }

    /// Stores a value in an annotation of its own. Without a value there is no annotation either:
    /// a kubelet reads both as empty.
    fn value(&mut self, map: &str, values: Option<&Value>, key: &str) -> String {
        let digest = digest::of_parts("tenet.sh/downward", &[map, key]);
        let own = format!("{VALUE}{digest}");
        match values.and_then(|values| values.get(key)).and_then(Value::as_str) {
            Some(value) => self.need(&own, value.to_owned()),
            None => annotation(&own),
        }
    }

    fn need(&mut self, key: &str, value: String) -> String {
        self.annotations.insert(key.to_owned(), value);
        annotation(key)
    }

    /// Returns the annotations that the host pod needs for the paths rewritten so far.
    pub fn annotations(self) -> BTreeMap<String, String> {
        self.annotations
    }
}

fn annotation(key: &str) -> String {
    format!("metadata.annotations['{key}']")
}

/// Splits `metadata.labels['key']` into map and key.
fn subscripted(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_path_leads_to_the_virtual_value() {
        let labels = json!({"app": "web", "tenet.sh/mine": "l"});
        let annotations = json!({"ok/a": "1", "b": "two\n", "tenet.sh/uid": "forged"});
        let allow = Globs::new(["ok/*", "tenet.sh/*"]);
        let pod = PodFields {
            labels: Some(&labels),
            annotations: Some(&annotations),
            service_account: "robot",
            allow: &allow,
            policy: &LabelPolicy::default(),
        };
        let value = |map, key| format!("tenet.sh/value-{}", digest::of_parts("tenet.sh/downward", &[map, key]));
        let at = annotation;
        let (b, mine) = (value("annotations", "b"), value("labels", "tenet.sh/mine"));
        let (uid, none) = (value("annotations", "tenet.sh/uid"), value("annotations", "none"));
        let all = "b=\"two\\n\"\nok/a=\"1\"\ntenet.sh/uid=\"forged\"";
        for (path, host, extra) in [
            ("metadata.name", at("tenet.sh/name"), None),
            ("metadata.namespace", at("tenet.sh/namespace"), None),
            ("metadata.uid", at("tenet.sh/uid"), None),
            ("spec.serviceAccountName", at(SERVICE_ACCOUNT), Some((SERVICE_ACCOUNT, "robot"))),
            ("metadata.labels", at(LABELS), Some((LABELS, "app=\"web\"\ntenet.sh/mine=\"l\""))),
            ("metadata.annotations", at(ANNOTATIONS), Some((ANNOTATIONS, all))),
            ("metadata.labels['app']", "metadata.labels['app']".to_owned(), None),
            ("metadata.labels['none']", "metadata.labels['none']".to_owned(), None),
            ("metadata.labels['tenet.sh/mine']", at(&mine), Some((&mine, "l"))),
            ("metadata.annotations['ok/a']", at("ok/a"), None),
            ("metadata.annotations['b']", at(&b), Some((&b, "two\n"))),
            ("metadata.annotations['none']", at(&none), None),
            ("metadata.annotations['tenet.sh/uid']", at(&uid), Some((&uid, "forged"))),
            ("spec.nodeName", "spec.nodeName".to_owned(), None),
            ("status.podIP", "status.podIP".to_owned(), None),
            ("status.podIPs", "status.podIPs".to_owned(), None),
            ("status.hostIP", "status.hostIP".to_owned(), None),
            ("status.hostIPs", "status.hostIPs".to_owned(), None),
        ] {
            let mut downward = Downward::new(pod);
            assert_eq!(downward.turn(path), Ok(host), "{path}");
            let extra = extra.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(downward.annotations(), extra.into_iter().collect(), "{path}");
        }
    }

    #[test]
    fn unknown_paths_are_named() {
        let (allow, policy) = (Globs::default(), LabelPolicy::default());
        let pod =
            PodFields { labels: None, annotations: None, service_account: "default", allow: &allow, policy: &policy };
        for path in ["", "spec.image", "status.phase", "metadata", "spec['a']", "['a']", "metadata.labels['a'"] {
            let error = Downward::new(pod).turn(path).unwrap_err();
            assert_eq!(error.to_string(), format!("the field path {path:?} is not known to the downward API"));
        }
        let mut downward = Downward::new(pod);
        assert!(downward.turn("metadata.labels").is_ok());
        assert_eq!(downward.annotations(), BTreeMap::from([(LABELS.to_owned(), String::new())]));
    }

    proptest! {
        #[test]
        fn no_path_leads_to_the_metadata_of_the_host_pod(
            map in prop::sample::select(vec!["metadata.labels", "metadata.annotations", "metadata.name", "spec"]),
            key in "(tenet.sh/|x.TENET.sh/|ok/)?[a-z'\\[\\]]{0,8}",
            subscript in any::<bool>(),
        ) {
            let (allow, policy) = (Globs::new(["ok/*"]), LabelPolicy::default());
            let values = json!({&key: "value"});
            let values = Some(&values);
            let pod = PodFields { labels: values, annotations: values, service_account: "a", allow: &allow, policy: &policy };
            let path = if subscript { format!("{map}['{key}']") } else { map.to_owned() };
            if let Ok(host) = Downward::new(pod).turn(&path) {
                let ours = host.starts_with("metadata.annotations['tenet.sh/");
                let own_label = host == path && map == "metadata.labels" && !is_reserved(&key);
                let allowed = host == path && key.starts_with("ok/");
                prop_assert!(ours || own_label || allowed, "{} leads to {}", path, host);
            }
        }
    }
}

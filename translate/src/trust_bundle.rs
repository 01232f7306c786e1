//! `clusterTrustBundle` sources of pods: trust anchors out of the `ClusterTrustBundle`s of the virtual cluster.

use std::collections::BTreeSet;
use std::fmt;

use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::Value;

use crate::projected;
use crate::selectors::LabelSelector;

/// Label of the PEM block of a certificate.
const CERTIFICATE: &str = "CERTIFICATE";

/// One `clusterTrustBundle` source of a pod's projected volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundleSpec {
    /// Bundles that it joins.
    pub choice: Choice,
    /// True if the file is empty while no bundle is found. Otherwise the pod waits for one.
    pub is_optional: bool,
    /// Path of the file in the volume.
    pub path: String,
    /// Name of the volume.
    pub volume: String,
    /// Index of the source within the volume.
    pub source: usize,
}

/// Choice of bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The bundle of this name.
    Name(String),
    /// All bundles of a signer whose labels match. No selector matches none, an empty one all.
    Signer {
        /// Name of the signer.
        name: String,
        /// Label selector, as in the pod.
        selector: Option<Value>,
    },
}

impl TrustBundleSpec {
    /// Reads one entry of `projected.sources`; `None` for another source.
    pub fn read(volume: &str, index: usize, source: &Value) -> Option<Self> {
        let bundle = source.get("clusterTrustBundle").filter(|bundle| bundle.is_object())?;
        let text = |field| bundle.get(field).and_then(Value::as_str);
        let signer = || Choice::Signer {
            name: text("signerName").unwrap_or_default().to_owned(),
            selector: bundle.get("labelSelector").filter(|selector| !selector.is_null()).cloned(),
        };
        Some(Self {
            choice: text("name").map_or_else(signer, |name| Choice::Name(name.to_owned())),
            is_optional: bundle.get("optional").and_then(Value::as_bool).unwrap_or_default(),
            path: text("path").unwrap_or_default().to_owned(),
            volume: volume.to_owned(),
            source: index,
        })
    }

    /// Returns all such sources of a pod, in the order of its volumes.
    pub fn of_pod(pod_spec: &Value) -> Vec<Self> {
        projected::sources(pod_spec).filter_map(|(volume, index, source)| Self::read(volume, index, source)).collect()
    }

    /// Returns the key in the Secret of the pod.
    pub fn data_key(&self) -> String {
        projected::data_key(&self.volume, self.source)
    }
}

impl Choice {
    /// Returns true if a `ClusterTrustBundle` is chosen. A selector that cannot be read chooses none.
    pub fn takes(&self, bundle: &Value) -> bool {
        match self {
            Self::Name(name) => bundle.pointer("/metadata/name").is_some_and(|found| found == name),
            Self::Signer { name, selector } => {
                let is_signed = bundle.pointer("/spec/signerName").is_some_and(|found| found == name);
                let selector = LabelSelector::read(selector.as_ref()).ok().flatten();
                is_signed && selector.is_some_and(|selector| selector.matches(bundle.pointer("/metadata/labels")))
            }
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "the ClusterTrustBundle {name}"),
            Self::Signer { name, .. } => write!(f, "a ClusterTrustBundle of the signer {name} with matching labels"),
        }
    }
}

/// Joins the certificates of some bundles, as a kubelet does: each once, and without the text around them. A kubelet
/// shuffles them, so that nobody relies on their order; here it follows from the content, so that equal bundles make
/// equal files.
pub fn anchors<'b>(bundles: impl IntoIterator<Item = &'b str>) -> String {
    let certificates: BTreeSet<Vec<u8>> = bundles.into_iter().flat_map(certificates).collect();
    certificates.into_iter().map(pem).collect()
}

/// Returns a certificate in DER as PEM.
pub(crate) fn pem(certificate: Vec<u8>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(CERTIFICATE, certificate), config)
}

/// Returns the certificates of a text in DER. The API server accepts a text only if every block of it can be read.
pub(crate) fn certificates(bundle: &str) -> impl Iterator<Item = Vec<u8>> {
    let blocks = pem::parse_many(bundle).unwrap_or_default();
    blocks.into_iter().filter(|block| block.tag() == CERTIFICATE).map(Pem::into_contents)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(bundle: &Value) -> TrustBundleSpec {
        TrustBundleSpec::read("v", 1, &json!({"clusterTrustBundle": bundle})).unwrap()
    }

    fn bundle(name: &str, signer: &str, labels: &Value) -> Value {
        json!({"metadata": {"name": name, "labels": labels}, "spec": {"signerName": signer}})
    }

    #[test]
    fn every_bundle_that_a_pod_asks_for_is_found() {
        let pod = json!({"volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "trust", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token"}},
                {"clusterTrustBundle": {"name": "root", "path": "ca.pem"}},
                {"clusterTrustBundle": {"signerName": "a.b/c", "labelSelector": {}, "path": "b.pem", "optional": true}},
            ]}},
        ]});
        let found: Vec<_> = TrustBundleSpec::of_pod(&pod)
            .into_iter()
            .map(|spec| (spec.data_key(), spec.path.clone(), spec.is_optional, spec.choice.to_string()))
            .collect();
        assert_eq!(
            found,
            [
                ("trust.1".to_owned(), "ca.pem".to_owned(), false, "the ClusterTrustBundle root".to_owned()),
                (
                    "trust.2".to_owned(),
                    "b.pem".to_owned(),
                    true,
                    "a ClusterTrustBundle of the signer a.b/c with matching labels".to_owned()
                ),
            ]
        );
        assert_eq!(TrustBundleSpec::of_pod(&json!({"volumes": [{"projected": {"sources": [{}, null]}}]})), []);
    }

    #[test]
    fn bundles_are_chosen_by_name_or_by_signer_and_labels() {
        let root = bundle("root", "", &json!({}));
        let live = bundle("a.b:c:live", "a.b/c", &json!({"stage": "live"}));
        for (source, takes) in [
            (json!({"name": "root"}), [true, false]),
            (json!({"name": "other"}), [false, false]),
            (json!({"signerName": "a.b/c", "labelSelector": {}}), [false, true]),
            (json!({"signerName": "a.b/c", "labelSelector": {"matchLabels": {"stage": "live"}}}), [false, true]),
            (json!({"signerName": "a.b/c", "labelSelector": {"matchLabels": {"stage": "test"}}}), [false, false]),
            (json!({"signerName": "a.b/d", "labelSelector": {}}), [false, false]),
            (json!({"signerName": "a.b/c"}), [false, false]),
            (json!({"signerName": "a.b/c", "labelSelector": 7}), [false, false]),
        ] {
            let choice = spec(&source).choice;
            assert_eq!([choice.takes(&root), choice.takes(&live)], takes, "{source}");
        }
    }

    #[test]
    fn certificates_are_joined_once_each_and_in_one_order() {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let pem = |body: &str| format!("{BEGIN}\n{body}\n{END}\n");
        let long = "A".repeat(72);
        let wrapped = format!("{}\n{}", "A".repeat(64), "A".repeat(8));
        let (one, two) = (pem(&wrapped), pem("QkI="));
        assert_eq!(anchors([format!("a word\n{}{two}", pem(&long)).as_str(), two.as_str()]), format!("{one}{two}"));
        assert_eq!(anchors([two.as_str(), one.as_str()]), format!("{one}{two}"));
        assert_eq!(anchors([two.replace('\n', "\r\n").as_str()]), two);
        let key = two.replace("CERTIFICATE", "PRIVATE KEY");
        assert_eq!(anchors([format!("{key}{two}").as_str()]), two);
        for nothing in ["", "text", BEGIN, &format!("{END}{BEGIN}QkI=")] {
            assert_eq!(anchors([nothing]), "", "{nothing}");
        }
    }
}

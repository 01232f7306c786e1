//! `podCertificate` sources of pods: a private key, and a certificate that a signer of the virtual cluster issues for
//! it.

use serde_json::{Map, Value, json};

use crate::{digest, projected, trust_bundle};

/// One `podCertificate` source of a pod's projected volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCertificateSpec {
    /// Name of the signer.
    pub signer: String,
    /// Type of the private key, such as `ECDSAP256`.
    pub key_type: String,
    /// Longest life of a certificate in seconds, as the pod asks for it.
    pub max_expiration: Option<i64>,
    /// Annotations for the signer, which nobody verifies.
    pub annotations: Map<String, Value>,
    /// Path of the file with key and certificates, if any.
    pub bundle_path: Option<String>,
    /// Path of the file with the key, if any.
    pub key_path: Option<String>,
    /// Path of the file with the certificates, if any.
    pub chain_path: Option<String>,
    /// Name of the volume.
    pub volume: String,
    /// Index of the source within the volume.
    pub source: usize,
}

impl PodCertificateSpec {
    /// Reads one entry of `projected.sources`; `None` for another source.
    pub fn read(volume: &str, index: usize, source: &Value) -> Option<Self> {
        let certificate = source.get("podCertificate").filter(|certificate| certificate.is_object())?;
        let text = |field| certificate.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let owned = |field| text(field).map(str::to_owned);
        Some(Self {
            signer: owned("signerName").unwrap_or_default(),
            key_type: owned("keyType").unwrap_or_default(),
            max_expiration: certificate.get("maxExpirationSeconds").and_then(Value::as_i64),
            annotations: certificate.get("userAnnotations").and_then(Value::as_object).cloned().unwrap_or_default(),
            bundle_path: owned("credentialBundlePath"),
            key_path: owned("keyPath"),
            chain_path: owned("certificateChainPath"),
            volume: volume.to_owned(),
            source: index,
        })
    }

    /// Returns all such sources of a pod, in the order of its volumes.
    pub fn of_pod(pod_spec: &Value) -> Vec<Self> {
        projected::sources(pod_spec).filter_map(|(volume, index, source)| Self::read(volume, index, source)).collect()
    }

    /// Returns the name of the source among those of its pod.
    pub fn id(&self) -> String {
        projected::data_key(&self.volume, self.source)
    }

    /// Returns the key of the private key in the Secret of the pod.
    pub fn key_key(&self) -> String {
        format!("{}.key", self.id())
    }

    /// Returns the key of the certificates in the Secret of the pod.
    pub fn chain_key(&self) -> String {
        format!("{}.crt", self.id())
    }

    /// Returns the key of private key and certificates in one file.
    pub fn bundle_key(&self) -> String {
        format!("{}.pem", self.id())
    }

    /// Returns the files: the key of each in the Secret of the pod, and its path.
    pub fn files(&self) -> Vec<(String, String)> {
        let files = [
            (self.bundle_key(), &self.bundle_path),
            (self.key_key(), &self.key_path),
            (self.chain_key(), &self.chain_path),
        ];
        files.into_iter().filter_map(|(key, path)| Some((key, path.clone()?))).collect()
    }

    /// Returns the name of the request for the certificate of this number, counted from 0, for the private key that was
    /// made at this time. It is the same after a restart.
    pub fn request_name(&self, pod_uid: &str, made: i64, number: u64) -> String {
        let parts = [pod_uid, &self.id(), &made.to_string(), &number.to_string()];
        format!("tenet-{}", digest::of_parts("tenet.sh/certificate", &parts))
    }

    /// Returns the spec of a request, without the account and the proof of the key.
    pub fn request(&self, pod_name: &str, pod_uid: &str, node_name: &str, node_uid: &str) -> Value {
        let mut spec = json!({
            "signerName": self.signer, "podName": pod_name, "podUID": pod_uid,
            "nodeName": node_name, "nodeUID": node_uid,
        });
        if let Some(seconds) = self.max_expiration {
            spec["maxExpirationSeconds"] = json!(seconds);
        }
        if !self.annotations.is_empty() {
            spec["unverifiedUserAnnotations"] = Value::Object(self.annotations.clone());
        }
        spec
    }
}

/// Returns the certificates of an issued chain without the text around them, in their order.
pub fn chain(issued: &str) -> String {
    trust_bundle::certificates(issued).map(trust_bundle::pem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({"volumes": [{"name": "id", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}},
            {"podCertificate": {"signerName": "a.b/c", "keyType": "ED25519", "maxExpirationSeconds": 3600,
                "credentialBundlePath": "all.pem", "certificateChainPath": "chain.pem",
                "userAnnotations": {"a.b/name": "web"}}},
        ]}}]})
    }

    #[test]
    fn every_certificate_that_a_pod_asks_for_is_found() {
        let [spec] = &PodCertificateSpec::of_pod(&pod())[..] else { panic!() };
        assert_eq!((spec.signer.as_str(), spec.key_type.as_str()), ("a.b/c", "ED25519"));
        let files = [("id.1.pem", "all.pem"), ("id.1.crt", "chain.pem")];
        assert_eq!(spec.files(), files.map(|(key, path)| (key.to_owned(), path.to_owned())));
        assert_eq!(
            spec.request("web", "u", "node-1", "n"),
            json!({"signerName": "a.b/c", "podName": "web", "podUID": "u", "nodeName": "node-1", "nodeUID": "n",
                "maxExpirationSeconds": 3600, "unverifiedUserAnnotations": {"a.b/name": "web"}})
        );
        assert_eq!(PodCertificateSpec::of_pod(&json!({"volumes": [{"projected": {"sources": [{}]}}]})), []);
    }

    #[test]
    fn a_request_has_its_own_name_for_each_pod_key_and_number() {
        let [spec] = &PodCertificateSpec::of_pod(&pod())[..] else { panic!() };
        let name = spec.request_name("u", 7, 0);
        assert_eq!(name, spec.request_name("u", 7, 0));
        for other in [spec.request_name("u", 7, 1), spec.request_name("v", 7, 0), spec.request_name("u", 8, 0)] {
            assert_ne!(name, other);
        }
        assert!(name.len() <= crate::names::MAX_LENGTH && crate::dns_name::is_label(&name), "{name}");
    }

    #[test]
    fn a_chain_keeps_its_order() {
        let of = |certificate: &str| trust_bundle::pem(certificate.as_bytes().to_vec());
        assert_eq!(chain(&format!("leaf\n{}text\n{}", of("BB"), of("AA"))), format!("{}{}", of("BB"), of("AA")));
    }
}

//! Serving certificates from the virtual cluster's own signer, as kubelets request them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use tenet_mapper::Kind;
use time::OffsetDateTime;
use tokio::time::sleep;

use crate::serving::ServedCertificate;
use crate::serving::authority::{AuthorityError, Signed, Validity};
use tenet_syncer::api::{Api, ApiError, PatchType, Target, chain};

/// A request for a certificate.
pub const REQUEST: Kind =
    Kind::of("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests").cluster_scoped();
const SIGNER: &str = "kubernetes.io/kubelet-serving";
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const LIMIT: Duration = Duration::from_secs(10);
/// Number of reads of a request until it is signed: the signer is a controller, which takes a moment.
const LOOKS: usize = 50;
const LOOK: Duration = Duration::from_millis(200);
/// Age at which a certificate is renewed, in percent of its lifetime.
const RENEW: i64 = 66;
const AGAIN: Duration = Duration::from_secs(60);

/// A failure to get a certificate of the virtual cluster.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The request could not be made.
    #[error("cannot make a certificate request")]
    Make(#[from] rcgen::Error),
    /// The virtual API server does not take it.
    #[error("cannot create or approve the CertificateSigningRequest")]
    Api(#[from] ApiError),
    /// The signer does not sign it.
    #[error("the signer {SIGNER} did not sign the CertificateSigningRequest: {0}")]
    Unsigned(String),
    /// The signed certificate cannot be used.
    #[error(transparent)]
    Use(#[from] AuthorityError),
}

/// Requests a new certificate for the kubelet of a node.
pub(super) async fn request(virt: &Api, node: &str, addresses: &[String]) -> Result<Signed, CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([&[node.to_owned()], addresses].concat())?;
    // The signer takes no other subject.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
    let pem = params.serialize_request(&key)?.pem()?;
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": REQUEST.kind,
        "metadata": {"generateName": "tenet-kubelet-"},
        "spec": {
            "request": STANDARD.encode(pem), "signerName": SIGNER,
            "usages": ["digital signature", "server auth"], "expirationSeconds": LIFETIME.as_secs(),
        },
    });
    let created = virt.create(&Target::new(REQUEST, "", ""), &object, LIMIT).await?;
    let name = created["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let target = Target::new(REQUEST, "", &name);
    let signed = approve_and_wait(virt, &target).await;
    // Signed or not, the request is of no use any more; controllers remove what is left.
    drop(virt.delete(&target, &json!({}), LIMIT).await);
    Ok(Signed::new(&signed?, &key.serialize_pem())?)
}

async fn approve_and_wait(virt: &Api, target: &Target<'_>) -> Result<String, CertificateError> {
    let approval = json!({"status": {"conditions": [{
        "type": "Approved", "status": "True", "reason": "TenetKubelet",
        "message": "the syncer is the kubelet of this node",
    }]}});
    virt.patch(&target.clone().subresource(Some("approval")), PatchType::Merge, &approval, LIMIT).await?;
    let mut last = Value::Null;
    for _ in 0..LOOKS {
        last = virt.get_whole(target, LIMIT).await?;
        if let Some(signed) = last.pointer("/status/certificate").and_then(Value::as_str) {
            let pem = STANDARD.decode(signed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            return pem.ok_or_else(|| CertificateError::Unsigned("the certificate is no text".to_owned()));
        }
        sleep(LOOK).await;
    }
    let conditions = last.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let told = conditions.filter_map(|condition| condition["message"].as_str()).collect::<Vec<_>>().join("; ");
    Err(CertificateError::Unsigned(told))
}

/// Renews the certificate of a node for as long as it is polled.
pub(super) async fn renew(
    virt: &Api,
    node: &str,
    addresses: &[String],
    served: &ServedCertificate,
    mut validity: Validity,
) {
    loop {
        sleep(AGAIN).await;
        if validity.age(OffsetDateTime::now_utc().unix_timestamp()) < RENEW {
            continue;
        }
        match request(virt, node, addresses).await {
            Ok(signed) => {
                validity = signed.validity;
                served.set(signed.key);
            }
            Err(error) => {
                tracing::warn!(node, error = %chain(&error), "cannot renew the certificate of a virtual node");
            }
        }
    }
}

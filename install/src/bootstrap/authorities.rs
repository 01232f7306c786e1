//! The Secret with the authorities, the key of ServiceAccount tokens and the service range.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{BootstrapError, Changes, Request, SERVICE_CIDR, Workloads, service_range};
use crate::api::Api;
use crate::pki::{self, Authority, Identity};
use crate::{names, secret};

/// Authorities of one virtual cluster.
pub(super) struct Authorities {
    pub(super) ca: Identity,
    pub(super) front_proxy: Identity,
    /// Private and public key of ServiceAccount tokens.
    pub(super) tokens: (String, String),
    pub(super) service_cidr: String,
}

/// Keys of the Secret, with the file names of kubeadm.
const CA: [&str; 2] = ["ca.crt", "ca.key"];
const FRONT_PROXY: [&str; 2] = ["front-proxy-ca.crt", "front-proxy-ca.key"];
const TOKENS: [&str; 2] = ["sa.key", "sa.pub"];

/// Returns the authorities in the Secret, which is created if it does not exist.
pub(super) async fn get_or_create(
    host: &Api,
    request: &Request,
    service: &Value,
    now: OffsetDateTime,
    changes: &mut Changes,
) -> Result<Authorities, BootstrapError> {
    let (namespace, name) = (&request.namespace, names::certificates(&request.name));
    let collection = format!("/api/v1/namespaces/{namespace}/secrets");
    let path = format!("{collection}/{name}");
    let mut found = host.get(&path).await?;
    if found.is_none() {
        let range = range(host, request, service).await?;
        let secret = secret::object(request, &name, &json!(create(&request.name, &range, now)?));
        found = match host.create(&collection, &secret).await {
            Ok(created) => {
                changes.secrets.push(name.clone());
                Some(created)
            }
            // Another pod was faster: its authorities count.
            Err(error) if error.code() == Some(409) => host.get(&path).await?,
            Err(error) => return Err(error.into()),
        };
    }
    let mut found = found.unwrap_or_default();
    // A Secret of another origin holds authorities, but no service range.
    if found["data"][SERVICE_CIDR].is_null() {
        let range = STANDARD.encode(range(host, request, service).await?);
        found = host.merge(&path, &json!({"data": {SERVICE_CIDR: range}})).await?;
        changes.secrets.push(name.clone());
    }
    if let Some(Workloads { namespace, .. }) = &request.workloads
        && found["metadata"]["annotations"][names::WORKLOAD_NAMESPACE] != namespace.as_str()
    {
        // It outlives the installation, and leads a deletion to the tenant's objects.
        let annotations = json!({names::WORKLOAD_NAMESPACE: namespace});
        found = host.merge(&path, &json!({"metadata": {"annotations": annotations}})).await?;
        changes.secrets.push(name.clone());
    }
    let authorities = read(&found).map_err(|key| BootstrapError::Secret {
        namespace: namespace.clone(),
        name: name.clone(),
        key: key.to_owned(),
    })?;
    let remedy = format!(
        "It was learnt by an earlier start: delete the key {SERVICE_CIDR:?} of Secret {name} to learn it anew."
    );
    must_hold(&authorities.service_cidr, request, service, remedy)?;
    Ok(authorities)
}

/// Fails if a range lacks an address of the Service.
fn must_hold(range: &str, request: &Request, service: &Value, remedy: String) -> Result<(), BootstrapError> {
    match service_range::outside(range, &service["spec"]) {
        None => Ok(()),
        Some(address) => Err(BootstrapError::OtherRange {
            range: range.to_owned(),
            address: address.to_owned(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            remedy,
        }),
    }
}

async fn range(host: &Api, request: &Request, service: &Value) -> Result<String, BootstrapError> {
    match &request.service_cidr {
        Some(range) => {
            let remedy = "Set serviceCIDR to the range of the host, or leave it out.".to_owned();
            must_hold(range, request, service, remedy)?;
            Ok(range.clone())
        }
        None => service_range::find_out(host, &request.namespace, service).await,
    }
}

fn create(name: &str, range: &str, now: OffsetDateTime) -> Result<BTreeMap<&'static str, String>, BootstrapError> {
    let ca = Authority::create(&format!("{name}-ca"), now)?;
    let front_proxy = Authority::create(&format!("{name}-front-proxy-ca"), now)?;
    let (private, public) = pki::key_pair("service accounts")?;
    Ok(BTreeMap::from([
        (CA[0], ca.certificate),
        (CA[1], ca.key),
        (FRONT_PROXY[0], front_proxy.certificate),
        (FRONT_PROXY[1], front_proxy.key),
        (TOKENS[0], private),
        (TOKENS[1], public),
        (SERVICE_CIDR, range.to_owned()),
    ]))
}

/// Reads the Secret. The error is the key that is missing or unreadable.
fn read(secret: &Value) -> Result<Authorities, &'static str> {
    let text = |key: &'static str| secret::text(secret, key).filter(|text| !text.is_empty()).ok_or(key);
    let identity = |[certificate, key]: [&'static str; 2]| -> Result<Identity, &'static str> {
        let identity = Identity { certificate: text(certificate)?, key: text(key)? };
        Authority::read(&identity).map(|_| identity).map_err(|_| certificate)
    };
    Ok(Authorities {
        ca: identity(CA)?,
        front_proxy: identity(FRONT_PROXY)?,
        tokens: (text(TOKENS[0])?, text(TOKENS[1])?),
        service_cidr: text(SERVICE_CIDR)?,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_damaged_secret_is_reported_with_its_key() {
        let data = create("vc-1", "10.96.0.0/16", datetime!(2026-01-01 00:00 UTC)).unwrap();
        let encoded: Value = data.iter().map(|(key, text)| ((*key).to_owned(), json!(STANDARD.encode(text)))).collect();
        let encoded = json!({"data": encoded});
        assert!(read(&encoded).is_ok());
        for key in data.keys() {
            let mut damaged = encoded.clone();
            damaged["data"][key] = json!("");
            assert_eq!(read(&damaged).err(), Some(*key));
        }
        let mut damaged = encoded;
        damaged["data"]["ca.key"] = STANDARD.encode("no key").into();
        assert_eq!(read(&damaged).err(), Some("ca.crt"));
    }
}

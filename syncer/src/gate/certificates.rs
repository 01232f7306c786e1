//! Private keys of pods, and the requests for their certificates. A key is made here, stored in a Secret of the host,
//! and read from there when it is needed again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, RsaKeySize};
use serde_json::{Value, json};
use tenet_mapper::{Effect, HostKey, MapError, MintTokens, Object, RequestCertificate, Side, VirtualKey, kinds};

use super::Gate;
use crate::api::Target;

impl Gate {
    /// Completes an effect with what only private keys tell; `None` for one that needs none.
    pub(super) async fn with_keys(&self, effect: &Effect, cached: Option<&Object>) -> Result<Option<Effect>, MapError> {
        match effect {
            Effect::MintTokens(mint) if !mint.keys.is_empty() => {
                let mint = self.with_files(mint, cached).await?;
                Ok(Some(Effect::MintTokens(Box::new(mint))))
            }
            Effect::RequestCertificate(request) => {
                let request = self.with_proof(request).await?;
                Ok(Some(Effect::RequestCertificate(Box::new(request))))
            }
            _ => Ok(None),
        }
    }

    /// Turns the private keys of a Secret into files. A key that the Secret has stays.
    async fn with_files(&self, mint: &MintTokens, cached: Option<&Object>) -> Result<MintTokens, MapError> {
        if let Some(cached) = cached {
            self.check_owner(&mint.owner, cached)?;
        }
        let found = if cached.is_some() { self.secret(&mint.key).await? } else { None };
        if let Some(found) = &found {
            self.check_owner(&mint.owner, found)?;
        }
        let mut mint = mint.clone();
        for key in std::mem::take(&mut mint.keys) {
            let pem = match found.as_ref().map(|found| stored(found, &key.data_key)) {
                Some(Ok(pem)) => pem,
                _ => make(key.key_type).await?,
            };
            if let Some((data_key, rest)) = key.joined {
                let rest = BASE64.decode(rest).map_err(|error| malformed(&mint.key, &data_key, &error.to_string()))?;
                mint.files.insert(data_key, BASE64.encode([pem.as_bytes(), &rest].concat()));
            }
            mint.files.insert(key.data_key, BASE64.encode(pem));
        }
        Ok(mint)
    }

    /// Adds the proof of the private key to a request, and the account of the pod.
    async fn with_proof(&self, request: &RequestCertificate) -> Result<RequestCertificate, MapError> {
        let Some(found) = self.secret(&request.secret).await? else {
            return Err(MapError::Conflict(format!("Secret {} is not on the host", request.secret)));
        };
        self.check_owner(&request.owner, &found)?;
        // The next reconcile makes a new key, which takes the place of one that is lost or damaged.
        let proof = stored(&found, &request.data_key).and_then(|pem| {
            prove(&pem).map_err(|error| malformed(&request.secret, &request.data_key, &error.to_string()))
        });
        let proof = proof.map_err(|error| MapError::Conflict(error.to_string()))?;
        let (namespace, name) = (request.key.namespace(), request.account.as_str());
        let account = self.read(Side::Virtual, &Target::new(kinds::SERVICE_ACCOUNT, namespace, name)).await?;
        let Some(uid) = account.as_ref().and_then(|account| account["metadata"]["uid"].as_str()) else {
            let account = VirtualKey::new(namespace, name);
            return Err(MapError::Rejected(format!("ServiceAccount {account} does not exist")));
        };
        let mut request = request.clone();
        request.desired["spec"]["serviceAccountUID"] = json!(uid);
        request.desired["spec"]["stubPKCS10Request"] = json!(BASE64.encode(proof));
        Ok(request)
    }

    /// Reads a Secret of the host, with its content.
    async fn secret(&self, key: &HostKey) -> Result<Option<Object>, MapError> {
        let target = Target::new(kinds::SECRET, key.namespace(), key.name());
        Ok(self.read(Side::Host, &target).await?.map(Object::new))
    }
}

/// Returns the private key that a Secret holds, as PEM.
fn stored(secret: &Object, data_key: &str) -> Result<String, MapError> {
    let key = HostKey::new(secret.namespace(), secret.name());
    let fault = |fault: &str| malformed(&key, data_key, fault);
    let encoded = secret.at("/data").and_then(|data| data.get(data_key)).and_then(Value::as_str);
    let bytes = BASE64.decode(encoded.ok_or_else(|| fault("is missing"))?).map_err(|_| fault("is not base64"))?;
    String::from_utf8(bytes).map_err(|_| fault("is no text"))
}

fn malformed(secret: &HostKey, data_key: &str, fault: &str) -> MapError {
    MapError::Malformed(format!("Secret {secret}: data[{data_key}]: {fault}"))
}

/// Makes a private key, as PEM. A large RSA key takes seconds.
async fn make(key_type: String) -> Result<String, MapError> {
    let made = tokio::task::spawn_blocking(move || generate(&key_type)).await;
    made.map_err(|error| MapError::Malformed(format!("cannot make a private key: {error}")))?
}

/// Makes a private key of a type that the API knows.
fn generate(key_type: &str) -> Result<String, MapError> {
    let key = match key_type {
        "RSA3072" => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
        "RSA4096" => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
        "ECDSAP256" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        "ECDSAP384" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        "ECDSAP521" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
        "ED25519" => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        other => return Err(MapError::refused("podCertificate.keyType", format!("{other} is not known"))),
    };
    let key =
        key.map_err(|error| MapError::Malformed(format!("cannot make a private key of type {key_type}: {error}")))?;
    Ok(key.serialize_pem())
}

/// Returns an empty certificate request (PKCS #10, DER) that is signed with a private key.
fn prove(pem: &str) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&KeyPair::from_pem(pem)?)?.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_key_can_be_made_and_proved() {
        // Large RSA keys take seconds; both sizes go the same way.
        for key_type in ["RSA3072", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"] {
            let pem = generate(key_type).unwrap();
            let secret = json!({"metadata": {}, "data": {"id.0.key": BASE64.encode(&pem)}});
            let stored = stored(&Object::new(secret), "id.0.key").unwrap();
            assert_eq!(stored, pem, "{key_type}");
            assert!(!prove(&stored).unwrap().is_empty(), "{key_type}");
        }
        assert_eq!(generate("DSA").unwrap_err().class(), "refused");
    }

    #[test]
    fn an_error_about_a_key_names_its_place_and_not_its_content() {
        let secret = |data: Value| Object::new(json!({"metadata": {"namespace": "team-a", "name": "s"}, "data": data}));
        for (data, fault) in [
            (json!({}), "Secret team-a/s: data[id.0.key]: is missing"),
            (json!({"id.0.key": "!"}), "Secret team-a/s: data[id.0.key]: is not base64"),
            (json!({"id.0.key": "/w=="}), "Secret team-a/s: data[id.0.key]: is no text"),
        ] {
            assert_eq!(stored(&secret(data), "id.0.key").unwrap_err().to_string(), fault);
        }
    }
}

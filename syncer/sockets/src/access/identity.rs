//! A user as Kubernetes names one.

use std::collections::BTreeMap;

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

const AUTHENTICATED: &str = "system:authenticated";

/// A user as Kubernetes names one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// The name.
    #[serde(rename(serialize = "user", deserialize = "username"))]
    pub name: String,
    /// The UID, if there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Further attributes of the authentication.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The user of a client certificate that was verified at the handshake: the common name
    /// is the user, the organisations are the groups. `None` when it has no common name, or is
    /// not good at `now` (unix seconds): a connection can outlive its certificate.
    pub fn of_certificate(certificate: &CertificateDer<'_>, now: i64) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
            return None;
        }
        let name = Self::common_name(&parsed)?;
        let organisations = parsed.subject().iter_organization().filter_map(|part| part.as_str().ok());
        let mut groups: Vec<_> = organisations.map(str::to_owned).collect();
        groups.push(AUTHENTICATED.to_owned());
        Some(Self { name, groups, ..Self::default() })
    }

    fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
        let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
        (!name.is_empty()).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use time::{Duration, OffsetDateTime};

    use super::*;

    fn certificate(parts: &[(DnType, &str)], ends: Duration) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(2);
        params.not_after = OffsetDateTime::now_utc() + ends;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_names_a_user_while_it_is_good() {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let good = certificate(
            &[(DnType::CommonName, "kubelet-client"), (DnType::OrganizationName, "system:masters")],
            Duration::hours(1),
        );
        let user = User::of_certificate(&good, now).unwrap();
        assert_eq!(user.name, "kubelet-client");
        assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
        assert_eq!(User::of_certificate(&good, now + 3601), None, "its time is over");
        assert_eq!(User::of_certificate(&good, now - 3 * 3600), None, "its time has not come");

        for nobody in [&[][..], &[(DnType::CommonName, "")], &[(DnType::OrganizationName, "system:masters")]] {
            assert_eq!(User::of_certificate(&certificate(nobody, Duration::hours(1)), now), None, "{nobody:?}");
        }
        assert_eq!(User::of_certificate(&CertificateDer::from(vec![1, 2, 3]), now), None);
    }

    #[test]
    fn a_review_is_read_and_written_under_its_own_field_names() {
        let read: User = serde_json::from_str(r#"{"username":"a","groups":["g"],"extra":{"k":["v"]}}"#).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written, serde_json::json!({"user": "a", "groups": ["g"], "extra": {"k": ["v"]}}));
    }
}

//! Authorities, and the certificates that they issue.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::parse_x509_pem;

/// Lifetime of an authority, and of certificates that never leave the memory of the pod.
pub const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// Lifetime of every other certificate.
pub const LEAF_LIFE: Duration = Duration::days(365);
/// Time by which a certificate is valid before it is made: clocks differ.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// Error of creating or reading a certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// It cannot be created.
    #[error("cannot create the certificate of {name}")]
    Create {
        /// Name in the certificate.
        name: String,
        /// Cause.
        source: rcgen::Error,
    },
    /// An authority cannot be read.
    #[error("cannot read the certificate or the key of an authority")]
    Authority(#[source] rcgen::Error),
}

/// Certificate and private key as PEM.
#[derive(Clone)]
pub struct Identity {
    /// Certificate.
    pub certificate: String,
    /// Private key.
    pub key: String,
}

/// Purpose of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// Server with these names and addresses.
    Server(Vec<String>),
    /// Client with at most one group: rcgen puts only one organisation into a name, and one is enough.
    Client(Option<&'a str>),
}

/// Certificate authority that can issue certificates.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Creates an authority.
    pub fn create(name: &str, now: OffsetDateTime) -> Result<Identity, PkiError> {
        let mut params = params(name, &[], None, now, AUTHORITY_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = key(name)?;
        let certificate = params.self_signed(&key).map_err(of(name))?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Reads an authority.
    pub fn read(identity: &Identity) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(&identity.key).map_err(PkiError::Authority)?;
        Issuer::from_ca_cert_pem(&identity.certificate, key).map(Self).map_err(PkiError::Authority)
    }

    /// Issues a certificate. Kubernetes reads the common name of a client as the user, and its organisation as the
    /// group.
    pub fn issue(
        &self,
        name: &str,
        purpose: &Purpose<'_>,
        now: OffsetDateTime,
        life: Duration,
    ) -> Result<Identity, PkiError> {
        let (names, group, usage) = match purpose {
            Purpose::Server(names) => (names.as_slice(), None, ExtendedKeyUsagePurpose::ServerAuth),
            Purpose::Client(group) => (&[][..], *group, ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut params = params(name, names, group, now, life)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = key(name)?;
        let certificate = params.signed_by(&key, &self.0).map_err(of(name))?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Creates a key pair without a certificate: private and public key.
pub fn key_pair(name: &str) -> Result<(String, String), PkiError> {
    key(name).map(|key| (key.serialize_pem(), key.public_key_pem()))
}

/// Returns the time at which a certificate ends, from PEM; `None` if it cannot be read.
pub fn end(pem: &str) -> Option<OffsetDateTime> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    end_of_der(&pem.contents)
}

/// Returns the time at which a certificate ends, from DER; `None` if it cannot be read.
pub fn end_of_der(der: &[u8]) -> Option<OffsetDateTime> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    Some(certificate.validity().not_after.to_datetime())
}

/// Reason to replace a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It cannot be read.
    Unreadable,
    /// Less than a third of its life is left.
    Old,
    /// It has other names than it should have.
    Names,
}

/// Returns the reason to replace a certificate; `None` if it is good.
pub fn due(pem: &str, purpose: &Purpose<'_>, now: OffsetDateTime) -> Option<Due> {
    let Ok((_, pem)) = parse_x509_pem(pem.as_bytes()) else { return Some(Due::Unreadable) };
    let Ok(certificate) = pem.parse_x509() else { return Some(Due::Unreadable) };
    let validity = certificate.validity();
    let (start, end) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
    if now < start || end - now < (end - start) / 3 {
        return Some(Due::Old);
    }
    let Purpose::Server(names) = purpose else { return None };
    let Ok(Some(found)) = certificate.subject_alternative_name() else { return Some(Due::Names) };
    let mut found: Vec<String> = found.value.general_names.iter().map(shown).collect();
    let mut wanted = names.clone();
    found.sort();
    wanted.sort();
    (found != wanted).then_some(Due::Names)
}

fn shown(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(four), _) => std::net::Ipv4Addr::from(four).to_string(),
            (_, Ok(sixteen)) => std::net::Ipv6Addr::from(sixteen).to_string(),
            _ => format!("{bytes:?}"),
        },
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => other.to_string(),
    }
}

fn params(
    name: &str,
    names: &[String],
    group: Option<&str>,
    now: OffsetDateTime,
    life: Duration,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(of(name))?;
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + life;
    Ok(params)
}

/// Creates a P-256 key, which takes a millisecond; an RSA key takes up to a second.
fn key(name: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(of(name))
}

fn of(name: &str) -> impl FnOnce(rcgen::Error) -> PkiError {
    let name = name.to_owned();
    move |source| PkiError::Create { name, source }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn authority() -> Authority {
        Authority::read(&Authority::create("ca", NOW).unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_is_replaced_in_the_last_third_of_its_life_and_after_a_change_of_its_names() {
        let server = |names: &[&str]| Purpose::Server(names.iter().map(|&name| name.to_owned()).collect());
        let purpose = server(&["localhost", "10.96.0.1", "fd00::1"]);
        let pem = authority().issue("kube-apiserver", &purpose, NOW, LEAF_LIFE).unwrap().certificate;
        for (purpose, days, expected) in [
            (&purpose, 0, None),
            (&server(&["fd00::1", "localhost", "10.96.0.1"]), 0, None),
            (&server(&["localhost", "10.96.0.1"]), 0, Some(Due::Names)),
            (&purpose, 240, None),
            (&purpose, 250, Some(Due::Old)),
            (&purpose, 400, Some(Due::Old)),
            (&purpose, -1, Some(Due::Old)),
        ] {
            assert_eq!(due(&pem, purpose, NOW + Duration::days(days)), expected, "{purpose:?} {days}");
        }
        assert_eq!(due("no certificate", &purpose, NOW), Some(Due::Unreadable));
        assert_eq!((end(&pem), end("no certificate")), (Some(NOW + LEAF_LIFE), None));
    }

    #[test]
    fn an_authority_is_read_back_from_its_files() {
        let identity = Authority::create("ca", NOW).unwrap();
        assert!(Authority::read(&identity).is_ok());
        assert!(Authority::read(&Identity { key: String::new(), ..identity }).is_err());
    }
}

//! The certificate authority of one syncer, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use x509_parser::pem::parse_x509_pem;

/// Lifetime of an authority.
pub const AUTHORITY_LIFETIME: Duration = Duration::days(365);
/// Lifetime of a serving certificate, within that of its authority.
const CERTIFICATE_LIFETIME: Duration = Duration::days(30);
/// Time by which a certificate begins earlier, as the clocks of two machines differ.
const SKEW: Duration = Duration::hours(1);

/// A failure to make or read a certificate.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// Text that should be a certificate or key is not.
    #[error("cannot parse {0}: {1}")]
    Unreadable(&'static str, String),
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The created certificate cannot be used.
    #[error("cannot use the certificate")]
    Use(#[from] rustls::Error),
}

/// An authority as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate, as PEM.
    pub certificate: String,
    /// Its private key, as PEM.
    pub key: String,
}

/// Time in which a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first instant, in unix seconds.
    pub from: i64,
    /// The last instant, in unix seconds.
    pub until: i64,
}

impl Validity {
    /// Returns the age at `now` (unix seconds), in percent of the lifetime.
    pub fn age(&self, now: i64) -> i64 {
        let life = (self.until - self.from).max(1);
        (now - self.from).saturating_mul(100) / life
    }
}

impl Authority {
    /// A new authority of the virtual cluster `name`.
    pub fn new(name: &str, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let mut params = params(&format!("tenet-{name}"), now, AUTHORITY_LIFETIME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { certificate: issuer.pem(), key: issuer.key().serialize_pem() })
    }

    /// Returns the period of validity; an error when the text is no certificate.
    pub fn validity(&self) -> Result<Validity, AuthorityError> {
        validity(&self.certificate)
    }

    /// Checks that the key can be parsed and belongs to the certificate.
    pub fn check(&self) -> Result<(), AuthorityError> {
        let unreadable = |why: String| AuthorityError::Unreadable("the authority", why);
        let key = KeyPair::from_pem(&self.key).map_err(|error| unreadable(error.to_string()))?;
        let (_, pem) = parse_x509_pem(self.certificate.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
        let certificate = pem.parse_x509().map_err(|error| unreadable(error.to_string()))?;
        let fits = certificate.public_key().raw == key.subject_public_key_info();
        if fits { Ok(()) } else { Err(unreadable("its key belongs to another certificate".to_owned())) }
    }

    /// Signs a serving certificate with a new key, for these names and addresses.
    pub fn sign(&self, name: &str, names: &[String], now: OffsetDateTime) -> Result<Signed, AuthorityError> {
        let unreadable = |error: rcgen::Error| AuthorityError::Unreadable("the authority", error.to_string());
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key).map_err(unreadable)?)
            .map_err(unreadable)?;
        let end = OffsetDateTime::from_unix_timestamp(self.validity()?.until).unwrap_or(now);
        let mut params = params(name, now, CERTIFICATE_LIFETIME.min(end - now));
        params.subject_alt_names = CertificateParams::new(names.to_vec())?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Signed::new(&certificate.pem(), &key.serialize_pem())
    }
}

/// A serving certificate with its key.
#[derive(Debug)]
pub struct Signed {
    /// For rustls.
    pub key: CertifiedKey,
    /// Period of validity.
    pub validity: Validity,
}

impl Signed {
    /// Reads a chain and its key.
    pub fn new(chain: &str, key: &str) -> Result<Self, AuthorityError> {
        let unreadable =
            |what| move |error: rustls::pki_types::pem::Error| AuthorityError::Unreadable(what, error.to_string());
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(unreadable("the certificate"))?;
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable("the key"))?;
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private)?;
        let key = CertifiedKey::new(certificates, signing);
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { key, validity: validity(chain)? })
    }
}

/// Returns the period of validity of the first certificate of a PEM text.
pub fn validity(pem: &str) -> Result<Validity, AuthorityError> {
    let unreadable = |why: String| AuthorityError::Unreadable("the certificate", why);
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    let certificate = pem.parse_x509().map_err(|error| unreadable(error.to_string()))?;
    let validity = certificate.validity();
    Ok(Validity { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
}

fn params(name: &str, now: OffsetDateTime, lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.not_before = now - SKEW;
    params.not_after = now + lifetime;
    params
}

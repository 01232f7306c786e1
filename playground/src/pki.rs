//! Certificates and keys of one control plane.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// Error of creating certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The certificate cannot be created.
    #[error("cannot create the certificate of {name}")]
    Certificate {
        /// Name in the certificate.
        name: String,
        /// Cause.
        source: rcgen::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Certificate and key as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Certificate.
    pub certificate: String,
    /// Private key.
    pub key: String,
}

/// Certificate authorities of a control plane, and the folder of its files.
#[derive(Debug)]
pub(crate) struct Pki {
    dir: PathBuf,
    authority: Authority,
}

/// Purpose of a certificate.
pub(crate) enum Purpose<'a> {
    /// Server with these names and addresses.
    Server(&'a [String]),
    /// Client with at most one group: rcgen can put only one organisation into a name, and one is enough.
    Client(Option<&'a str>),
}

#[derive(Debug)]
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Pki {
    /// Creates the authorities, the key of the ServiceAccount tokens and the certificates of the API server.
    pub(crate) fn create(dir: &Path, name: &str, server_names: &[String]) -> Result<Self, PkiError> {
        fs::create_dir_all(dir).map_err(|source| PkiError::Write { path: dir.to_owned(), source })?;
        let authority = Authority::new(&format!("{name}-ca"))?;
        let front_proxy = Authority::new(&format!("{name}-front-proxy-ca"))?;
        let pki = Self { dir: dir.to_owned(), authority };

        write(&pki.file("ca.crt"), &pki.ca())?;
        write(&pki.file("ca.key"), &pki.authority.0.key().serialize_pem())?;
        write(&pki.file("front-proxy-ca.crt"), &front_proxy.0.pem())?;
        pki.keep("front-proxy-client", &front_proxy.issue("front-proxy-client", &Purpose::Client(None))?)?;
        pki.keep("apiserver", &pki.authority.issue("kube-apiserver", &Purpose::Server(server_names))?)?;
        let kubelet_client = pki.issue("kube-apiserver-kubelet-client", &Purpose::Client(Some("system:masters")))?;
        pki.keep("kubelet-client", &kubelet_client)?;

        let tokens = new_key("service accounts")?;
        write(&pki.file("sa.key"), &tokens.serialize_pem())?;
        write(&pki.file("sa.pub"), &tokens.public_key_pem())?;
        Ok(pki)
    }

    /// Returns the certificate of the authority as PEM.
    pub(crate) fn ca(&self) -> String {
        self.authority.0.pem()
    }

    pub(crate) fn issue(&self, name: &str, purpose: &Purpose<'_>) -> Result<Identity, PkiError> {
        self.authority.issue(name, purpose)
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn keep(&self, name: &str, identity: &Identity) -> Result<(), PkiError> {
        write(&self.file(&format!("{name}.crt")), &identity.certificate)?;
        write(&self.file(&format!("{name}.key")), &identity.key)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Authority {
    fn new(name: &str) -> Result<Self, PkiError> {
        let mut params = params(name, &[], None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        CertifiedIssuer::self_signed(params, new_key(name)?).map(Self).map_err(of(name))
    }

    fn issue(&self, name: &str, purpose: &Purpose<'_>) -> Result<Identity, PkiError> {
        let (names, group, usage) = match purpose {
            Purpose::Server(names) => (*names, None, ExtendedKeyUsagePurpose::ServerAuth),
            Purpose::Client(group) => (&[][..], *group, ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut params = params(name, names, group)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = new_key(name)?;
        let certificate = params.signed_by(&key, &self.0).map_err(of(name))?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), PkiError> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

/// Certificate parameters. Kubernetes reads the common name of a client as the user, and its organisation as the group.
fn params(name: &str, names: &[String], group: Option<&str>) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(of(name))?;
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(3650);
    Ok(params)
}

/// Creates a P-256 key, which takes a millisecond; an RSA key takes up to a second.
fn new_key(name: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(of(name))
}

fn of(name: &str) -> impl FnOnce(rcgen::Error) -> PkiError {
    let name = name.to_owned();
    move |source| PkiError::Certificate { name, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_file_of_a_control_plane_is_there_and_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let names = ["127.0.0.1".to_owned(), "kubernetes.default.svc".to_owned()];
        Pki::create(dir.path(), "host", &names).expect("certificates");
        for file in [
            "ca.crt",
            "ca.key",
            "front-proxy-ca.crt",
            "front-proxy-client.crt",
            "front-proxy-client.key",
            "apiserver.crt",
            "apiserver.key",
            "kubelet-client.crt",
            "kubelet-client.key",
            "sa.key",
            "sa.pub",
        ] {
            let metadata = fs::metadata(dir.path().join(file)).expect(file);
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
        }
    }
}

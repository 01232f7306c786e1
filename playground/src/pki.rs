//! Certificates and keys of one control plane.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tenet_install::pki::{self, AUTHORITY_LIFE, Authority, Identity, Purpose};
use tenet_install::private_file;
use time::OffsetDateTime;

/// Error of creating certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The certificate cannot be created.
    #[error(transparent)]
    Certificate(#[from] pki::PkiError),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Certificate authority of a control plane, and the folder of its files.
pub(crate) struct Pki {
    dir: PathBuf,
    ca: String,
    authority: Authority,
}

impl Pki {
    /// Creates the authorities, the key of the ServiceAccount tokens and the certificates of the API server.
    pub(crate) fn create(dir: &Path, name: &str, server_names: &[String]) -> Result<Self, PkiError> {
        fs::create_dir_all(dir).map_err(|source| PkiError::Write { path: dir.to_owned(), source })?;
        let now = OffsetDateTime::now_utc();
        let ca = Authority::create(&format!("{name}-ca"), now)?;
        let front_proxy = Authority::create(&format!("{name}-front-proxy-ca"), now)?;
        let pki = Self { dir: dir.to_owned(), authority: Authority::read(&ca)?, ca: ca.certificate };

        write(&pki.file("ca.crt"), &pki.ca)?;
        write(&pki.file("ca.key"), &ca.key)?;
        write(&pki.file("front-proxy-ca.crt"), &front_proxy.certificate)?;
        let front_proxy = Authority::read(&front_proxy)?;
        pki.keep("front-proxy-client", &issue(&front_proxy, "front-proxy-client", &Purpose::Client(None))?)?;
        pki.keep("apiserver", &pki.issue("kube-apiserver", &Purpose::Server(server_names.to_vec()))?)?;
        let kubelet_client = pki.issue("kube-apiserver-kubelet-client", &Purpose::Client(Some("system:masters")))?;
        pki.keep("kubelet-client", &kubelet_client)?;

        let (private, public) = pki::key_pair("service accounts")?;
        write(&pki.file("sa.key"), &private)?;
        write(&pki.file("sa.pub"), &public)?;
        Ok(pki)
    }

    /// Returns the certificate of the authority as PEM.
    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    pub(crate) fn issue(&self, name: &str, purpose: &Purpose<'_>) -> Result<Identity, PkiError> {
        issue(&self.authority, name, purpose)
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

/// Issues a certificate that lives as long as its authority: nothing renews it.
fn issue(authority: &Authority, name: &str, purpose: &Purpose<'_>) -> Result<Identity, PkiError> {
    Ok(authority.issue(name, purpose, OffsetDateTime::now_utc(), AUTHORITY_LIFE)?)
}

/// Writes a file that only its owner can read.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), PkiError> {
    private_file::write(path, text).map_err(|source| PkiError::Write { path: path.to_owned(), source })
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

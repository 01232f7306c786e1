//! TLS of a socket: the certificate that it serves, and the clients that it accepts.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::authority::AuthorityError;

/// The certificate that a socket serves; it can be exchanged at any time.
#[derive(Debug)]
pub struct ServedCertificate(ArcSwap<CertifiedKey>);

impl ServedCertificate {
    /// Serves this certificate.
    pub fn new(key: CertifiedKey) -> Self {
        Self(ArcSwap::from_pointee(key))
    }

    /// Serves another one from now on.
    pub fn set(&self, key: CertifiedKey) {
        self.0.store(Arc::new(key));
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Returns the TLS configuration of a socket. With authorities of clients, a client may show a certificate, and
/// one that none of them has signed ends the connection.
pub fn server_config(
    served: Arc<ServedCertificate>,
    client_authorities: Option<&str>,
) -> Result<ServerConfig, AuthorityError> {
    let builder = ServerConfig::builder();
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots(pem)?)).allow_unauthenticated().build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| AuthorityError::Unreadable("the bundle", error.to_string()))?,
            )
        }
    };
    let mut config = builder.with_cert_resolver(served);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // API servers open a connection for each stream and resume none: a ticket is memory
    // and bytes for nothing, and would outlive a change of the authorities.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

pub(super) fn roots(pem: &str) -> Result<RootCertStore, AuthorityError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let unreadable = |error: rustls::pki_types::pem::Error| {
            AuthorityError::Unreadable("an authority of clients", error.to_string())
        };
        roots.add(certificate.map_err(unreadable)?)?;
    }
    Ok(roots)
}

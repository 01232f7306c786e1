//! TLS servers: one loop for all sockets, and the certificates that
//! they show.

pub mod authority;
mod certificate;
mod certificate_store;
mod listener;
mod rotation;

pub use certificate::{ServedCertificate, server_config};
pub use certificate_store::CertificateStore;
pub(crate) use listener::tune;
pub use listener::{Answer, BodyError, Client, Listener, Peer, Service, body, respond, status, text};

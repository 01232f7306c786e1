//! What the syncer serves over TLS: one loop for all sockets, and the certificates that
//! they show.

pub mod authority;
mod certificate;
mod keeper;
mod listener;
mod rotation;

pub use certificate::{Shown, server_config};
pub use keeper::Keeper;
pub(crate) use listener::tune;
pub use listener::{Answer, BodyError, Client, Listener, Peer, Service, body, respond, status, text};

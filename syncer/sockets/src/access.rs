//! Authentication and authorization: the reviews that a kubelet or an aggregated API server requests of the virtual
//! API server for each request. Nothing is anonymous.

mod authorities;
mod authorization;
mod identity;
mod tokens;
mod ttl_cache;

pub use authorities::{Authorities, Bundle, Published};
pub use authorization::{ACCESS_REVIEW, Attributes, Authorizer};
pub use identity::User;
pub use tokens::{TOKEN_REVIEW, Tokens};

use tenet_syncer::api::ApiError;

/// A request that is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// It is not known who asks.
    #[error("Unauthorized")]
    Unauthorized,
    /// They have not the right.
    #[error("Forbidden ({0})")]
    Forbidden(String),
    /// The virtual API server could not be asked.
    #[error("authorization check failed: the API server does not answer")]
    Unknown(#[source] ApiError),
}

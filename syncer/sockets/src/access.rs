//! Who asks, and whether they may: what a kubelet or an aggregated API server asks the
//! virtual API server about each request. Nothing is anonymous.

mod authorities;
mod authorization;
mod identity;
mod memory;
mod tokens;

pub use authorities::{Authorities, Published, Which};
pub use authorization::{Attributes, Authorizer};
pub use identity::User;
pub use tokens::Tokens;

use tenet_syncer::api::ApiError;

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// It is not known who asks.
    #[error("Unauthorized")]
    Unauthorized,
    /// They have not the right.
    #[error("Forbidden ({0})")]
    Forbidden(String),
    /// The virtual API server could not be asked.
    #[error("the API server does not answer whether this is allowed")]
    Unknown(#[source] ApiError),
}

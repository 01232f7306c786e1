//! Replicated Services: Services of the host that are shown inside, and Services inside that have a name of their own
//! on the host. The configuration lists both.

mod config;
mod from_host;
mod picture;
mod reads;
mod to_host;

pub use config::{FromHost, ReplicateServices, ToHost};
pub(super) use from_host::{begin, is_shown, show};
pub(super) use reads::{elsewhere, inputs, rights, slices};
pub(super) use to_host::{expose, input as further};

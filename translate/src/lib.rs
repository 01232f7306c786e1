//! Pure translation between a virtual cluster and its host.
//!
//! Everything here takes values and returns values: no I/O, no clock, no randomness.

mod as_text;
pub mod digest;
pub mod dns;
pub mod dns_name;
pub mod downward;
mod duration;
pub mod env;
pub mod format;
mod group_kind;
pub mod intern;
pub mod keys;
pub mod kubelets;
pub mod labels;
pub mod names;
pub mod own_objects;
pub mod owner;
pub mod pod_certificate;
pub mod pointer;
pub mod projected;
mod quantity;
pub mod rules;
pub mod selectors;
mod service_ref;
pub mod token;
pub mod trust_bundle;
pub mod wording;

pub use digest::digest;
pub use duration::{Duration, DurationError};
pub use group_kind::GroupKind;
pub use names::{NameScheme, Names};
pub use owner::{Foreign, OwnerRecord, Ownership};
pub use quantity::{Quantity, QuantityError};
pub use service_ref::{HostServiceRef, HostServiceRefError, ServiceRef, ServiceRefError};
pub use wording::{Wording, without_numbers};

//! The extension crate of Tenet: what a mapper is, what it sees and what it may do.
//!
//! A mapper is the code of one resource kind. It reads a picture of both clusters through
//! a [`Context`] and answers with [`Effect`]s, which are data: it holds no client. Most
//! kinds need no more than a rule table: [`CopyMapper`] makes a [`Mapper`] of it. Kinds
//! that compute some fields implement [`Translate`]; the odd ones implement [`Mapper`].

mod admission;
mod context;
mod copy_mapper;
pub mod crossed;
mod effect;
mod error;
mod key;
mod kind;
mod mapper;
mod object;
pub mod patch;
mod projection;
mod reservation;
mod spec;
#[cfg(feature = "testing")]
pub mod testing;

pub use admission::{Admission, Need, Operation, Request, Scope};
pub use async_trait::async_trait;
pub use context::{Context, Facts, View};
pub use copy_mapper::{CopyMapper, Translate};
pub use effect::{
    ApplyHost, ApplyVirtual, Bind, Cause, Deletion, Effect, Event, EventReason, EventType, HostPatch, Mint, Next,
    Outcome, PatchFormat, VirtualPatch,
};
pub use error::MapError;
pub use key::{Dependency, HostKey, VirtualKey};
pub use kind::{Kind, Side, kinds};
pub use mapper::Mapper;
pub use object::Object;
pub use projection::Projection;
pub use reservation::Reservation;
pub use spec::{Input, KeysOf, MapperSpec};
pub use tenet_translate as translate;
pub use tenet_translate::{keys, pointer, rules};

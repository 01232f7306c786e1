//! The extension crate of Tenet: mappers, their view of the two clusters, and the effects that they may have.
//!
//! A mapper is the code of one resource kind. It reads the caches of both clusters through
//! a [`Context`] and answers with [`Effect`]s, which are data: it holds no client. Most
//! kinds need no more than a rule table: [`CopyMapper`] makes a [`Mapper`] of it. Kinds
//! that compute some fields implement [`Translate`]; all others implement [`Mapper`].

mod admission;
pub mod condition;
mod content;
mod context;
mod copy_mapper;
pub mod crossed;
mod deletion;
mod effect;
mod elsewhere;
mod error;
mod event;
mod facts;
mod key;
mod kind;
mod mapper;
mod object;
mod outcome;
pub mod patch;
pub mod plan;
mod policy;
mod projection;
mod reservation;
mod right;
mod section;
mod spec;
#[cfg(feature = "testing")]
pub mod testing;
mod view;

pub use admission::{Admission, Need, Operation, Request, Scope};
pub use content::{Contents, Read};
pub use context::Context;
pub use copy_mapper::{CopyMapper, Translate, Unwanted};
pub use deletion::{Cause, Deletion};
pub use effect::{
    ApplyHost, ApplyVirtual, Bind, Effect, HostPatch, MintTokens, PatchFormat, PrivateKey, RequestCertificate,
    TokenRequest, VirtualPatch,
};
pub use elsewhere::{Elsewhere, HostScope, Reading};
pub use error::MapError;
pub use event::{Event, EventReason, EventType};
pub use facts::{Facts, Kubelets};
pub use key::{Dependency, HostKey, ObjectRef, VirtualKey};
pub use kind::{Kind, Side, kinds};
pub use mapper::Mapper;
pub use object::Object;
pub use outcome::{Next, Outcome, Stage, Step};
pub use policy::Policies;
pub use projection::Projection;
pub use reservation::Reservation;
pub use right::{Right, Verb};
pub use section::{Section, Sections};
pub use spec::{Bound, FurtherReferences, Input, KeysOf, MapperId, MapperSpec, ReportsOn};
pub use tenet_translate as translate;
pub use tenet_translate::GroupKind;
pub use tenet_translate::{format, keys, pointer, rules};
pub use view::View;

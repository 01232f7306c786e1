//! The engine of the Tenet syncer: it carries what mappers decide between two clusters.
//!
//! Data flows one way: watch → cache → queue → mapper → effects → gate → API.

mod admin;
pub mod api;
mod args;
mod audit;
mod cache;
mod claim;
mod cluster_event;
pub mod connect;
mod elsewhere;
mod embedded;
mod engine;
#[cfg(test)]
mod fixture;
mod gate;
mod handle;
mod informer;
mod learn;
mod lease;
mod logging;
mod mappers;
mod metrics;
mod panics;
mod patrol;
mod program;
mod queue;
mod quorum;
mod refresh;
mod refusal;
mod registry;
mod retry;
pub mod role;
mod router;
mod runtime;
mod settings;
mod shared_read;
mod supervisor;
mod unmanaged;
mod view;
mod worker;

pub use args::{Args, Command};
pub use claim::Action as ClaimAction;
pub use gate::{CreateLock, CreateLocks, Done, Mark, SocketOf};
pub use handle::{EngineHandle, Sockets};
pub use metrics::{MetricsError, Registry};
pub use program::{main, main_with};
pub use supervisor::run;

/// An engine between any two API servers, on a clock of its own: for the simulator.
#[doc(hidden)]
pub mod embed {
    pub use crate::embedded::{Configuration, Embedded, Sizes};
    pub use crate::runtime::{Runtime, Task};
    pub use crate::supervisor::Clients;
}

/// Caches, router and queue, for benches.
#[doc(hidden)]
pub mod bench {
    pub use crate::cache::{Cache, Change, NamespacedName, Sight};
    pub use crate::mappers::{Mappers, MappersError};
    pub use crate::queue::{Again, Key, Lane, Queue, Ticket};
    pub use crate::router::Router;
}

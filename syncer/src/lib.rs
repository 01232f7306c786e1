//! The engine of the Tenet syncer: it carries what mappers decide between two clusters.
//!
//! Data flows one way: watch → cache → queue → mapper → effects → gate → API.

mod access;
mod admin;
mod aggregation;
mod api;
mod args;
mod cache;
mod connect;
mod engine;
mod gate;
mod housekeeping;
mod informer;
mod kubelet;
mod learn;
mod logging;
mod metrics;
mod patrol;
mod program;
mod queue;
mod retry;
mod router;
mod runtime;
mod serving;
mod sockets;
mod supervisor;
mod usage;
mod view;
mod webhook;
mod worker;

pub use args::Args;
pub use program::{main, main_with};
pub use supervisor::run;

/// The queue, for benches.
#[doc(hidden)]
pub mod bench {
    pub use crate::queue::{Again, Key, Lane, Queue, Ticket};
}

/// What has to hold for every input, for fuzzers.
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz {
    pub use crate::kubelet::fuzz::{bytes, upgrade, uri};
}

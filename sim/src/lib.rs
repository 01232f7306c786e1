//! A simulator of the Tenet syncer: the engine as it is, in-memory API servers, and faults from a seed.

pub mod api;
pub mod campaign;
pub mod clock;
pub mod faults;
pub mod network;
pub mod oracle;
pub mod process;
pub mod random;
pub mod run;
pub mod script;
pub mod syncer;
pub mod world;

/// A run makes and drops millions of small objects.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

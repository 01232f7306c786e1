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

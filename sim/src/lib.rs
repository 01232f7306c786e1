//! A simulator of the Tenet syncer: the engine as it is, in-memory API servers, and faults from a seed.

pub mod api;

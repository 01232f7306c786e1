//! Code shared by the binaries: the list of mappers and the start of a syncer.

pub mod syncer;

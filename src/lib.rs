//! What the binaries share: the list of mappers and the way a syncer is started.

pub mod syncer;

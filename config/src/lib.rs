//! The configuration of a Tenet syncer.

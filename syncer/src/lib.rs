//! The engine of the Tenet syncer.

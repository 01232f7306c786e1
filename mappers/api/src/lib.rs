//! The extension crate of Tenet: what a mapper is and what it may do.

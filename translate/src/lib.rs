//! Pure translation between a virtual cluster and its host.

pub mod rules;

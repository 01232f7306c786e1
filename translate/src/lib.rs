//! Pure translation between a virtual cluster and its host.

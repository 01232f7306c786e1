//! Real Kubernetes control planes as local processes.

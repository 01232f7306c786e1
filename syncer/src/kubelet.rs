//! The kubelet of the virtual nodes.

//! Installation of a virtual cluster on a host cluster.
//!
//! [`objects()`](objects::objects) computes the objects from [`Values`]; the `tenet` command applies them.
//! [`bootstrap`] runs inside the pod of the control plane, before its programs: it creates what no manifest may
//! contain, such as keys, and what only the host knows, such as the range of service addresses.

pub mod api;
pub mod bootstrap;
pub mod names;
pub mod objects;
pub mod pki;
pub mod private_file;
pub mod resources;
pub mod secret;
pub mod values;

pub use values::Values;

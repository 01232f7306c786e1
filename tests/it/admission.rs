//! A Service has the host's address from the moment on that it is stored.

mod faults;
mod lab;
mod policy;
mod refusals;
mod ways;
mod witness;

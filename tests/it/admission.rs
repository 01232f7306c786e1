//! Services have the host's address from the moment they are stored.

mod faults;
mod lab;
mod policy;
mod refusals;
mod ways;
mod witness;

//! The whole line on real control planes.

mod cluster;
mod crash;
mod fault;
mod harness;
mod pods;
mod refusals;
mod schema;

//! End-to-end tests on real control planes.

mod admission;
mod breaker;
mod claim;
mod cluster;
mod crash;
mod demo;
mod docs;
mod endpoints;
mod examples;
mod fault;
mod harness;
mod isolation;
mod kubelet;
mod lease;
mod metrics;
mod operations;
mod placement;
mod pods;
mod real_node;
mod refusals;
mod registry;
mod rights;
mod schema;
mod services;
mod streams;
mod world;

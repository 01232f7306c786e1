//! The kubelet of the virtual nodes: what the virtual API server asks a node about its pods
//! is asked of the host API server, about the host pods behind them.
//!
//! A request is read once into a typed [`route`]; who asks is found out and whether they
//! may ([`rights`]); the host pod is found by the UIDs on both sides ([`place`]); the host
//! is asked with headers and a path of our own making ([`upstream`]); bytes pass only after
//! exactly the [`upgrade`] that was asked for ([`bridge`]).

mod bridge;
mod certificate;
mod failure;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod logs;
mod nodes;
mod opening;
mod pages;
mod place;
mod query;
mod rights;
mod route;
mod run;
mod server;
mod stats;
mod streams;
mod upgrade;
mod upstream;

pub use nodes::{Nodes, Parts, virtual_nodes};
pub use place::Places;
pub use server::Kubelet;
pub use streams::Streams;
pub use upstream::Upstream;

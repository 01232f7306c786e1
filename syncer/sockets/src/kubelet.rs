//! The kubelet of the virtual nodes: what the virtual API server asks a node about its pods
//! is asked of the host API server, about the host pods behind them.
//!
//! A request is read once into a typed [`route`]; the user is authenticated and authorized
//! ([`rights`]); a [`session`] resolves the host pod by the UIDs on both sides ([`pod_resolver`]),
//! asks the host with headers and a path of our own making ([`upstream`]), and passes bytes only
//! after exactly the [`upgrade`] that was asked for ([`bridge`]).

mod bridge;
mod certificate;
mod failure;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod logs;
mod nodes;
mod pages;
mod pod_resolver;
mod query;
mod rights;
mod route;
mod run;
mod server;
mod session;
mod stats;
mod upgrade;
mod upstream;

pub use certificate::REQUEST as CERTIFICATE_REQUEST;
pub use nodes::{Nodes, Parts, virtual_nodes};
pub use pod_resolver::PodResolver;
pub use server::Kubelet;
pub use session::Sessions;
pub use upstream::Upstream;

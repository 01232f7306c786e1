//! The configuration of a Tenet syncer: one YAML file, and flags that override it.
//!
//! A file is read in four steps, each a module: `yaml` turns text into a tree in which every value knows its line
//! and column; `overrides` lays the flags over that tree; `check` holds it against the JSON schema, which
//! `schema` generates from the structs, and collects every problem; only a tree without a problem becomes a
//! [`Config`]. So the file, the schema that an editor uses and the structs cannot disagree.
//!
//! ```
//! use tenet_config::{Config, Overrides};
//!
//! let flags = Overrides { name: Some("vc-1".into()), ..Overrides::default() };
//! let problems = Config::from_yaml("host: { namespace: Team_A }\n", &flags).unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "<yaml>:1:1: virtual.kubeconfig: is required, here or as --virtual-kubeconfig\n\
//!      <yaml>:1:20: host.namespace: \"Team_A\" is not a DNS label (lower-case letters, digits and '-', at most 63 \
//!      characters)"
//! );
//! ```
//!
//! [`Live`] hands out the current configuration; [`Reloader`] is polled and replaces in it what may change while the
//! syncer runs ([`RELOADABLE`]).

mod check;
mod config;
mod crossing;
mod known;
mod lease;
mod load;
mod overrides;
mod problem;
mod process;
mod reload;
mod schema;
mod sockets;
mod yaml;

pub use config::{Config, Host, RELOADABLE, Virtual};
pub use crossing::{AnnotationPreset, Annotations, Labels, Names, UnknownFields};
pub use known::{Known, SEALED, Section, SectionError};
pub use lease::Lease;
pub use overrides::Overrides;
pub use problem::{Location, Problem, Problems};
pub use process::{Admin, Breaker, Budget, Engine, Kinds, Log, LogFormat};
pub use reload::{Deferred, Live, ReloadOutcome, Reloader};
pub use schema::schema;
pub use sockets::{FailurePolicy, Kubelet, KubeletCertificate, Streams, Usage, Webhook};
pub use tenet_translate::Duration;
pub use tenet_translate::kubelets::NodeAddresses;

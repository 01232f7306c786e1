//! Real Kubernetes control planes as local processes.
//!
//! A [`Playground`] is a host cluster, a virtual cluster, and nodes on which pods become Running. `tenet playground`,
//! the tests and the benches all use it: there is no mock API server.
//!
//! ```no_run
//! # async fn doc() -> Result<(), tenet_playground::PlaygroundError> {
//! use tenet_playground::{Command, Options, Playground};
//!
//! let playground = Playground::start(Options::default()).await?;
//! let syncer = Command::new("target/debug/tenet-syncer").arg("--config").arg(playground.syncer_config());
//! playground.start_syncer(&syncer).await?;
//! let pods = playground.virtual_plane().client();
//! playground.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod api;
mod audit;
mod component;
mod components;
mod folder;
mod go_module;
mod grants;
mod guard;
mod host;
mod kwok;
mod metrics;
mod pid_file;
mod pki;
mod plane;
mod playground;
mod port;
mod process;
mod progress;
mod real_host;
mod real_node;
mod syncer;
mod version;
mod wait;

pub use api::ApiError;
pub use audit::Audit;
pub use component::Component;
pub use components::{BuildError, Components, ComponentsError};
pub use folder::FolderError;
pub use grants::GrantError;
pub use pki::PkiError;
pub use plane::{ControlPlane, MASTERS, PlaneError, PlaneOptions, Role, SERVICE_CIDR};
pub use playground::{Options, Playground, PlaygroundError};
pub use port::free as free_port;
pub use process::{Died, Launch, Process, ProcessError};
pub use progress::Progress;
pub use real_host::{DistroProgram, RealHost, RealHostOptions};
pub use real_node::{ClusterNetwork, Image, Layer, LayerFiles, RealNode, RealNodeError, Registry, program};
pub use syncer::{Command, SyncerError, build_syncer};
pub use version::Version;
pub use wait::{Patience, TimedOut};

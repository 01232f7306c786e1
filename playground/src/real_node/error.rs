//! What can go wrong with a real node.

use std::{io, path::PathBuf};

use crate::{
    components::ComponentsError,
    plane::PlaneError,
    process::{Died, ProcessError},
    wait::TimedOut,
};

/// Why there is no real node.
#[derive(Debug, thiserror::Error)]
pub enum RealNodeError {
    /// This machine cannot have one: no fault of the program.
    #[error("{0}")]
    Machine(String),
    /// The kubelet cannot be had.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// There is no folder for it.
    #[error("there is no temporary folder")]
    Temporary(#[source] io::Error),
    /// A file could not be written.
    #[error("{} cannot be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cluster did not give what the node needs.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// A process did not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A process ended.
    #[error(transparent)]
    Died(#[from] Died),
    /// It did not come up in time.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}

//! Errors of a real node.

use std::{io, path::PathBuf};

use crate::{
    components::ComponentsError,
    folder::FolderError,
    plane::PlaneError,
    process::{Died, ProcessError},
    wait::TimedOut,
};

/// Error of starting a real node, or a host of real nodes.
#[derive(Debug, thiserror::Error)]
pub enum RealNodeError {
    /// The machine lacks a requirement. Tests are skipped then.
    #[error("{0}")]
    Machine(String),
    /// The kubelet cannot be located or built.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// The folder of the host cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No temporary folder can be created.
    #[error("cannot create a temporary folder")]
    Temporary(#[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The cluster did not provide what the node needs.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// A process did not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A process ended.
    #[error(transparent)]
    Died(#[from] Died),
    /// The node did not become ready in time.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}

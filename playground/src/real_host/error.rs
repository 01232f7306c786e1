//! Errors of a real host.

use std::{io, path::PathBuf};

use crate::{
    api::ApiError, components::ComponentsError, folder::FolderError, plane::PlaneError, real_node::RealNodeError,
};

/// Error of starting a real host.
#[derive(Debug, thiserror::Error)]
pub enum RealHostError {
    /// A node did not start, or the machine cannot run nodes.
    #[error(transparent)]
    Node(#[from] RealNodeError),
    /// A program cannot be located or built.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// The folder cannot be used.
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
    /// The control plane did not start.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// The API server refused an object of the host.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl RealHostError {
    /// Returns what the machine lacks, if it cannot run nodes.
    pub fn lacks(&self) -> Option<&str> {
        match self {
            Self::Node(RealNodeError::Machine(why)) => Some(why),
            _ => None,
        }
    }
}

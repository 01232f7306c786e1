//! Errors of a control plane.

use std::{io, path::PathBuf};

use crate::{
    api::ApiError,
    pki::PkiError,
    process::{Died, ProcessError},
    wait::TimedOut,
};

/// Error of starting or using a control plane.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// A folder or file cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Folder or file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// No port is free.
    #[error("no port is free on 127.0.0.1")]
    Port(#[source] io::Error),
    /// The certificates cannot be created.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A process did not start, or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A call to the API server did not succeed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A wait timed out.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The help text of the controller manager does not list its controllers.
    #[error("{} --help does not list its controllers", program.display())]
    Controllers {
        /// Path of the binary.
        program: PathBuf,
    },
}

impl From<Died> for PlaneError {
    fn from(died: Died) -> Self {
        Self::Process(died.into())
    }
}

//! What can go wrong with a control plane.

use std::{io, path::PathBuf};

use crate::{
    api::ApiError,
    pki::PkiError,
    process::{Died, ProcessError},
    wait::TimedOut,
};

/// Why a control plane did not start, or is no longer what it was.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// A folder or file could not be used.
    #[error("{} cannot be used", path.display())]
    File {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no free port.
    #[error("there is no free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// The certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A process did not start, or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The API server cannot be talked to.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Something did not happen in time.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The controller manager does not say which controllers it has.
    #[error("{} --help does not list its controllers", program.display())]
    Controllers {
        /// The binary.
        program: PathBuf,
    },
}

impl From<Died> for PlaneError {
    fn from(died: Died) -> Self {
        Self::Process(died.into())
    }
}

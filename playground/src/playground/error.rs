//! What can go wrong with a playground.

use std::io;

use crate::{components::ComponentsError, folder::FolderError, plane::PlaneError, syncer::SyncerError};

/// Why there is no playground, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum PlaygroundError {
    /// The programs cannot be had.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is no folder for a temporary playground.
    #[error("there is no temporary folder")]
    Temporary(#[source] io::Error),
    /// A control plane did not come up.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// The syncer did not come up.
    #[error(transparent)]
    Syncer(#[from] SyncerError),
    /// Neither `XDG_STATE_HOME` nor `HOME` is set.
    #[error("there is no default folder: neither XDG_STATE_HOME nor HOME is set; name one")]
    NoStateFolder,
}

//! Errors of a playground.

use crate::{components::ComponentsError, folder::FolderError, plane::PlaneError, syncer::SyncerError};

/// Error of starting a playground.
#[derive(Debug, thiserror::Error)]
pub enum PlaygroundError {
    /// The components cannot be located or built.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A control plane did not start.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// The syncer did not start.
    #[error(transparent)]
    Syncer(#[from] SyncerError),
    /// Neither `XDG_STATE_HOME` nor `HOME` is set.
    #[error("cannot locate the default folder: neither XDG_STATE_HOME nor HOME is set; give a folder with --dir")]
    NoStateFolder,
}

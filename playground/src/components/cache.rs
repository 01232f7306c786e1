//! Folder of downloaded and built binaries, shared by all playgrounds of the user.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{component::Component, go_module::GoModule, progress::Progress};

use super::ComponentsError;

/// Cache of the components of one `go.mod` and `go.sum`.
pub(super) struct Cache {
    module: &'static GoModule,
    dir: PathBuf,
}

/// Lock on the cache. While it is held, no other process builds into the cache.
pub(super) struct Turn {
    _lock: File,
}

impl Cache {
    pub(super) fn of_user(module: &'static GoModule) -> Result<Self, ComponentsError> {
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .ok_or(ComponentsError::NoCacheFolder)?;
        Ok(Self::in_folder(module, &base))
    }

    pub(super) fn in_folder(module: &'static GoModule, base: &Path) -> Self {
        Self { module, dir: base.join("tenet").join("components").join(module.fingerprint()) }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn module(&self) -> &'static GoModule {
        self.module
    }

    pub(super) fn binary(&self, component: Component) -> PathBuf {
        self.dir.join("bin").join(component.name())
    }

    /// Path at which a binary is built before it is renamed to its final name.
    pub(super) fn unfinished(&self, component: Component) -> PathBuf {
        self.dir.join("bin").join(format!(".{component}.unfinished"))
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("build.log")
    }

    /// Writes the Go module, and waits until no other process builds.
    pub(super) async fn take_turn(&self, progress: &Progress) -> Result<Turn, ComponentsError> {
        let failed = |source| ComponentsError::Cache { path: self.dir.clone(), source };
        fs::create_dir_all(self.dir.join("bin")).map_err(failed)?;
        let mut lock = self.open_lock().map_err(failed)?;
        let mut said = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut said, true) {
                        progress.step(&self.waiting());
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let mut prepared = || -> io::Result<()> {
            lock.set_len(0)?;
            write!(lock, "{}", std::process::id())?;
            fs::write(self.dir.join("go.mod"), self.module.go_mod)?;
            fs::write(self.dir.join("go.sum"), self.module.go_sum)
        };
        prepared().map_err(failed)?;
        Ok(Turn { _lock: lock })
    }

    fn open_lock(&self) -> io::Result<File> {
        File::options().create(true).truncate(false).read(true).write(true).open(self.dir.join("lock"))
    }

    fn waiting(&self) -> String {
        let holder = fs::read_to_string(self.dir.join("lock")).unwrap_or_default();
        format!("another process (pid {}) builds the components; waiting for it", holder.trim())
    }
}

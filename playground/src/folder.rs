//! Folder of a playground, with one owner at a time and no files of an earlier run.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{guard, pid_file};

/// Error of preparing the folder of a playground.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another playground runs in the folder.
    #[error("another playground is running in {} (pid {pid}): end it, or give this one another folder", dir.display())]
    Busy {
        /// Folder of the playground.
        dir: PathBuf,
        /// Process id of the owner.
        pid: String,
    },
    /// The folder contains files that no playground created.
    #[error("{} holds other files: give the playground an empty folder, or one of its own", dir.display())]
    Foreign {
        /// Folder of the playground.
        dir: PathBuf,
    },
    /// No temporary folder can be created.
    #[error("cannot create a temporary folder")]
    Temporary(#[source] io::Error),
    /// The folder cannot be read or written.
    #[error("cannot use the folder {}", path.display())]
    Io {
        /// Folder or file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Folder that this process owns until the value is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    // The kernel releases the lock when the process ends, even after SIGKILL.
    _lock: File,
    _temporary: Option<TempDir>,
}

/// Name of the lock file. It also marks the folder as one of a playground, whose content may be deleted.
const LOCK: &str = "playground.lock";
const PIDS: &str = "pids";

impl Folder {
    /// Claims a folder: this one, or a new one that is removed when the value is dropped, and also when this process is
    /// killed.
    pub(crate) fn claim_or_create(dir: Option<&Path>) -> Result<Self, FolderError> {
        if let Some(dir) = dir {
            return Self::claim(dir);
        }
        let temporary = temporary().map_err(FolderError::Temporary)?;
        let folder = Self::claim(temporary.path())?;
        Ok(Self { _temporary: Some(temporary), ..folder })
    }

    pub(crate) fn claim(dir: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        let path = dir.canonicalize().map_err(failed)?;
        let has_lock = path.join(LOCK).exists();
        if !has_lock && fs::read_dir(&path).map_err(failed)?.next().is_some() {
            return Err(FolderError::Foreign { dir: path });
        }
        let mut lock = lock(&path)?;
        kill_leftovers(&path);
        wipe(&path)?;
        lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { path, _lock: lock, _temporary: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn pids(&self) -> PathBuf {
        self.path.join(PIDS)
    }
}

fn temporary() -> io::Result<TempDir> {
    let dir = TempDir::with_prefix("tenet-playground-")?;
    guard::remove_at_end(dir.path())?;
    Ok(dir)
}

fn lock(dir: &Path) -> Result<File, FolderError> {
    let path = dir.join(LOCK);
    let failed = |source| FolderError::Io { path: path.clone(), source };
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            Err(FolderError::Busy { dir: dir.to_owned(), pid: pid.trim().to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Kills the processes of an earlier run. They are alive only if their guard was killed as well.
fn kill_leftovers(dir: &Path) {
    for entry in fs::read_dir(dir.join(PIDS)).into_iter().flatten().flatten() {
        pid_file::kill_leftover(&entry.path());
    }
}

/// Removes everything but the lock. A store that was just killed may still create files, so removing its folder can
/// fail once; the next attempt succeeds.
fn wipe(dir: &Path) -> Result<(), FolderError> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        match wipe_once(dir) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn wipe_once(dir: &Path) -> Result<(), FolderError> {
    let failed = |path: &Path, source| FolderError::Io { path: path.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(|source| failed(dir, source))? {
        let path = entry.map_err(|source| failed(dir, source))?.path();
        if path.ends_with(LOCK) {
            continue;
        }
        let removed =
            if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|source| failed(&path, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::claim(dir.path()).expect("the first owner");
        let error = Folder::claim(dir.path()).expect_err("there is one already");
        assert!(error.to_string().contains(&format!("(pid {})", std::process::id())), "{error}");
        drop(folder);
        // A process that another test is starting may hold the lock from its fork to its exec.
        let next = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            Folder::claim(dir.path()).ok()
        });
        next.expect("the next owner");
    }

    #[test]
    fn what_an_earlier_run_left_is_wiped() {
        let dir = tempfile::tempdir().expect("a folder");
        drop(Folder::claim(dir.path()).expect("a claim"));
        fs::create_dir_all(dir.path().join("host/etcd/member")).expect("a folder");
        fs::create_dir_all(dir.path().join(PIDS)).expect("a folder");
        fs::write(dir.path().join(PIDS).join("host-etcd"), "garbage").expect("a file");
        fs::write(dir.path().join("syncer.yaml"), "old").expect("a file");
        let folder = Folder::claim(dir.path()).expect("a claim");
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, [LOCK]);
    }

    #[test]
    fn files_of_somebody_else_are_not_touched() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("thesis.tex"), "years of work").expect("a file");
        assert!(matches!(Folder::claim(dir.path()), Err(FolderError::Foreign { .. })));
        assert!(dir.path().join("thesis.tex").exists());
        assert!(!dir.path().join(LOCK).exists());
    }
}

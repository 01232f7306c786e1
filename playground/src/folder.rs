//! The folder of a playground: one owner at a time, and nothing of an earlier run in it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::pid_file;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is a playground in it that runs.
    #[error("another playground is running in {} (pid {pid}): end it, or give this one another folder", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
        /// The process that owns it.
        pid: String,
    },
    /// There is something in it, and no playground made it.
    #[error("{} holds other files: give the playground an empty folder, or one of its own", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
    },
    /// It cannot be written.
    #[error("the folder {} cannot be used", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A folder that this process owns until it drops this.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    // The kernel releases the lock when the process ends, however it ends.
    _lock: File,
}

/// Also tells that the folder is a playground's, so that its content may be wiped.
const LOCK: &str = "playground.lock";
const PIDS: &str = "pids";

impl Folder {
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
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn pids(&self) -> PathBuf {
        self.path.join(PIDS)
    }
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

/// Processes outlive their playground only if somebody killed the guard as well.
fn kill_leftovers(dir: &Path) {
    for entry in fs::read_dir(dir.join(PIDS)).into_iter().flatten().flatten() {
        pid_file::kill_leftover(&entry.path());
    }
}

/// Removes all but the lock. A store that was killed a moment ago may still write: its folder is then not empty
/// when it is removed, and the next attempt succeeds.
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
        Folder::claim(dir.path()).expect("the next owner");
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

//! The guard: a small shell that ends our processes when this one is gone, however it went.
//!
//! A destructor does not run on SIGKILL, and `PR_SET_PDEATHSIG` needs code between fork and exec. A pipe needs
//! neither: the kernel closes our end of it in every case, and the guard reads the end of file.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM PIPE
pids=
while read -r order what; do
  case $order in
    watch) pids="$pids $what" ;;
    forget) kept=
       for p in $pids; do [ "$p" = "$what" ] || kept="$kept $p"; done
       pids=$kept ;;
    remove) set -- "$@" "$what" ;;
  esac
done
for p in $pids; do kill -s KILL -- "-$p"; done
[ $# -gt 0 ] || exit 0
for folder; do [ ! -f "$folder/undo.sh" ] || sh "$folder/undo.sh"; done
for attempt in 1 2 3 4 5; do rm -rf -- "$@" && exit 0; sleep 1; done
"#;

/// A script in a folder that goes with this process: what else has to be undone when it went. It must bear to be run
/// twice.
pub(crate) const UNDO: &str = "undo.sh";

struct Guard {
    // Kept so that the guard is not reaped while it can still be written to.
    _shell: Child,
    orders: ChildStdin,
    watched: Vec<u32>,
    removed: Vec<PathBuf>,
}

static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

/// From now on the process group of `pid` dies with this process.
pub(crate) fn watch(pid: u32) -> io::Result<()> {
    told(|guard| {
        guard.watched.push(pid);
        guard.order("watch", &pid.to_string())
    })
}

/// The process has ended; its id may soon belong to a stranger.
pub(crate) fn forget(pid: u32) {
    if let Some(guard) = slot().as_mut() {
        guard.watched.retain(|watched| *watched != pid);
        // A dead guard is replaced when the next process starts.
        let _ = guard.order("forget", &pid.to_string());
    }
}

/// From now on the folder goes with this process.
pub(crate) fn remove_at_end(folder: &Path) -> io::Result<()> {
    told(|guard| {
        guard.removed.push(folder.to_owned());
        guard.order("remove", &folder.to_string_lossy())
    })
}

/// Gives an order to the guard. If there is none yet, or somebody killed it, a new one takes over.
fn told(order: impl Fn(&mut Guard) -> io::Result<()>) -> io::Result<()> {
    let mut slot = slot();
    if let Some(guard) = slot.as_mut()
        && order(guard).is_ok()
    {
        return Ok(());
    }
    let (watched, removed) = slot.take().map(|guard| (guard.watched, guard.removed)).unwrap_or_default();
    let mut guard = Guard::start(watched, removed)?;
    order(&mut guard)?;
    *slot = Some(guard);
    Ok(())
}

fn slot() -> MutexGuard<'static, Option<Guard>> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guard {
    fn start(watched: Vec<u32>, removed: Vec<PathBuf>) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "tenet-playground-guard"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let orders = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut guard = Self { _shell: shell, orders, watched, removed };
        for pid in guard.watched.clone() {
            guard.order("watch", &pid.to_string())?;
        }
        for folder in guard.removed.clone() {
            guard.order("remove", &folder.to_string_lossy())?;
        }
        Ok(guard)
    }

    fn order(&mut self, order: &str, what: &str) -> io::Result<()> {
        self.orders.write_all(format!("{order} {what}\n").as_bytes())
    }
}

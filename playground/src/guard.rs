//! Guard: a small shell that ends our processes after this process has ended, for whatever reason.
//!
//! A destructor does not run on SIGKILL, and `PR_SET_PDEATHSIG` needs code between fork and exec. A pipe needs
//! neither: the kernel always closes our end, and the guard then reads the end of file.

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

/// Name of the cleanup script in a folder that is removed at the end of this process. It undoes everything else and may
/// run twice.
pub(crate) const UNDO: &str = "undo.sh";

struct Guard {
    // Kept so that the guard is not reaped while it can still be written to.
    _shell: Child,
    orders: ChildStdin,
    watched: Vec<u32>,
    removed: Vec<PathBuf>,
}

static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

/// Registers the process group of `pid` to be killed when this process ends.
pub(crate) fn watch(pid: u32) -> io::Result<()> {
    told(|guard| {
        guard.watched.push(pid);
        guard.order("watch", &pid.to_string())
    })
}

/// Unregisters a process that has ended, as its id may be reused.
pub(crate) fn forget(pid: u32) {
    if let Some(guard) = slot().as_mut() {
        guard.watched.retain(|watched| *watched != pid);
        // A guard that has died is replaced when the next process starts.
        let _ = guard.order("forget", &pid.to_string());
    }
}

/// Registers a folder to be removed when this process ends.
pub(crate) fn remove_at_end(folder: &Path) -> io::Result<()> {
    told(|guard| {
        guard.removed.push(folder.to_owned());
        guard.order("remove", &folder.to_string_lossy())
    })
}

/// Sends an order to the guard. Starts a new guard when there is none or it was killed.
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

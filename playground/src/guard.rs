//! The guard: a small shell that ends our processes when this one is gone, however it went.
//!
//! A destructor does not run on SIGKILL, and `PR_SET_PDEATHSIG` needs code between fork and exec. A pipe needs
//! neither: the kernel closes our end of it in every case, and the guard reads the end of file.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM PIPE
pids=
while read -r sign pid; do
  case $sign in
    +) pids="$pids $pid" ;;
    -) kept=
       for p in $pids; do [ "$p" = "$pid" ] || kept="$kept $p"; done
       pids=$kept ;;
  esac
done
for p in $pids; do kill -s KILL -- "-$p"; done
"#;

struct Guard {
    // Kept so that the guard is not reaped while it can still be written to.
    _shell: Child,
    orders: ChildStdin,
    watched: Vec<u32>,
}

static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

/// From now on the process group of `pid` dies with this process.
pub(crate) fn watch(pid: u32) -> io::Result<()> {
    let mut slot = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(guard) = slot.as_mut() {
        guard.watched.push(pid);
        if guard.order('+', pid).is_ok() {
            return Ok(());
        }
    }
    // There is no guard yet, or somebody killed it: a new one takes over what the old one watched.
    let watched = slot.take().map_or_else(|| vec![pid], |guard| guard.watched);
    *slot = Some(Guard::start(watched)?);
    Ok(())
}

/// The process has ended; its id may soon belong to a stranger.
pub(crate) fn forget(pid: u32) {
    let mut slot = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(guard) = slot.as_mut() {
        guard.watched.retain(|watched| *watched != pid);
        // A dead guard is replaced when the next process starts.
        let _ = guard.order('-', pid);
    }
}

impl Guard {
    fn start(watched: Vec<u32>) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "tenet-playground-guard"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let orders = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut guard = Self { _shell: shell, orders, watched };
        for pid in guard.watched.clone() {
            guard.order('+', pid)?;
        }
        Ok(guard)
    }

    fn order(&mut self, sign: char, pid: u32) -> io::Result<()> {
        self.orders.write_all(format!("{sign} {pid}\n").as_bytes())
    }
}

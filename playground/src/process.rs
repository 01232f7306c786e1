//! Child process that is started behind the guard, logged to a file, and always ended.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{guard, pid_file};

/// Description of a process to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Name in messages, and the name of the log file.
    pub name: String,
    /// Path of the binary.
    pub program: PathBuf,
    /// Command-line arguments.
    pub args: Vec<OsString>,
    /// Working folder.
    pub dir: PathBuf,
    /// Environment variables in addition to those of this process.
    pub env: Vec<(OsString, OsString)>,
    /// File for standard output and standard error. An existing file is appended to.
    pub log: PathBuf,
    /// File that holds the process id while the process lives.
    pub pid_file: Option<PathBuf>,
}

/// Error of starting a process, or report of its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The process cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// Path of the binary, or of the file that cannot be used.
        program: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The process ended by itself.
    #[error("{0}")]
    Died(#[from] Died),
}

/// Report of a process that ended without being asked to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{name} ended ({status}); the last lines of {}:\n{}", log.display(), indented(tail))]
pub struct Died {
    /// Name of the process.
    pub name: String,
    /// Exit status in words.
    pub status: String,
    /// Log file.
    pub log: PathBuf,
    /// Last lines of the log.
    pub tail: String,
}

/// Running child process. Dropping it kills the process and all its descendants.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    log: PathBuf,
    pid_file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Running(Child),
    Ended(ExitStatus),
}

const LOG_TAIL_LINES: usize = 15;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const TICK_EVERY: Duration = Duration::from_millis(100);

impl Process {
    /// Starts the process in a process group of its own, so that Ctrl-C in a terminal reaches only us.
    pub fn spawn(launch: &Launch) -> Result<Self, ProcessError> {
        let failed = |program: &Path| {
            let program = program.to_owned();
            move |source| ProcessError::Start { program, source }
        };
        fs::metadata(&launch.program).map_err(failed(&launch.program))?;
        let log = File::options().create(true).append(true).open(&launch.log).map_err(failed(&launch.log))?;
        let mut child = waiting_shell(launch, log).map_err(failed(&launch.program))?;
        let pid = child.id();
        let process = guard::watch(pid).and_then(|()| {
            if let Some(file) = &launch.pid_file {
                pid_file::write(file, pid)?;
            }
            let mut start = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
            start.write_all(b"go\n")
        });
        let process_error = process.err();
        let process = Self {
            name: launch.name.clone(),
            pid,
            log: launch.log.clone(),
            pid_file: launch.pid_file.clone(),
            state: Mutex::new(State::Running(child)),
        };
        match process_error {
            Some(source) => Err(failed(&launch.program)(source)),
            None => Ok(process),
        }
    }

    /// Runs a process to its end. Calls `tick` again and again until then.
    pub(crate) async fn run(launch: &Launch, mut tick: impl FnMut()) -> Result<ExitStatus, ProcessError> {
        let process = Self::spawn(launch)?;
        loop {
            if let Some(status) = process.exited() {
                return Ok(status);
            }
            tick();
            tokio::time::sleep(TICK_EVERY).await;
        }
    }

    /// Returns the name used in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the exit status, if the process has ended.
    pub fn exited(&self) -> Option<ExitStatus> {
        let mut state = self.state();
        if let State::Running(child) = &mut *state
            && let Ok(Some(status)) = child.try_wait()
        {
            *state = State::Ended(status);
            self.clear();
        }
        match &*state {
            State::Running(_) => None,
            State::Ended(status) => Some(*status),
        }
    }

    /// Returns the report of a process that has ended.
    pub fn died(&self) -> Option<Died> {
        self.exited().map(|status| Died {
            name: self.name.clone(),
            status: in_words(status),
            log: self.log.clone(),
            tail: log_tail(&self.log, LOG_TAIL_LINES),
        })
    }

    /// Kills the process with its group at once, and waits until it is gone.
    pub fn kill(&self) {
        let mut state = self.state();
        if let State::Running(child) = &mut *state {
            self.signal_group(Signal::KILL);
            if let Ok(status) = child.wait() {
                *state = State::Ended(status);
            }
            self.clear();
        }
    }

    /// Sends SIGTERM, and kills the process when `patience` runs out.
    pub async fn terminate(&self, patience: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.kill();
        self.exited()
    }

    /// Pauses the process (SIGSTOP): it holds its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes a paused process.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // While the lock is held and the child is not reaped, its id cannot be reused.
        if let State::Running(_) = &*self.state()
            && let Some(pid) = self.raw_pid()
        {
            let _ = kill_process(pid, signal);
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.raw_pid() {
            let _ = kill_process_group(pid, signal);
        }
    }

    fn raw_pid(&self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }

    /// Removes everything that the process left: its children, the guard's registration and the file with its id.
    fn clear(&self) {
        self.signal_group(Signal::KILL);
        guard::forget(self.pid);
        if let Some(file) = &self.pid_file {
            let _ = fs::remove_file(file);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a shell that waits for an order and then becomes the program. If we die before the guard knows the process
/// id, the shell reads the end of the pipe and ends, so that no child is orphaned.
fn waiting_shell(launch: &Launch, log: File) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", r#"read -r go && exec "$@" </dev/null"#, "sh"])
        .arg(&launch.program)
        .args(&launch.args)
        .current_dir(&launch.dir)
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// Returns the last lines of a file, which may be long or missing.
pub(crate) fn log_tail(path: &Path, lines: usize) -> String {
    const WINDOW: u64 = 16 * 1024;
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) if text.trim().is_empty() => "(it wrote nothing)".to_owned(),
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("(the log cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, script: &str) -> Process {
        Process::spawn(&Launch {
            name: "script".to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            dir: dir.to_owned(),
            env: vec![("WORD".into(), "from the environment".into())],
            log: dir.join("script.log"),
            pid_file: Some(dir.join("script.pid")),
        })
        .expect("the shell starts")
    }

    async fn ended(process: &Process) -> Died {
        loop {
            if let Some(died) = process.died() {
                return died;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_is_reported_with_its_last_words() {
        let dir = tempfile::tempdir().expect("a folder");
        let process = shell(dir.path(), "echo $WORD; echo last words >&2; exit 7");
        let died = ended(&process).await;
        assert_eq!(died.status, "exit code 7");
        assert_eq!(died.tail, "from the environment\nlast words");
        assert!(!dir.path().join("script.pid").exists());
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_to_end_is_killed_with_its_children() {
        let dir = tempfile::tempdir().expect("a folder");
        let process = shell(dir.path(), "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000");
        while fs::read_to_string(process.log()).unwrap_or_default().is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let grandchild: u32 = log_tail(process.log(), 1).trim().parse().expect("a process id");
        let status = process.terminate(Duration::from_millis(200)).await.expect("it ended");
        assert_eq!(status.signal(), Some(9));
        // Init reaps the grandchild, which may take a moment.
        let deadline = Instant::now() + Duration::from_secs(5);
        let stat = || fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        let is_alive = || !stat().is_empty() && !stat().contains(") Z ");
        while is_alive() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        assert!(!is_alive());
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = Process::spawn(&Launch {
            name: "ghost".to_owned(),
            program: "/nowhere/ghost".into(),
            args: vec![],
            dir: dir.path().to_owned(),
            env: vec![],
            log: dir.path().join("ghost.log"),
            pid_file: None,
        })
        .expect_err("there is no such program");
        assert_eq!(error.to_string(), "cannot start /nowhere/ghost");
    }
}

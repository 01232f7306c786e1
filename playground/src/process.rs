//! One child process: started behind the guard, logged to a file, ended for certain.

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

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What to call it in messages, and the name of its log file.
    pub name: String,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its working folder.
    pub dir: PathBuf,
    /// Variables on top of the ones of this process.
    pub env: Vec<(OsString, OsString)>,
    /// Where standard output and standard error go. An existing file is appended to.
    pub log: PathBuf,
    /// Where the process id is kept while it lives.
    pub pid_file: Option<PathBuf>,
}

/// Why a process did not start, or is no longer there.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("{program} cannot be started")]
    Start {
        /// The binary, or the file that stood in the way.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("{0}")]
    Died(#[from] Died),
}

/// A process that ended although nobody asked it to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{name} ended ({status}); the last lines of {}:\n{}", log.display(), indented(tail))]
pub struct Died {
    /// The process.
    pub name: String,
    /// How it ended.
    pub status: String,
    /// Its log file.
    pub log: PathBuf,
    /// The last lines of the log.
    pub tail: String,
}

/// A running child. Dropping it kills it, with all that it started.
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

impl Process {
    /// Starts it in a process group of its own, so that Ctrl-C in a terminal reaches us alone.
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

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
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

    /// The report on a process that has ended.
    pub fn died(&self) -> Option<Died> {
        self.exited().map(|status| Died {
            name: self.name.clone(),
            status: in_words(status),
            log: self.log.clone(),
            tail: log_tail(&self.log, LOG_TAIL_LINES),
        })
    }

    /// Kills it at once, with its group, and waits until it is gone.
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

    /// Asks it to end (SIGTERM), and kills it when `patience` runs out.
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

    /// Stops it in its tracks (SIGSTOP): it holds its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // While the lock is held and the child is not reaped, its id cannot belong to a stranger.
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

    /// What the process left behind: its children, the guard's note and the file with its id.
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

/// A shell that becomes the program when it is told to. Until the guard knows the process id, a death of ours
/// would orphan the child; the shell then reads the end of the pipe instead, and ends.
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

/// The last lines of a file that may be long and may be gone.
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
        // The grandchild is reaped by init, which may take a moment.
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
        assert_eq!(error.to_string(), "/nowhere/ghost cannot be started");
    }
}

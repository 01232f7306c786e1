//! Runs kubectl as a user does.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(90);

/// Command line that has not been started.
#[derive(Debug)]
pub struct Kubectl {
    command: Command,
    line: String,
    stdin: Option<Vec<u8>>,
}

/// Result of a kubectl that has ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Running kubectl. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    lines: mpsc::Receiver<String>,
}

impl Kubectl {
    pub fn new(program: &Path, kubeconfig: &Path, web_sockets: bool, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(kubeconfig).args(args).stdin(Stdio::null());
        for variable in ["KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS"] {
            command.env(variable, web_sockets.to_string());
        }
        Self { command, line: format!("kubectl {}", args.join(" ")), stdin: None }
    }

    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Runs it until it ends, with a time limit.
    pub async fn run(self) -> Result<Ended> {
        tokio::task::spawn_blocking(move || self.run_here()).await?
    }

    /// Runs it like [`Self::run`]; an exit code other than 0 is an error.
    pub async fn succeed(self) -> Result<String> {
        let line = self.line.clone();
        let ended = self.run().await?;
        if ended.code != Some(0) {
            bail!("{line}: exit code {:?}: {}", ended.code, ended.stderr());
        }
        Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
    }

    /// Attaches a terminal with this many rows and columns.
    pub fn on_a_terminal(self, rows: u16, columns: u16) -> Self {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let quoted: Vec<String> =
            words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))).collect();
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c"]);
        command.arg(format!("stty rows {rows} cols {columns}; exec {}", quoted.join(" "))).arg("/dev/null");
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self { command, ..self }
    }

    /// Starts it, with pipes for all three streams.
    pub fn start(mut self) -> Result<Running> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        self.command.stderr(Stdio::inherit());
        let mut child = self.command.spawn().with_context(|| self.line.clone())?;
        let lines = lines(child.stdout.take().context("no standard output")?);
        Ok(Running { child, line: self.line, lines })
    }

    fn run_here(mut self) -> Result<Ended> {
        let bytes = self.stdin.take();
        self.command.stdin(if bytes.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let (Some(mut pipe), Some(bytes)) = (stdin, bytes) {
                    // A command that ends early does not read all of its input.
                    let _ = pipe.write_all(&bytes);
                }
            });
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (stdout, stderr) = (scope.spawn(|| read(out)), scope.spawn(|| read(err)));
            let code = end(&mut child, &self.line, PATIENCE);
            let _ = child.kill();
            let read = |bytes: std::thread::Result<Vec<u8>>| bytes.unwrap_or_default();
            Ok(Ended { code: code?, stdout: read(stdout.join()), stderr: read(stderr.join()) })
        })
    }
}

impl Ended {
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(2000)]);
        write!(f, "exit code {:?}, stdout {start:?}, stderr {:?}", self.code, self.stderr())
    }
}

impl Running {
    /// Writes to its standard input.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let pipe = self.child.stdin.as_mut().context("no standard input")?;
        Ok(pipe.write_all(text.as_bytes()).and_then(|()| pipe.flush())?)
    }

    /// Waits for a line of its standard output that `good` accepts.
    pub fn until_line(&mut self, what: &str, good: impl Fn(&str) -> bool) -> Result<String> {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if good(&line) {
                return Ok(line);
            }
        }
        bail!("{}: no line {what}", self.line)
    }

    /// Returns the lines that have arrived and were not read.
    pub fn rest(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    /// Waits until it ends; a wait beyond `limit` is an error.
    pub fn end(&mut self, limit: Duration) -> Result<Option<i32>> {
        end(&mut self.child, &self.line, limit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn end(child: &mut Child, line: &str, limit: Duration) -> Result<Option<i32>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() > deadline {
            bail!("{line} has not ended after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

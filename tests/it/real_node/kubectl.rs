//! kubectl as a user starts it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(90);

/// A command line that has not been started.
#[derive(Debug)]
pub struct Kubectl {
    command: Command,
    line: String,
    stdin: Option<Vec<u8>>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A kubectl that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
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

    /// Runs it to its end, which must come in time.
    pub async fn run(self) -> Result<Ended> {
        tokio::task::spawn_blocking(move || self.run_here()).await?
    }

    /// The same, and a bad end is an error.
    pub async fn succeed(self) -> Result<String> {
        let line = self.line.clone();
        let ended = self.run().await?;
        if ended.code != Some(0) {
            bail!("{line}: exit code {:?}: {}", ended.code, ended.stderr());
        }
        Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
    }

    /// Starts it, with pipes for all three streams.
    pub fn start(mut self) -> Result<Running> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.command.spawn().with_context(|| self.line.clone())?;
        Ok(Running { child, line: self.line })
    }

    fn run_here(mut self) -> Result<Ended> {
        let stdin = self.stdin.take();
        let mut running = self.start()?;
        let mut pipe = running.child.stdin.take();
        let writer = std::thread::spawn(move || {
            if let (Some(pipe), Some(bytes)) = (&mut pipe, stdin) {
                // A command that ends early does not read to the end.
                let _ = pipe.write_all(&bytes);
            }
        });
        let (stdout, stderr) = (reader(running.child.stdout.take()), reader(running.child.stderr.take()));
        let code = running.end(PATIENCE)?;
        let _ = writer.join();
        let read = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
        Ok(Ended { code, stdout: read(stdout), stderr: read(stderr) })
    }
}

impl Ended {
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl Running {
    /// The process, for what is not covered here.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for its end; after `limit` that is an error.
    pub fn end(&mut self, limit: Duration) -> Result<Option<i32>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            if Instant::now() > deadline {
                bail!("{} has not ended after {limit:?}", self.line);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reader(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

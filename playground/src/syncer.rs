//! Syncer process and its configuration.

use std::{
    ffi::OsString,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    grants::GrantError,
    process::{Died, Launch, Process, ProcessError},
    wait::TimedOut,
};

/// Error of starting a syncer.
#[derive(Debug, thiserror::Error)]
pub enum SyncerError {
    /// The process did not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The syncer did not get its rights on the host.
    #[error("the syncer gets no rights on the host")]
    Rights(#[from] GrantError),
    /// The syncer did not become ready.
    #[error("the syncer is not ready; its log is {}", log.display())]
    NotReady {
        /// Log file.
        log: PathBuf,
        /// Condition that was waited for.
        source: TimedOut,
    },
    /// The syncer ended.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}

impl From<Died> for SyncerError {
    fn from(died: Died) -> Self {
        Self::Process(died.into())
    }
}

/// Command that runs a syncer.
#[derive(Clone, Debug)]
pub struct Command {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl Command {
    /// Creates a command without arguments.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Returns the command as a user would type it.
    pub fn line(&self) -> String {
        std::iter::once(self.program.as_os_str())
            .chain(self.args.iter().map(OsString::as_os_str))
            .map(|word| quoted(&word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it to its end, and returns what it prints.
    pub(crate) async fn output(&self, dir: &Path) -> Result<String, GrantError> {
        let mut command = process::Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().cloned()).current_dir(dir).stdin(process::Stdio::null());
        let line = self.line();
        let output = match tokio::task::spawn_blocking(move || command.output()).await {
            Ok(output) => output,
            Err(stopped) => Err(io::Error::other(stopped)),
        };
        let output = output.map_err(|source| GrantError::Run { command: line.clone(), source })?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(GrantError::Refused { command: line, told });
        }
        String::from_utf8(output.stdout).map_err(|error| GrantError::Malformed(error.to_string()))
    }

    pub(crate) fn spawn(&self, dir: &Path, log: &Path, pids: &Path) -> Result<Process, ProcessError> {
        Process::spawn(&Launch {
            name: "syncer".to_owned(),
            program: self.program.clone(),
            args: self.args.clone(),
            dir: dir.to_owned(),
            env: self.env.clone(),
            log: log.to_owned(),
            pid_file: Some(pids.join("syncer")),
        })
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Builds the syncer in release mode beside the target folder of this program, and returns its path.
pub fn build_syncer() -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).ok_or_else(|| io::Error::other("no target folder"))?;
    let mut command = std::process::Command::new(cargo);
    command.args(["build", "--release", "--locked", "--bin", "tenet-syncer", "--target-dir"]).arg(target);
    if command.current_dir(root).status()?.success() {
        Ok(target.join("release").join("tenet-syncer"))
    } else {
        Err(io::Error::other("cannot build the syncer"))
    }
}

/// Content of the configuration file.
pub(crate) struct Settings<'a> {
    pub(crate) name: &'a str,
    pub(crate) host_kubeconfig: &'a Path,
    pub(crate) namespace: &'a str,
    pub(crate) virtual_kubeconfig: &'a Path,
    pub(crate) admin_port: u16,
    pub(crate) kubelet_port: u16,
    pub(crate) webhook_port: u16,
    pub(crate) usage_port: u16,
    pub(crate) more: &'a str,
}

impl Settings<'_> {
    pub(crate) fn render(&self) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let path = |path: &Path| text(&path.to_string_lossy());
        // Service addresses of the host are not reachable from this machine: nothing routes them.
        let has = |section: &str| self.more.lines().any(|line| line.starts_with(section));
        let or = |section, default| if has(section) { String::new() } else { default };
        let kubelet = or("kubelet:", format!("kubelet: {{ addresses: loopback, port: {} }}\n", self.kubelet_port));
        let webhook = or("webhook:", format!("webhook: {{ listen: \"127.0.0.1:{}\" }}\n", self.webhook_port));
        let usage = or("usage:", format!("usage: {{ listen: \"127.0.0.1:{}\" }}\n", self.usage_port));
        // The nodes run no containers, so a DNS server on them answers nothing.
        let coredns = or("coredns:", "coredns: { enabled: false }\n".to_owned());
        format!(
            "name: {name}
host:
  kubeconfig: {host}
  namespace: {namespace}
virtual:
  kubeconfig: {inside}
  service: {name}
admin:
  listen: 127.0.0.1:{port}
log: {{ level: info, format: text }}
dns: {{ clusterDomain: cluster.local }}
{kubelet}{webhook}{usage}{coredns}{more}",
            name = text(self.name),
            host = path(self.host_kubeconfig),
            namespace = text(self.namespace),
            inside = path(self.virtual_kubeconfig),
            port = self.admin_port,
            more = self.more,
        )
    }
}

const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// Returns true if `/readyz` answers 200.
pub(crate) async fn is_ready(port: u16) -> bool {
    timeout(ANSWER_PATIENCE, status_line(port)).await.is_ok_and(|line| line.is_ok_and(|line| line.contains(" 200 ")))
}

async fn status_line(port: u16) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_be_pasted_into_a_shell() {
        let command = Command::new("/opt/tenet").arg("syncer").arg("--config").arg("/a b/it's.yaml");
        assert_eq!(command.line(), r"/opt/tenet syncer --config '/a b/it'\''s.yaml'");
    }

    #[test]
    fn the_configuration_names_both_sides() {
        let text = Settings {
            name: "vc-1",
            host_kubeconfig: Path::new("/p/syncer-host.kubeconfig"),
            namespace: "tenet-vc-1",
            virtual_kubeconfig: Path::new("/p/syncer-virtual.kubeconfig"),
            admin_port: 12345,
            kubelet_port: 12346,
            webhook_port: 12347,
            usage_port: 12348,
            more: "names: tenet\n",
        }
        .render();
        assert_eq!(
            text,
            r#"name: "vc-1"
host:
  kubeconfig: "/p/syncer-host.kubeconfig"
  namespace: "tenet-vc-1"
virtual:
  kubeconfig: "/p/syncer-virtual.kubeconfig"
  service: "vc-1"
admin:
  listen: 127.0.0.1:12345
log: { level: info, format: text }
dns: { clusterDomain: cluster.local }
kubelet: { addresses: loopback, port: 12346 }
webhook: { listen: "127.0.0.1:12347" }
usage: { listen: "127.0.0.1:12348" }
coredns: { enabled: false }
names: tenet
"#
        );
    }
}

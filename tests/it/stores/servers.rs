//! Servers outside of the pod that hold the data of a virtual cluster.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use tempfile::TempDir;
use tenet_install::pki::{Authority, LEAF_LIFE, Purpose};
use tenet_playground::{Component, Components, Launch, Patience, Process, Progress, free_port};
use time::OffsetDateTime;
use tokio::net::TcpStream;

use crate::control_plane::Outside;
use crate::harness::skipped;

const PATIENCE: Duration = Duration::from_secs(60);

/// Server that can be killed and started again on its data.
pub struct Server {
    _dir: TempDir,
    launch: Launch,
    port: u16,
    /// Part of it that the pod gets.
    pub outside: Outside,
    running: Mutex<Option<Process>>,
}

impl Server {
    /// Starts the server, and waits until it accepts connections.
    pub async fn start(&self) -> Result<()> {
        Patience::new(PATIENCE)
            .until(&self.launch.name, async || {
                self.run_if_ended()?;
                Ok::<_, anyhow::Error>(TcpStream::connect(("127.0.0.1", self.port)).await.is_ok())
            })
            .await
    }

    /// A database refuses to start until the processes of the one that was killed have ended.
    fn run_if_ended(&self) -> Result<()> {
        let mut running = self.running.lock();
        if running.as_ref().is_none_or(|process| process.exited().is_some()) {
            *running = Some(Process::spawn(&self.launch)?);
        }
        Ok(())
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&self) {
        if let Some(process) = self.running.lock().take() {
            process.kill();
        }
    }

    /// Returns the URL of an etcd.
    pub fn endpoint(&self) -> String {
        endpoint(self.port)
    }

    fn new(name: &str, dir: TempDir, program: &Path, args: Vec<OsString>, port: u16, outside: Outside) -> Self {
        let launch = Launch {
            name: name.to_owned(),
            program: program.to_owned(),
            args,
            dir: dir.path().to_owned(),
            env: Vec::new(),
            log: dir.path().join("log"),
            pid_file: None,
        };
        Self { _dir: dir, launch, port, outside, running: Mutex::default() }
    }
}

/// Returns an etcd that asks its clients for certificates.
pub async fn etcd() -> Result<Server> {
    let components = Components::locate_or_build(&Progress::silent()).await?;
    let dir = TempDir::with_prefix("tenet-etcd-")?;
    let now = OffsetDateTime::now_utc();
    let ca = Authority::create("etcd-ca", now)?;
    let authority = Authority::read(&ca)?;
    let server = authority.issue("etcd", &Purpose::Server(vec!["127.0.0.1".to_owned()]), now, LEAF_LIFE)?;
    let client = authority.issue("vc-1", &Purpose::Client(None), now, LEAF_LIFE)?;
    for (file, text) in [("ca.crt", &ca.certificate), ("server.crt", &server.certificate), ("server.key", &server.key)]
    {
        fs::write(dir.path().join(file), text)?;
    }
    let port = free_port()?;
    let endpoint = endpoint(port);
    let args = [
        "--data-dir=data".to_owned(),
        format!("--listen-client-urls={endpoint}"),
        format!("--advertise-client-urls={endpoint}"),
        "--listen-peer-urls=unix://peer.sock".to_owned(),
        "--initial-advertise-peer-urls=unix://peer.sock".to_owned(),
        "--initial-cluster=default=unix://peer.sock".to_owned(),
        "--client-cert-auth".to_owned(),
        "--trusted-ca-file=ca.crt".to_owned(),
        "--cert-file=server.crt".to_owned(),
        "--key-file=server.key".to_owned(),
    ];
    let program = components.path(Component::Etcd);
    let args = args.map(OsString::from).into();
    let certificates = vec![("ca.crt", ca.certificate), ("tls.crt", client.certificate), ("tls.key", client.key)];
    Ok(Server::new("etcd", dir, program, args, port, Outside { certificates, ..Outside::default() }))
}

fn endpoint(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Returns a server of `PostgreSQL`, or `None` with a printed reason on a machine without one.
pub fn postgres() -> Result<Option<Server>> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("postgres").is_file()).max();
    let Some(bin) = newest else {
        return skipped("there is no /usr/lib/postgresql/VERSION/bin/postgres: apt-get install postgresql");
    };
    let (dir, port) = (folder("postgres")?, free_port()?);
    let data = dir.path().join("data");
    let init = as_user("postgres", &bin.join("initdb"));
    run(&init, &["--pgdata".into(), data.clone().into(), "--username=kine".into(), "--auth=trust".into()])?;
    let mut args = as_user("postgres", &bin.join("postgres"));
    // Without a change of the user, the first word is the program itself.
    let program = PathBuf::from(args.remove(0));
    let settings =
        ["listen_addresses=127.0.0.1".to_owned(), format!("port={port}"), "unix_socket_directories=".to_owned()];
    args.extend(["-D".into(), data.into()]);
    args.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
    let data_source = format!("postgres://kine@127.0.0.1:{port}/kine?sslmode=disable");
    Ok(Some(Server::new("postgres", dir, &program, args, port, Outside { data_source, ..Outside::default() })))
}

/// Returns a server of `MariaDB`, or `None` with a printed reason on a machine without one.
pub fn mariadb() -> Result<Option<Server>> {
    let [server, install] = ["/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"].map(Path::new);
    if !server.is_file() || !install.is_file() {
        return skipped("there is no /usr/sbin/mariadbd: apt-get install mariadb-server");
    }
    let (dir, port) = (folder("mysql")?, free_port()?);
    let mut common: Vec<OsString> = vec!["--no-defaults".into(), OsString::from("--datadir=")];
    common[1].push(dir.path().join("data"));
    if is_root() {
        common.push("--user=mysql".into());
    }
    let mut prepare = common.clone();
    prepare.extend(["--auth-root-authentication-method=normal".into(), "--skip-test-db".into()]);
    run(&[install.into()], &prepare)?;
    let mut args = common;
    args.extend(["--bind-address=127.0.0.1".into(), format!("--port={port}").into()]);
    args.extend(["--socket=server.sock".into(), "--pid-file=server.pid".into()]);
    let data_source = format!("mysql://root@tcp(127.0.0.1:{port})/kine");
    Ok(Some(Server::new("mariadb", dir, server, args, port, Outside { data_source, ..Outside::default() })))
}

/// Creates a folder that belongs to a user, if this program may give it away.
fn folder(user: &str) -> Result<TempDir> {
    let dir = TempDir::with_prefix(format!("tenet-{user}-"))?;
    if is_root() {
        let [uid, gid] = ["-u", "-g"].map(|flag| -> Result<u32> {
            let output = Command::new("id").args([flag, user]).output()?;
            String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| format!("no user {user}"))
        });
        chown(dir.path(), Some(uid?), Some(gid?))?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    }
    Ok(dir)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Returns the words that run a program as another user, if this one is root.
fn as_user(user: &str, program: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    if is_root() {
        let flags = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
        words.push("/usr/bin/setpriv".into());
        words.extend(flags.map(OsString::from));
    }
    words.push(program.into());
    words
}

fn run(words: &[OsString], args: &[OsString]) -> Result<()> {
    let output = Command::new(&words[0]).args(&words[1..]).args(args).output()?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

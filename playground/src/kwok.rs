//! kwok: nodes on which pods become Running, and nothing runs.
//!
//! What kwok 0.8 does not do as a kubelet does: it authenticates nobody, `kubectl exec` reports every failure with
//! exit code 1, and a command that waits for the end of its standard input never gets it.

use std::{
    fmt::Write,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::TcpStream;

use crate::{
    component::Component,
    components::Components,
    pki::Purpose,
    plane::{ControlPlane, MASTERS, PlaneError},
    port,
    process::{Launch, Process, ProcessError},
    wait::Patience,
};

const STAGES: &str = include_str!("kwok/stages.yaml");

/// The folders that kwok writes to.
pub(crate) struct Folders {
    pub(crate) work: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) pids: PathBuf,
}

const PATIENCE: Duration = Duration::from_secs(60);
const PORT_ATTEMPTS: usize = 5;

/// Writes the configuration, starts kwok against the host, and waits until it answers as a kubelet.
pub(crate) async fn start(
    components: &Components,
    host: &ControlPlane,
    folders: &Folders,
) -> Result<Process, PlaneError> {
    prepare(host, &folders.work)?;
    let mut attempts = 1;
    loop {
        let port = port::free().map_err(PlaneError::Port)?;
        let kwok = Process::spawn(&launch(components, host, folders, port))?;
        match until_it_listens(&kwok, port).await {
            // Another program took the port first.
            Err(PlaneError::Process(ProcessError::Died(died)))
                if attempts < PORT_ATTEMPTS && died.tail.contains("address already in use") =>
            {
                attempts += 1;
            }
            other => return other.map(|()| kwok),
        }
    }
}

fn prepare(host: &ControlPlane, dir: &Path) -> Result<(), PlaneError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| PlaneError::File { path, source }
    };
    // Also the working folder of `kubectl exec`.
    let work = dir.join("files");
    fs::create_dir_all(&work).map_err(file(&work))?;
    let log = dir.join("container.log");
    fs::write(&log, container_log()).map_err(file(&log))?;
    let config = dir.join("kwok.yaml");
    fs::write(&config, configuration(&work, &log)).map_err(file(&config))?;
    host.write_kubeconfig(&dir.join("kwok.kubeconfig"), "kwok", Some(MASTERS))?;
    let serving = host.pki().issue("kwok", &Purpose::Server(&["127.0.0.1".to_owned()]))?;
    Ok(host.pki().keep("kwok", &serving)?)
}

fn launch(components: &Components, host: &ControlPlane, folders: &Folders, port: u16) -> Launch {
    let args = [
        flag("kubeconfig", &folders.work.join("kwok.kubeconfig")),
        flag("config", &folders.work.join("kwok.yaml")),
        "--manage-all-nodes".to_owned(),
        "--node-ip=127.0.0.1".to_owned(),
        format!("--node-port={port}"),
        format!("--server-address=127.0.0.1:{port}"),
        flag("tls-cert-file", &host.pki().file("kwok.crt")),
        flag("tls-private-key-file", &host.pki().file("kwok.key")),
        // The lease is the only sign of life: a heartbeat in the status would wake every watcher of nodes.
        "--node-lease-duration-seconds=40".to_owned(),
        "--cidr=10.244.0.0/16".to_owned(),
    ];
    Launch {
        name: "kwok".to_owned(),
        program: components.path(Component::Kwok).to_owned(),
        args: args.into_iter().map(Into::into).collect(),
        dir: folders.work.clone(),
        env: Vec::new(),
        log: folders.logs.join("kwok.log"),
        pid_file: Some(folders.pids.join("kwok")),
    }
}

async fn until_it_listens(kwok: &Process, port: u16) -> Result<(), PlaneError> {
    Patience::new(PATIENCE)
        .until("the kubelet that kwok plays", async || {
            if let Some(died) = kwok.died() {
                return Err(died.into());
            }
            Ok::<_, PlaneError>(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok())
        })
        .await
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// The stages, and what `kubectl exec`, `logs`, `attach` and `port-forward` get to see.
fn configuration(work: &Path, log: &Path) -> String {
    let mut text = STAGES.to_owned();
    let (work, log) = (quoted(work), quoted(log));
    let _ = write!(
        text,
        "---
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  # Four by default, which makes 3,000 pods wait for each other.
  podPlayStageParallelism: 32
  # Nothing that is left out of this document gets its default.
  nodePlayStageParallelism: 4
  nodeLeaseParallelism: 4
  podsOnNodeSyncParallelism: 4
  enablePodsOnNodeSyncListPager: true
  enablePodsOnNodeSyncStreamWatch: false
  enableDebuggingHandlers: true
  enableProfilingHandler: false
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterExec
metadata:
  name: local
spec:
  execs:
  - local:
      workDir: {work}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata:
  name: local
spec:
  logs:
  - logsFile: {log}
    follow: true
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterAttach
metadata:
  name: local
spec:
  attaches:
  - logsFile: {log}
"
    );
    text
}

fn quoted(path: &Path) -> String {
    // A JSON string is a YAML string.
    serde_json::Value::String(path.display().to_string()).to_string()
}

/// In the format of a container runtime; kwok answers 400 to anything else.
fn container_log() -> String {
    ["the playground runs no containers", "this line stands for the log of every pod"]
        .map(|line| format!("2026-01-01T00:00:00.000000000Z stdout F {line}\n"))
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_odd_characters_stay_one_yaml_string() {
        let text = configuration(Path::new("/tmp/a: \"b\" #c"), Path::new("/tmp/log"));
        assert!(text.contains(r#"workDir: "/tmp/a: \"b\" #c""#), "{text}");
    }
}

//! kwok: nodes on which pods become Running without containers.
//!
//! `kubectl exec` runs local processes; [`stand_in`] answers all other requests to a container.
//!
//! Differences between kwok 0.8 and a kubelet: it authenticates nobody, `kubectl exec` reports every failure with
//! exit code 1, and a command that waits for the end of its standard input never sees it. It tries a step again only
//! after some errors: one that an API server without its store has answered with 500 is forgotten until the pod changes
//! or kwok starts again.

use std::{
    fmt::Write,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenet_install::pki::Purpose;
use tokio::net::TcpStream;

use crate::{
    api,
    component::Component,
    components::Components,
    plane::{ControlPlane, MASTERS, PlaneError},
    port,
    process::{Died, Launch, Process, ProcessError},
    wait::Patience,
};

mod stand_in;

use stand_in::{ECHO, StandIn};

const STAGES: &str = include_str!("kwok/stages.yaml");
const USAGE: &str = include_str!("kwok/usage.yaml");

/// Label of the nodes that kwok manages. It ignores all others.
pub(crate) const NODE_LABEL: (&str, &str) = ("node.kubernetes.io/instance-type", "kwok");

/// Running kwok with the servers that stand in for containers.
#[derive(Debug)]
pub(crate) struct Kwok {
    process: Mutex<Process>,
    launch: Box<Launch>,
    port: u16,
    _stand_in: StandIn,
}

impl Kwok {
    pub(crate) fn died(&self) -> Option<Died> {
        self.process().died()
    }

    pub(crate) fn kill(&self) {
        self.process().kill();
    }

    /// Starts kwok again on the same port, where the nodes say that their kubelet is.
    pub(crate) async fn restart(&self, host: &ControlPlane) -> Result<(), PlaneError> {
        self.kill();
        // Each kwok has a name of its own, and would wait until the lease of the earlier one is over.
        api::delete(&host.client(), LEASES).await?;
        let kwok = Process::spawn(&self.launch)?;
        until_it_listens(&kwok, self.port).await?;
        *self.process() = kwok;
        Ok(())
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the path of the resource metrics of a node and its pods. One port serves all nodes.
pub(crate) fn usage_path(node: &str) -> String {
    format!("/metrics/nodes/{node}/metrics/resource")
}

/// Folders that kwok writes to.
pub(crate) struct Folders {
    pub(crate) work: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) pids: PathBuf,
}

const PATIENCE: Duration = Duration::from_secs(60);
const PORT_ATTEMPTS: usize = 5;
/// Leases of the nodes.
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Writes the configuration, starts kwok against the host, and waits until its kubelet port answers.
pub(crate) async fn start(components: &Components, host: &ControlPlane, folders: &Folders) -> Result<Kwok, PlaneError> {
    fs::create_dir_all(&folders.work).map_err(file(&folders.work))?;
    let log = folders.work.join("container.log");
    let stand_in = StandIn::start(&log).await.map_err(file(&log))?;
    prepare(host, &folders.work, &stand_in)?;
    let mut attempts = 1;
    loop {
        let port = port::free().map_err(PlaneError::Port)?;
        let launch = Box::new(launch(components, host, folders, port));
        let kwok = Process::spawn(&launch)?;
        match until_it_listens(&kwok, port).await {
            // Another program bound the port first.
            Err(PlaneError::Process(ProcessError::Died(died)))
                if attempts < PORT_ATTEMPTS && died.tail.contains("address already in use") =>
            {
                attempts += 1;
            }
            other => {
                return other.map(|()| Kwok { process: Mutex::new(kwok), launch, port, _stand_in: stand_in });
            }
        }
    }
}

fn prepare(host: &ControlPlane, dir: &Path, stand_in: &StandIn) -> Result<(), PlaneError> {
    // This folder is also the working folder of `kubectl exec`.
    let work = dir.join("files");
    fs::create_dir_all(&work).map_err(file(&work))?;
    let config = dir.join("kwok.yaml");
    fs::write(&config, configuration(&work, stand_in)).map_err(file(&config))?;
    host.write_kubeconfig(&dir.join("kwok.kubeconfig"), "kwok", Some(MASTERS))?;
    let serving = host.pki().issue("kwok", &Purpose::Server(vec!["127.0.0.1".to_owned()]))?;
    Ok(host.pki().keep("kwok", &serving)?)
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> PlaneError {
    let path = path.to_owned();
    move |source| PlaneError::File { path, source }
}

fn launch(components: &Components, host: &ControlPlane, folders: &Folders, port: u16) -> Launch {
    let args = [
        flag("kubeconfig", &folders.work.join("kwok.kubeconfig")),
        flag("config", &folders.work.join("kwok.yaml")),
        "--manage-all-nodes=false".to_owned(),
        format!("--manage-nodes-with-label-selector={}={}", NODE_LABEL.0, NODE_LABEL.1),
        "--node-ip=127.0.0.1".to_owned(),
        format!("--node-port={port}"),
        format!("--server-address=127.0.0.1:{port}"),
        flag("tls-cert-file", &host.pki().file("kwok.crt")),
        flag("tls-private-key-file", &host.pki().file("kwok.key")),
        // The lease is the only heartbeat: one in the status would wake every watcher of nodes.
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
        .until("the kubelet port of kwok", async || {
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

/// Renders the stages, the usage, and the answers to `kubectl exec`, `logs`, `attach` and `port-forward`.
fn configuration(work: &Path, stand_in: &StandIn) -> String {
    let mut text = format!("{STAGES}---\n{USAGE}");
    let (work, log) = (quoted(work), quoted(stand_in.log()));
    let (web, echo) = (stand_in.web_port(), stand_in.echo_port());
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
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterPortForward
metadata:
  name: local
spec:
  forwards:
  - ports: [{ECHO}]
    target: {{address: 127.0.0.1, port: {echo}}}
  - target: {{address: 127.0.0.1, port: {web}}}
"
    );
    text
}

fn quoted(path: &Path) -> String {
    // Every JSON string is a valid YAML string.
    serde_json::Value::String(path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn paths_with_odd_characters_stay_one_yaml_string() {
        let dir = tempfile::tempdir().expect("a folder");
        let stand_in = StandIn::start(&dir.path().join("log")).await.expect("the stand-in");
        let text = configuration(Path::new("/tmp/a: \"b\" #c"), &stand_in);
        assert!(text.contains(r#"workDir: "/tmp/a: \"b\" #c""#), "{text}");
    }
}

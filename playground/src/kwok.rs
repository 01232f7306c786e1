//! kwok: nodes on which pods become Running, and nothing runs.

use std::{fmt::Write, fs, path::Path};

use crate::{
    component::Component,
    components::Components,
    pki::Purpose,
    plane::{ControlPlane, MASTERS, PlaneError},
    port,
    process::{Launch, Process},
};

const STAGES: &str = include_str!("kwok/stages.yaml");

/// Writes the configuration and starts kwok against the host.
pub(crate) fn start(
    components: &Components,
    host: &ControlPlane,
    dir: &Path,
    logs: &Path,
    pids: &Path,
) -> Result<Process, PlaneError> {
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
    let kubeconfig = dir.join("kwok.kubeconfig");
    host.write_kubeconfig(&kubeconfig, "kwok", Some(MASTERS))?;
    let serving = host.pki().issue("kwok", &Purpose::Server(&["127.0.0.1".to_owned()]))?;
    host.pki().keep("kwok", &serving)?;

    let port = port::free().map_err(PlaneError::Port)?;
    let launch = Launch {
        name: "kwok".to_owned(),
        program: components.path(Component::Kwok).to_owned(),
        args: vec![
            flag("kubeconfig", &kubeconfig),
            flag("config", &config),
            "--manage-all-nodes".to_owned(),
            "--node-ip=127.0.0.1".to_owned(),
            format!("--node-port={port}"),
            format!("--server-address=127.0.0.1:{port}"),
            flag("tls-cert-file", &host.pki().file("kwok.crt")),
            flag("tls-private-key-file", &host.pki().file("kwok.key")),
            // The lease is the only sign of life: a heartbeat in the status would wake every watcher of nodes.
            "--node-lease-duration-seconds=40".to_owned(),
            "--cidr=10.244.0.0/16".to_owned(),
        ]
        .into_iter()
        .map(Into::into)
        .collect(),
        dir: dir.to_owned(),
        env: Vec::new(),
        log: logs.join("kwok.log"),
        pid_file: Some(pids.join("kwok")),
    };
    Ok(Process::spawn(&launch)?)
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

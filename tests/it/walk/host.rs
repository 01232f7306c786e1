//! The host of a walk, and what is read of it when a walk fails.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use tenet_playground::{
    Component, ControlPlane, DistroProgram, Progress, RealHost, RealHostOptions, RealNode, RealNodeError,
};

use super::NAME;
use crate::cluster::Cluster;
use crate::harness::{client, skipped};
use crate::install::Tenet;

/// Host with two nodes that run containers.
pub(super) struct Host {
    pub(super) machines: RealHost,
    pub(super) cluster: Cluster,
    pub(super) kubectl: PathBuf,
}

impl Host {
    /// Starts the host. Prints that the test is skipped on a machine that cannot run a node.
    pub(super) async fn start() -> Result<Option<Self>> {
        let options = RealHostOptions {
            dir: None,
            nodes: 2,
            syncer: (PathBuf::from(env!("CARGO_BIN_EXE_tenet-syncer")), Vec::new()),
            distros: DistroProgram::given(),
            progress: Progress::stderr(),
        };
        let host = match RealHost::start(options).await {
            Err(RealNodeError::Machine(why)) => return skipped(&format!("no real host, because {why}")),
            host => host?,
        };
        let cluster = Cluster::new("host", client(host.kubeconfig()).await?);
        let kubectl = host.components().path(Component::Kubectl).to_owned();
        Ok(Some(Self { machines: host, cluster, kubectl }))
    }

    pub(super) fn plane(&self) -> &ControlPlane {
        self.machines.plane()
    }

    pub(super) fn tenet(&self) -> Tenet {
        Tenet { kubeconfig: self.machines.kubeconfig().to_owned(), namespace: NAME.to_owned() }
    }

    /// Runs kubectl inside, by `tenet connect NAME -- kubectl ARGS`.
    pub(super) fn inside(&self, args: &[&str]) -> Result<String> {
        let kubectl = self.kubectl.to_string_lossy();
        self.tenet().succeeds(&[&["connect", NAME, "--", &kubectl], args].concat())
    }

    /// Addresses of the nodes.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.machines.nodes().iter().map(RealNode::address).collect()
    }

    pub(super) fn write_values(&self) -> Result<PathBuf> {
        let file = self.machines.dir().join("walk.yaml");
        let names = [self.addresses(), vec!["api.example.com".to_owned()]].concat().join(",");
        let mut values: Value = serde_saphyr::from_str(&fs::read_to_string(self.machines.values())?)?;
        values["syncer"]["extraArgs"] = json!([format!("--tls-san={names}")]);
        fs::write(&file, serde_saphyr::to_string(&values)?)?;
        Ok(file)
    }
}

/// Prints the logs of the control plane, which are gone with the host.
pub(super) async fn tell_containers(host: &Host, containers: &[&str]) {
    let pod = host.cluster.get(&format!("/api/v1/namespaces/{NAME}/pods/{NAME}-0")).await;
    println!("{}", pod.ok().flatten().unwrap_or_default()["status"]);
    for container in containers {
        println!("--- {container}\n{}", log(&host.kubectl, host.machines.kubeconfig(), container));
    }
}

fn log(kubectl: &Path, kubeconfig: &Path, container: &str) -> String {
    let mut command = std::process::Command::new(kubectl);
    command.arg("--kubeconfig").arg(kubeconfig).args(["logs", "-n", NAME, &format!("{NAME}-0"), "-c", container]);
    command.args(["--tail", "40"]).output().map_or_else(
        |error| error.to_string(),
        |output| format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

//! Programs of the pod of a control plane, as processes of this machine with the command lines of the pod.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tenet_install::api::Api;
use tenet_install::bootstrap::{self, Prepared, Request};
use tenet_install::objects::{Installation, objects};
use tenet_install::values::{Distro, Values};
use tenet_playground::{Component, Components, Launch, Patience, Process, Progress, SERVICE_CIDR, free_port};
use time::OffsetDateTime;

use crate::cluster::Cluster;
use crate::harness::{Harness, cluster, new_namespace, rights};

const NAME: &str = "vc-1";
const PATIENCE: Duration = Duration::from_secs(120);

/// Environment of the pod.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Data source of an SQL database.
    pub data_source: String,
    /// Keys of the Secret with the certificates of an etcd, and their texts.
    pub certificates: Vec<(&'static str, String)>,
    /// Programs of containers that are no component of the playground.
    pub programs: BTreeMap<&'static str, PathBuf>,
}

/// Programs of a pod: its sidecars, of which the API server is the last.
pub struct Pod {
    dir: TempDir,
    launches: Vec<Launch>,
    running: Mutex<Vec<Process>>,
}

impl Pod {
    /// Runs the bootstrap on the shared host, and reads the command lines from the objects of an installation.
    pub async fn prepare(namespace: &str, mut values: Values, outside: &Outside) -> Result<Self> {
        let harness = Harness::shared().await?;
        new_namespace(&harness.host, namespace).await?;
        let service = json!({"metadata": {"name": NAME}, "spec": {"ports": [{"port": 443}]}});
        harness.host.create(&format!("/api/v1/namespaces/{namespace}/services"), service).await?;
        let dir = TempDir::with_prefix("tenet-pod-")?;
        for folder in ["pki", "data", "sockets", "store", "bin"] {
            fs::create_dir(dir.path().join(folder))?;
        }
        for (file, text) in &outside.certificates {
            fs::write(dir.path().join("store").join(file), text)?;
        }
        values.api_server.extra_args.push("--bind-address=127.0.0.1".to_owned());
        let port = free_port()?;
        let replaced = replacements(&dir, port, outside)?;
        let rights = rights(NAME, namespace, &values)?;
        let objects = objects(&Installation { name: NAME, namespace, values: &values, rights: &rights });
        let request = Request {
            name: NAME.to_owned(),
            namespace: namespace.to_owned(),
            workloads: None,
            dir: dir.path().join("pki"),
            tls_sans: Vec::new(),
            service_cidr: Some(SERVICE_CIDR.to_owned()),
            prepared: prepared(&dir, values.distro, &objects, &replaced, outside)?,
        };
        bootstrap::ensure(&Api::new(harness.host.client.clone()), &request, OffsetDateTime::now_utc()).await?;
        let launches = launches(&dir, &objects, &replaced, outside).await?;
        let kubeconfig = fs::read_to_string(dir.path().join("pki/syncer.kubeconfig"))?;
        fs::write(dir.path().join("kubeconfig"), kubeconfig.replace(":8443", &format!(":{port}")))?;
        Ok(Self { dir, launches, running: Mutex::default() })
    }

    /// Starts everything, and waits until the API server answers.
    pub async fn start(&self) -> Result<()> {
        for launch in &self.launches {
            self.running.lock().push(Process::spawn(launch)?);
        }
        let cluster = self.cluster().await?;
        Patience::new(PATIENCE)
            .until("the API server", async || {
                if let Some(died) = self.running.lock().iter().find_map(Process::died) {
                    return Err(anyhow::Error::from(died));
                }
                Ok(cluster.get("/api/v1/namespaces/default").await.is_ok_and(|found| found.is_some()))
            })
            .await
    }

    /// Kills the store with SIGKILL, and starts it again.
    pub async fn restart_store(&self) -> Result<()> {
        ensure!(self.launches.len() == 2, "the pod has no store");
        self.running.lock().remove(0).kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let store = Process::spawn(&self.launches[0])?;
        self.running.lock().insert(0, store);
        Ok(())
    }

    /// Kills everything with SIGKILL.
    pub fn kill(&self) {
        for process in self.running.lock().drain(..) {
            process.kill();
        }
    }

    /// Returns a client with all rights.
    pub async fn cluster(&self) -> Result<Cluster> {
        cluster("control plane", &self.dir.path().join("kubeconfig")).await
    }
}

/// Returns texts of the pod, and what stands for them on this machine.
fn replacements(dir: &TempDir, port: u16, outside: &Outside) -> Result<Vec<(String, String)>> {
    let root = dir.path().display();
    Ok([
        ("/pki/", format!("{root}/pki/")),
        ("/data/", format!("{root}/data/")),
        ("/etc/store/", format!("{root}/store/")),
        ("=8443", format!("={port}")),
        (": 8443", format!(": {port}")),
        ("0.0.0.0:2381", format!("127.0.0.1:{}", free_port()?)),
        ("$(POD_IP)", "127.0.0.1".to_owned()),
        ("$(SERVICE_CIDR)", SERVICE_CIDR.to_owned()),
        ("$(DATA_SOURCE)", outside.data_source.clone()),
    ]
    .map(|(from, to)| (from.to_owned(), to))
    .into())
}

fn here(text: &str, replaced: &[(String, String)]) -> String {
    replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Writes the configuration of a distro, as the `ConfigMap` has it.
fn prepared(
    dir: &TempDir,
    distro: Distro,
    objects: &[Value],
    replaced: &[(String, String)],
    outside: &Outside,
) -> Result<Option<Prepared>> {
    let file = match distro {
        Distro::K8s => return Ok(None),
        Distro::K3s => "k3s.yaml",
        Distro::K0s => "k0s.yaml",
    };
    let text = objects.iter().find_map(|object| object["data"][file].as_str()).context(file)?;
    let config = dir.path().join(file);
    fs::write(&config, here(text, replaced))?;
    let data_source = Some(outside.data_source.clone()).filter(|source| !source.is_empty());
    Ok(Some(Prepared { distro, config, data: dir.path().join("data"), data_source }))
}

async fn launches(
    dir: &TempDir,
    objects: &[Value],
    replaced: &[(String, String)],
    outside: &Outside,
) -> Result<Vec<Launch>> {
    let mut components = Components::locate_or_build(&Progress::silent()).await?;
    components.add(Component::Kine, &Progress::stderr()).await?;
    let mut programs: BTreeMap<&str, PathBuf> = outside.programs.clone();
    for component in [Component::Etcd, Component::Kine, Component::ApiServer, Component::ControllerManager] {
        programs.insert(component.name(), components.path(component).to_owned());
        // Programs of a distro that has none inside.
        std::os::unix::fs::symlink(components.path(component), dir.path().join("bin").join(component.name()))?;
    }
    let path = env::join_paths(
        [dir.path().join("bin")].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )?;
    let set = objects.iter().find(|object| object["kind"] == "StatefulSet").context("no StatefulSet")?;
    let containers = set["spec"]["template"]["spec"]["initContainers"].as_array().context("no containers")?;
    let mut launches = Vec::new();
    for container in containers {
        let name = container["name"].as_str().unwrap_or_default();
        let Some(program) = programs.get(name) else { continue };
        let words = |field: &str| container[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        // The first word of a command is the program.
        let args = words("command").skip(1).chain(words("args")).map(|arg| OsString::from(here(arg, replaced)));
        launches.push(Launch {
            name: name.to_owned(),
            program: program.clone(),
            args: args.collect(),
            dir: dir.path().join("sockets"),
            env: vec![("PATH".into(), path.clone())],
            log: dir.path().join(format!("{name}.log")),
            pid_file: None,
        });
    }
    ensure!(!launches.is_empty(), "the pod has no known program");
    Ok(launches)
}

//! Playground with a syncer, a running pod, and the three ways to it.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tenet_playground::{Command, Component, Options, Patience, Playground};

use crate::args::Args;
use crate::spot::{CONTAINER, Spot, Way};

const LIMIT: Duration = Duration::from_secs(60);
const POD: &str = "streams";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Playground and servers that are measured.
pub struct Lab {
    /// Clusters.
    pub playground: Playground,
    /// Servers in the order of [`Way::ALL`].
    pub spots: [Spot; 3],
    command: Command,
}

impl Lab {
    /// Starts everything, and waits until the pod runs and its node answers.
    pub async fn start(args: &Args) -> Result<Self> {
        eprintln!("starting two control planes");
        let playground = Playground::start(Options::default()).await?;
        let command = Command::new(&args.syncer).arg("--config").arg(playground.syncer_config());
        playground.start_syncer(&command).await?;
        let spots = spots(&playground).await?;
        fill_log(&playground, args.bytes()).context("the log of the pods")?;
        let lab = Self { playground, spots, command };
        lab.until_it_answers().await?;
        Ok(lab)
    }

    /// Returns the server of this way.
    pub fn spot(&self, way: Way) -> &Spot {
        &self.spots[way as usize]
    }

    /// Starts a new syncer in place of the running one.
    pub async fn restart_syncer(&self) -> Result<()> {
        self.playground.start_syncer(&self.command).await?;
        self.until_it_answers().await
    }

    /// Returns the processes that a stream passes, in the order of [`crate::rounds::PROCESSES`].
    pub fn pids(&self) -> [u32; 4] {
        let of = |plane: &tenet_playground::ControlPlane, component| plane.pid(component).unwrap_or(0);
        [
            self.playground.syncer_pid().unwrap_or(0),
            of(self.playground.virtual_plane(), Component::ApiServer),
            of(self.playground.host_plane(), Component::ApiServer),
            crate::usage::children().into_iter().find(|(_, name)| name == "kwok").map_or(0, |(pid, _)| pid),
        ]
    }

    /// Waits until the new server answers; its first streams are slow and are not measured.
    async fn until_it_answers(&self) -> Result<()> {
        let answers = async || {
            for spot in &self.spots {
                if crate::job::Job::ExecOut.first_byte(spot).await.is_err() {
                    return Ok::<_, anyhow::Error>(false);
                }
            }
            Ok(true)
        };
        match Patience::new(LIMIT).until("answers of the node", answers).await {
            Ok(()) => Ok(()),
            Err(error) => bail!("{error:#}"),
        }
    }
}

async fn spots(playground: &Playground) -> Result<[Spot; 3]> {
    let (virt, host) = (playground.virtual_plane(), playground.host_plane());
    let request = http::Request::post(PODS).header(http::header::CONTENT_TYPE, "application/json");
    let _: Value = virt.client().request(request.body(serde_json::to_vec(&manifest())?)?).await?;
    let inside = running(virt, &format!("{PODS}/{POD}")).await?;
    let uid = inside["metadata"]["uid"].as_str().context("a pod without a UID")?;
    let namespace = playground.namespace();
    let all = host.get(&format!("/api/v1/namespaces/{namespace}/pods")).await?.context("no pods")?;
    let mut names = all["items"].as_array().into_iter().flatten().filter_map(|pod| {
        let is_ours = pod["metadata"]["annotations"].as_object()?.values().any(|value| value == uid);
        is_ours.then(|| pod["metadata"]["name"].as_str()).flatten()
    });
    let outside = names.next_back().context("no host pod of the pod")?;
    let node = virt.get(&format!("/api/v1/nodes/{}", text(&inside, "/spec/nodeName"))).await?.context("no node")?;
    Ok([
        Spot::new(Way::Direct, &config_of(playground.host_kubeconfig()).await?, namespace, outside)?,
        Spot::new(Way::Node, &node_config(playground, &node)?, "default", POD)?,
        Spot::new(Way::Through, &config_of(playground.virtual_kubeconfig()).await?, "default", POD)?,
    ])
}

async fn running(plane: &tenet_playground::ControlPlane, path: &str) -> Result<Value> {
    for _ in 0..LIMIT.as_millis() / 50 {
        match plane.get(path).await? {
            Some(pod) if text(&pod, "/status/phase") == "Running" => return Ok(pod),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    bail!("{path} does not run")
}

async fn config_of(kubeconfig: &std::path::Path) -> Result<Config> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)
}

/// Client certificate of the virtual API server. Like the playground's API server, it accepts any serving certificate.
fn node_config(playground: &Playground, node: &Value) -> Result<Config> {
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let address = addresses.filter(|each| each["type"] == "Hostname").find_map(|each| each["address"].as_str());
    let port = node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
    let (address, port) = address.zip(port).context("a node without a kubelet")?;
    let mut config = Config::new(format!("https://{address}:{port}").parse()?);
    let file = |name: &str| Some(playground.virtual_plane().pki_dir().join(name).to_string_lossy().into_owned());
    config.auth_info.client_certificate = file("kubelet-client.crt");
    config.auth_info.client_key = file("kubelet-client.key");
    config.accept_invalid_certs = true;
    Ok(config)
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn manifest() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD},
        "spec": {"containers": [{"name": CONTAINER, "image": "registry.k8s.io/pause:3.10"}]},
    })
}

/// Writes lines in the format of a container runtime to the file that serves as the log of all pods.
fn fill_log(playground: &Playground, bytes: u64) -> Result<()> {
    let file = OpenOptions::new().append(true).open(playground.dir().join("kwok").join("container.log"))?;
    let mut file = BufWriter::new(file);
    let words = "x".repeat(199);
    for _ in 0..bytes.div_ceil(200) {
        writeln!(file, "2026-01-01T00:00:00.000000000Z stdout F {words}")?;
    }
    Ok(file.flush()?)
}

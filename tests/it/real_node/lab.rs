//! A playground whose host has one node, a real one.

use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::Result;
use serde_json::{Value, json};
use tenet_playground::{Component, Options, Playground, Progress, RealNode, RealNodeError};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::kubectl::Kubectl;
use crate::cluster::{Cluster, phase};
use crate::harness;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static SHARED: OnceCell<Option<Lab>> = OnceCell::const_new();

/// What the tests share. Its processes end with the test process.
pub struct Lab {
    pub playground: Playground,
    pub node: RealNode,
    kubelet: RwLock<()>,
}

/// One cluster, and one protocol of kubectl.
pub struct Side {
    name: &'static str,
    kubeconfig: PathBuf,
    program: PathBuf,
    web_sockets: bool,
}

/// Serves a page on port 80, and counts until somebody makes `/tmp/end`.
const SCRIPT: &str = "mkdir /www; head -c 1000000 /dev/zero | tr '\\0' x > /www/page; httpd -p 80 -h /www; \
     i=0; while [ ! -e /tmp/end ]; do i=$((i+1)); echo line $i; sleep 0.2; done; echo the end";

impl Lab {
    /// None, after saying why, on a machine that cannot have a real node.
    pub async fn shared() -> Result<Option<&'static Self>> {
        let lab = tokio::task::spawn_blocking(|| RUNTIME.block_on(SHARED.get_or_try_init(Self::start))).await??;
        Ok(lab.as_ref())
    }

    async fn start() -> Result<Option<Self>> {
        let options = Options { dir: Some(harness::dir("real-node")), nodes: 0, ..Options::default() };
        let playground = Playground::start(options).await?;
        let node = match RealNode::start(playground.host_plane(), &Progress::stderr()).await {
            Err(RealNodeError::Machine(why)) => {
                // Around the capture of the test's output, so that nobody takes it for a pass.
                let line = format!("skipped: no real node, because {why}\n");
                std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())?;
                return Ok(None);
            }
            other => other?,
        };
        let command = harness::syncer().arg("--config").arg(playground.syncer_config());
        playground.start_syncer(&command).await?;
        let lab = Self { playground, node, kubelet: RwLock::default() };
        for file in [lab.playground.host_kubeconfig(), lab.playground.virtual_kubeconfig()] {
            lab.run_box(&harness::cluster("a side", file).await?).await?;
        }
        Ok(Some(lab))
    }

    /// Both clusters, each with both protocols.
    pub fn sides(&self) -> Vec<Side> {
        let files =
            [("host", self.playground.host_kubeconfig()), ("virtual cluster", self.playground.virtual_kubeconfig())];
        let side = |name, file: &std::path::Path, web_sockets| Side {
            name,
            kubeconfig: file.to_owned(),
            program: self.playground.components().path(Component::Kubectl).to_owned(),
            web_sockets,
        };
        files.into_iter().flat_map(|(name, file)| [true, false].map(|protocol| side(name, file, protocol))).collect()
    }

    /// While this is held, nobody kills the kubelet.
    pub async fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.kubelet.read().await
    }

    /// While this is held, no other test has a stream.
    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.kubelet.write().await
    }

    async fn run_box(&self, cluster: &Cluster) -> Result<()> {
        let container = json!({
            "name": "main",
            "image": RealNode::IMAGE,
            "command": ["sh", "-c", SCRIPT],
        });
        let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [container]});
        cluster.create("/api/v1/namespaces/default/pods", json!({"metadata": {"name": "box"}, "spec": spec})).await?;
        let running = |pod: &Value| phase(pod) == "Running";
        cluster.until("/api/v1/namespaces/default/pods/box", "running", running).await.map(drop)
    }
}

impl Side {
    pub fn kubectl(&self, args: &[&str]) -> Kubectl {
        Kubectl::new(&self.program, &self.kubeconfig, self.web_sockets, args)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {}", self.name, if self.web_sockets { "WebSocket" } else { "SPDY" })
    }
}

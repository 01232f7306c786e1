//! Playground whose host has one node, a real one.

use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{Component, Options, Playground, RealNode};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::kubectl::Kubectl;
use crate::harness;
use crate::operations::scrape;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static SHARED: OnceCell<Option<Lab>> = OnceCell::const_new();

/// State shared by the tests. Its processes end with the test process.
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

/// Script that counts until `/tmp/end` exists.
pub const COUNTS: &str =
    "i=0; while [ ! -e /tmp/end ]; do i=$((i+1)); echo line $i; sleep 0.2; done; echo the end; exit 1";

/// Length of the page that the pod `box` serves on port 80.
pub const PAGE_LENGTH: usize = 1_000_000;

const SERVES: &str = "mkdir /www; head -c 1000000 /dev/zero | tr '\\0' x > /www/page; httpd -p 80 -h /www; ";
const HOST: &str = "host";
const PATIENCE: Duration = Duration::from_secs(60);
static PODS: AtomicUsize = AtomicUsize::new(0);

impl Lab {
    /// Returns the shared playground, or `None` with a printed reason on a machine that cannot run a real node.
    pub async fn shared() -> Result<Option<&'static Self>> {
        let lab = tokio::task::spawn_blocking(|| RUNTIME.block_on(SHARED.get_or_try_init(Self::start))).await??;
        Ok(lab.as_ref())
    }

    async fn start() -> Result<Option<Self>> {
        let syncer_settings = format!("pods: {{ hostsFile: {{ image: \"{}\" }} }}\n", RealNode::IMAGE);
        let options = Options { nodes: 0, syncer_settings, ..harness::in_folder("real-node") };
        let playground = Playground::start(options).await?;
        let Some(node) = harness::real_node(playground.host_plane()).await? else {
            harness::passed(playground).await?;
            return Ok(None);
        };
        let command = harness::configured(&playground);
        playground.start_syncer(&command).await?;
        let lab = Self { playground, node, kubelet: RwLock::default() };
        for side in lab.sides().iter().filter(|side| side.web_sockets) {
            side.run_pod("box", &format!("{SERVES}{COUNTS}"), &[]).await?;
        }
        Ok(Some(lab))
    }

    /// Returns both clusters, each with both protocols.
    pub fn sides(&self) -> Vec<Side> {
        let files =
            [(HOST, self.playground.host_kubeconfig()), ("virtual cluster", self.playground.virtual_kubeconfig())];
        let side = |name, file: &std::path::Path, web_sockets| Side {
            name,
            kubeconfig: file.to_owned(),
            program: self.playground.components().path(Component::Kubectl).to_owned(),
            web_sockets,
        };
        files.into_iter().flat_map(|(name, file)| [true, false].map(|protocol| side(name, file, protocol))).collect()
    }

    /// Waits until the syncer holds no stream.
    pub async fn until_no_streams(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let (_, metrics) = scrape(self.playground.admin_port(), "/metrics").await?;
            let open: Vec<&str> = metrics.lines().filter(|line| line.starts_with("tenet_streams_open{")).collect();
            ensure!(!open.is_empty(), "streams are not counted");
            if open.iter().all(|line| line.ends_with(" 0")) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "streams are left: {open:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Takes a shared lock: while it is held, no test kills the kubelet.
    pub async fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.kubelet.read().await
    }

    /// Takes an exclusive lock: while it is held, no other test has a stream.
    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.kubelet.write().await
    }
}

impl Side {
    pub fn kubectl(&self, args: &[&str]) -> Kubectl {
        Kubectl::new(&self.program, &self.kubeconfig, self.web_sockets, args)
    }

    /// Returns true if streams pass the syncer.
    pub fn is_virtual(&self) -> bool {
        self.name != HOST
    }

    /// Creates a pod for one test; `flags` are fields of the container that are set to true.
    pub async fn fresh_pod(&self, purpose: &str, script: &str, flags: &[&str]) -> Result<String> {
        let name = format!("{purpose}-{}", PODS.fetch_add(1, Ordering::Relaxed));
        self.run_pod(&name, script, flags).await?;
        Ok(name)
    }

    async fn run_pod(&self, name: &str, script: &str, flags: &[&str]) -> Result<()> {
        let mut container = json!({"name": "main", "image": RealNode::IMAGE, "command": ["sh", "-c", script]});
        for flag in flags {
            container[*flag] = json!(true);
        }
        self.start_pod(name, json!({"containers": [container]})).await
    }

    /// Creates a pod with this subdomain, which does nothing.
    pub async fn pod_in_subdomain(&self, purpose: &str, subdomain: &str) -> Result<String> {
        let name = format!("{purpose}-{}", PODS.fetch_add(1, Ordering::Relaxed));
        let container = json!({"name": "main", "image": RealNode::IMAGE, "command": ["sleep", "600"]});
        self.start_pod(&name, json!({"subdomain": subdomain, "containers": [container]})).await?;
        Ok(name)
    }

    async fn start_pod(&self, name: &str, mut spec: Value) -> Result<()> {
        spec["terminationGracePeriodSeconds"] = json!(0);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
        self.kubectl(&["create", "-f", "-"]).stdin(pod.to_string().into_bytes()).succeed().await?;
        let pod = format!("pod/{name}");
        self.kubectl(&["wait", "--for=condition=Ready", &pod, "--timeout=60s"]).succeed().await.map(drop)
    }

    pub async fn delete(&self, pod: &str) -> Result<()> {
        self.kubectl(&["delete", "pod", pod, "--wait=false"]).succeed().await.map(drop)
    }

    pub async fn until_restarted(&self, pod: &str) -> Result<()> {
        self.until_field(
            pod,
            "{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}",
            "1 true",
        )
        .await
    }

    pub async fn until_field(&self, pod: &str, field: &str, wanted: &str) -> Result<()> {
        let output = format!("-o=jsonpath={field}");
        let get = ["get", "pod", pod, &output];
        self.until(wanted, async || Ok(self.kubectl(&get).succeed().await? == wanted)).await
    }

    pub async fn until_exec_works(&self, pod: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let ended = self.kubectl(&["exec", pod, "--", "true"]).run().await?;
            if ended.code == Some(0) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{self}: exec does not work after {PATIENCE:?}: {ended:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn until(&self, what: &str, mut look: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !look().await? {
            ensure!(Instant::now() < end, "{self}: not {what} after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {}", self.name, if self.web_sockets { "WebSocket" } else { "SPDY" })
    }
}

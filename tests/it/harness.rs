//! Shared playground with a running syncer, in which each test uses a namespace of its
//! own; and separate playgrounds for tests that break things.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tenet_install::objects::{Rights, syncer_config};
use tenet_install::values::Values;
use tenet_playground::{Command, ControlPlane, Options, Playground, Progress, RealNode, RealNodeError};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::cluster::Cluster;

/// Runtime of the shared playground. Every test has a runtime of its own, and the playground outlives them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static SHARED: OnceCell<Playground> = OnceCell::const_new();
static NAMESPACES: AtomicUsize = AtomicUsize::new(0);
/// Free bytes that the tests need for their folders. Most of a folder is space that etcd allocates in advance.
const SPACE: u64 = 2 << 30;

/// Returns the command of the syncer under test.
pub fn syncer() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tenet-syncer"))
}

/// Returns the folder of a playground. After a failure its logs are there.
pub fn dir(name: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let disk = rustix::fs::statvfs(all).expect("the folder of the tests");
    let free = disk.f_bavail * disk.f_frsize;
    assert!(free >= SPACE, "{} MiB are free in {}, and the tests need {}", free >> 20, all.display(), SPACE >> 20);
    all.join(name)
}

async fn start() -> Result<Playground> {
    let playground = Playground::start(in_folder("shared")).await?;
    playground.start_syncer(&configured(&playground)).await?;
    until_asked(&cluster("virtual", playground.virtual_kubeconfig()).await?).await?;
    Ok(playground)
}

/// Waits until the virtual API server calls the syncer's webhook.
pub async fn until_asked(virt: &Cluster) -> Result<()> {
    let refused =
        json!({"metadata": {"name": "asked"}, "spec": {"ports": [{"port": 80}], "externalIPs": ["192.0.2.1"]}});
    for _ in 0..600 {
        let tried = virt.create("/api/v1/namespaces/default/services?dryRun=All", refused.clone()).await;
        if tried.is_err_and(|error| format!("{error:#}").contains("denied the request")) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("the virtual API server does not ask the syncer about Services")
}

/// Both clusters of a playground.
pub struct Harness {
    pub playground: &'static Playground,
    pub host: Cluster,
    pub virt: Cluster,
}

impl Harness {
    /// Returns the shared playground. Its processes end with the test process.
    pub async fn shared() -> Result<Self> {
        let playground = tokio::task::spawn_blocking(|| RUNTIME.block_on(SHARED.get_or_try_init(start))).await??;
        Ok(Self {
            playground,
            host: cluster("host", playground.host_kubeconfig()).await?,
            virt: cluster("virtual", playground.virtual_kubeconfig()).await?,
        })
    }

    /// Creates a virtual namespace and waits for its default ServiceAccount.
    pub async fn namespace(&self) -> Result<String> {
        let name = format!("t-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
        new_namespace(&self.virt, &name).await?;
        Ok(name)
    }

    /// Returns the path of a collection in the host namespace.
    pub fn on_host(&self, rest: &str) -> String {
        on_host(self.playground, rest)
    }
}

/// A playground that one test has for itself, with both clusters.
pub struct Separate {
    pub playground: Playground,
    pub host: Cluster,
    pub virt: Cluster,
}

impl Separate {
    /// Starts a playground without a syncer.
    pub async fn new(options: Options) -> Result<Self> {
        let playground = Playground::start(options).await?;
        Ok(Self {
            host: cluster("host", playground.host_kubeconfig()).await?,
            virt: cluster("virtual", playground.virtual_kubeconfig()).await?,
            playground,
        })
    }

    /// Starts a playground with its syncer.
    pub async fn start(options: Options) -> Result<Self> {
        let separate = Self::new(options).await?;
        separate.playground.start_syncer(&configured(&separate.playground)).await?;
        Ok(separate)
    }

    /// Returns the path of a collection in the host namespace.
    pub fn on_host(&self, rest: &str) -> String {
        on_host(&self.playground, rest)
    }
}

/// Ends the playground of a test that passes, and removes its folder. That of a test that fails stays.
pub async fn passed(playground: Playground) -> Result<()> {
    let dir = playground.dir().to_owned();
    playground.shutdown().await;
    std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())
}

/// Returns the options of a playground in a folder of this name.
pub fn in_folder(name: &str) -> Options {
    Options { dir: Some(dir(name)), ..Options::default() }
}

/// Returns the command of the syncer under test with the configuration of a playground.
pub fn configured(playground: &Playground) -> Command {
    syncer().arg("--config").arg(playground.syncer_config())
}

fn on_host(playground: &Playground, rest: &str) -> String {
    format!("/api/v1/namespaces/{}/{rest}", playground.namespace())
}

/// Creates a namespace and waits until pods are admitted in it.
pub async fn new_namespace(virt: &Cluster, name: &str) -> Result<()> {
    virt.create("/api/v1/namespaces", json!({"metadata": {"name": name}})).await?;
    let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
    virt.until(&account, "there", Value::is_object).await?;
    let root = format!("/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt");
    virt.until(&root, "there", Value::is_object).await.map(drop)
}

/// Returns a pod with one container, a short grace period and further fields in its spec.
pub fn pod(name: &str, spec: &Value) -> Value {
    let mut pod = json!({"metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "i"}], "terminationGracePeriodSeconds": 1}});
    for (field, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

/// Waits for an event about the object of this name whose message contains `words`, and returns it.
pub async fn until_told(virt: &Cluster, namespace: &str, reason: &str, name: &str, words: &str) -> Result<Value> {
    let is_meant = |event: &Value| {
        event["reason"] == reason
            && event["involvedObject"]["name"] == name
            && event["message"].as_str().is_some_and(|message| message.contains(words))
    };
    let (path, what) = (format!("/api/v1/namespaces/{namespace}/events"), format!("{reason} of {name}: {words}"));
    let events = virt.until_list(&path, &what, |events| events.iter().any(is_meant)).await?;
    events.into_iter().find(is_meant).context(what)
}

/// Returns the rights that the syncer of an installation declares.
pub fn rights(name: &str, namespace: &str, values: &Values) -> Result<Rights> {
    Ok(Rights::read(&tenet::syncer::rights_of(&syncer_config(name, namespace, values))?)?)
}

/// Prints that a test is skipped, and returns `None`.
pub fn skipped<T>(why: &str) -> Result<Option<T>> {
    // Bypass the capture of the test's output, so that a skip is visible.
    std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes())?;
    Ok(None)
}

/// Starts a real node, or returns `None` with a printed reason on a machine that cannot run one.
pub async fn real_node(plane: &ControlPlane) -> Result<Option<RealNode>> {
    match RealNode::start(plane, &Progress::stderr()).await {
        Err(RealNodeError::Machine(why)) => skipped(&format!("no real node, because {why}")),
        node => Ok(Some(node?)),
    }
}

/// Creates a client from a kubeconfig on the runtime of the caller.
pub async fn client(file: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(file).with_context(|| file.display().to_string())?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Creates a cluster from a kubeconfig.
pub async fn cluster(name: &'static str, file: &Path) -> Result<Cluster> {
    Ok(Cluster::new(name, client(file).await?))
}

//! The clusters under test: a host with real nodes, and a virtual cluster on it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tenet_playground::{
    ClusterNetwork, Command, Components, Died, Image, Options, Patience, Playground, Progress, RealNode, Registry,
    TimedOut,
};

use crate::{Args, Level, images};

/// Running clusters. Dropping the value ends everything.
pub struct Cluster {
    // Fields are dropped in this order.
    nodes: Vec<RealNode>,
    registry: Option<Registry>,
    playground: Playground,
    network: ClusterNetwork,
}

/// Classes that the tests of preemption create with these values. On the host they are the operator's to create.
const PRIORITY_CLASSES: [(&str, i32); 7] = [
    ("sched-preemption-low-priority", 1),
    ("sched-preemption-medium-priority", 100),
    ("sched-preemption-high-priority", 1000),
    ("p1", 1),
    ("p2", 2),
    ("p3", 3),
    ("p4", 4),
];

/// Class that every cluster has and that a test of preemption uses.
const CRITICAL: &str = "system-cluster-critical";
/// Resources that the tests of preemption add to the Nodes inside. On the host they are the operator's to add.
const RESOURCES: [(&str, &str); 2] = [("scheduling.k8s.io/foo", "5"), ("example.com/fakecpu", "1000")];

/// Class of the host for the pods with a `RuntimeClass` of their own, and the handler that those name in the tests.
const RUNTIME_CLASS: &str = "runc";
const RUNTIME_HANDLER: &str = "test-handler";

const DNS: &str = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
const DNS_PATIENCE: Duration = Duration::from_secs(120);

impl Cluster {
    /// Starts both control planes and the nodes, and no syncer.
    pub async fn start(dir: &Path, args: &Args, progress: &Progress) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let network = ClusterNetwork::create()?;
        let options = Options {
            dir: Some(dir.to_owned()),
            nodes: 0,
            node_access: true,
            taint_eviction: true,
            // Webhooks and aggregated API servers are pods: this machine reaches those, and no Service.
            host_flags: vec!["--enable-aggregator-routing=true".to_owned()],
            virtual_flags: vec![
                "--enable-aggregator-routing=true".to_owned(),
                // The default is the address that the API server advertises, which is loopback here.
                "--service-account-jwks-uri=https://kubernetes.default.svc/openid/v1/jwks".to_owned(),
            ],
            syncer_settings: settings(args.level),
            progress: progress.clone(),
            ..Options::default()
        };
        let playground = Playground::start(options).await?;
        playground.offer_virtual_api(&network).await?;
        let mut cluster = Self { nodes: Vec::new(), registry: None, playground, network };
        for number in 1..=args.nodes {
            let name = format!("node-{number}");
            progress.step(&format!("starting {name}"));
            let host = cluster.playground.host_plane();
            let node = RealNode::start_in(&cluster.network, &name, host, progress).await?;
            cluster.nodes.push(node);
        }
        cluster.create_classes().await?;
        cluster.add_resources().await?;
        Ok(cluster)
    }

    /// Makes the images, and adds them to each node and to a registry, for pods that always pull.
    pub async fn add_images(&mut self, names: &[String], components: &Components, progress: &Progress) -> Result<()> {
        progress.step("making the images");
        let archive = self.playground.dir().join("images.tar");
        let (images, missing) = images::make(names, components)?;
        Image::write_all(&images, &archive).with_context(|| archive.display().to_string())?;
        let registry = Registry::start(&images).await?;
        self.network.offer(registry.port()).await?;
        let address = format!("{}:{}", self.network.machine(), registry.port());
        self.registry = Some(registry);
        let missing: Vec<&str> = missing.iter().map(|name| images::base_name(name)).collect();
        progress.note(&format!("images without a stand-in: {}", missing.join(", ")));
        for node in &self.nodes {
            progress.step("adding the images to a node");
            node.import(&archive)?;
            node.pull_from(&address)?;
        }
        Ok(fs::remove_file(&archive)?)
    }

    /// Starts the syncer, and waits until its DNS server answers.
    pub async fn start_syncer(&self, program: &Path, progress: &Progress) -> Result<()> {
        ensure!(program.is_file(), "there is no {}", program.display());
        progress.step("starting the syncer");
        let command = Command::new(program).arg("--config").arg(self.playground.syncer_config());
        self.playground.start_syncer(&command).await?;
        let is_ready = |deployment: &Value| deployment["status"]["readyReplicas"].as_u64() > Some(0);
        progress.step("waiting for the DNS server inside");
        Patience::new(DNS_PATIENCE)
            .until("CoreDNS in the virtual cluster", async || {
                let deployment = self.playground.virtual_plane().get(DNS).await?;
                Ok::<_, Wait>(deployment.is_some_and(|deployment| is_ready(&deployment)))
            })
            .await?;
        Ok(())
    }

    /// Returns the kubeconfig of the cluster under test.
    pub fn kubeconfig(&self, on_host: bool) -> PathBuf {
        let playground = &self.playground;
        if on_host { playground.host_kubeconfig() } else { playground.virtual_kubeconfig() }.to_owned()
    }

    /// Returns a process that ended without being asked to.
    pub fn died(&self) -> Option<Died> {
        self.playground.died().or_else(|| self.nodes.iter().find_map(RealNode::died))
    }

    /// Ends everything in order.
    pub async fn shutdown(self) {
        drop((self.nodes, self.registry));
        self.playground.shutdown().await;
        drop(self.network);
    }

    async fn create_classes(&self) -> Result<()> {
        for (name, value) in PRIORITY_CLASSES {
            let kind = GroupVersionKind::gvk("scheduling.k8s.io", "v1", "PriorityClass");
            self.create_class(&kind, name, json!({ "value": value })).await?;
        }
        let kind = GroupVersionKind::gvk("node.k8s.io", "v1", "RuntimeClass");
        self.create_class(&kind, RUNTIME_CLASS, json!({ "handler": "runc" })).await
    }

    async fn add_resources(&self) -> Result<()> {
        let nodes = kube::Api::<Node>::all(self.playground.host_plane().client());
        let capacity = BTreeMap::from(RESOURCES);
        let patch = Patch::Merge(json!({ "status": { "capacity": capacity } }));
        for node in nodes.list(&ListParams::default()).await? {
            let name = node.name_any();
            nodes.patch_status(&name, &PatchParams::default(), &patch).await.with_context(|| name.clone())?;
        }
        Ok(())
    }

    async fn create_class(&self, kind: &GroupVersionKind, name: &str, data: Value) -> Result<()> {
        let resource = ApiResource::from_gvk(kind);
        let classes = kube::Api::<DynamicObject>::all_with(self.playground.host_plane().client(), &resource);
        let class = DynamicObject { data, ..DynamicObject::new(name, &resource) };
        classes.create(&PostParams::default(), &class).await.with_context(|| name.to_owned())?;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum Wait {
    #[error(transparent)]
    Api(#[from] tenet_playground::ApiError),
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}

/// Configuration of the syncer: the level, and what the tests need of the host.
fn settings(level: Level) -> String {
    let classes: Vec<&str> = PRIORITY_CLASSES.iter().map(|(name, _)| *name).chain([CRITICAL]).collect();
    format!(
        "pods:
  level: {}
  priorityClasses: [{}]
  runtimeHandlers: {{ {RUNTIME_HANDLER}: {RUNTIME_CLASS} }}
  hostsFile: {{ image: \"{}\" }}
nodes:
  always: {{ labels: {{ kubernetes.io/os: linux }} }}
  tenantScheduling: true
coredns: {{ enabled: true }}
",
        level.name(),
        classes.join(", "),
        RealNode::IMAGE,
    )
}

//! Node that runs containers with containerd and a kubelet, for tests that kwok cannot cover.
//!
//! It needs root and a few programs, and reports what is missing. It has its own process and mount namespaces, with
//! its own folders for `/run` and `/var/log`: when its first process is killed, the kernel ends every container and
//! removes every mount and network namespace, however this program ended. A script, which the guard also runs, undoes
//! the rest (a bridge, cgroups, the kernel settings that a kubelet changes).
//!
//! A node in a [`ClusterNetwork`] also has a network namespace of its own, and kube-proxy.

mod archive;
mod cluster_network;
mod error;
mod files;
mod image;
mod machine;
mod network;
mod registry;

pub use archive::{Image, Layer, LayerFiles};
pub use cluster_network::ClusterNetwork;
pub use error::RealNodeError;
pub use machine::program;
pub use registry::Registry;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tenet_install::pki::Purpose;

use crate::{
    component::Component,
    components::Components,
    guard,
    plane::{ControlPlane, PlaneError},
    port,
    process::{Died, Launch, Process},
    progress::Progress,
    wait::Patience,
};
use network::NodeNetwork;

/// Running node. Dropping it removes everything from the machine, but not its Node object.
#[derive(Debug)]
pub struct RealNode {
    // Fields are dropped in this order.
    kubelet: Mutex<Option<Process>>,
    proxy: Option<Process>,
    containers: Process,
    name: String,
    network: NodeNetwork,
    _undo: Undo,
    components: Components,
    dir: TempDir,
}

/// Cleanup script for everything that does not end with the processes. Dropping the value runs it.
#[derive(Debug)]
struct Undo(std::path::PathBuf);

const PATIENCE: Duration = Duration::from_secs(60);

impl RealNode {
    /// Name of a single node in the cluster.
    pub const NAME: &str = "real-node";

    /// Only image on the node, besides the pause image: busybox, with a shell and its tools.
    pub const IMAGE: &str = image::BUSYBOX;

    /// Starts a node in the cluster of `host`, and waits until it accepts pods.
    ///
    /// The kubelet is built when it is missing, which takes a minute or two.
    pub async fn start(host: &ControlPlane, progress: &Progress) -> Result<Self, RealNodeError> {
        let components = components(host, &[Component::Kubelet], progress).await?;
        Self::start_as(Self::NAME, host, components, NodeNetwork::on_this_machine).await
    }

    /// Starts a node with a network namespace of its own in the cluster of `host`. Services are reachable on it and in
    /// its pods.
    pub async fn start_in(
        network: &ClusterNetwork,
        name: &str,
        host: &ControlPlane,
        progress: &Progress,
    ) -> Result<Self, RealNodeError> {
        let components = components(host, &[Component::Kubelet, Component::KubeProxy], progress).await?;
        network.offer(host.port()).await.map_err(PlaneError::Port)?;
        Self::start_as(name, host, components, |dir| network.attach(dir)).await
    }

    async fn start_as(
        name: &str,
        host: &ControlPlane,
        components: Components,
        network: impl FnOnce(&Path) -> Result<NodeNetwork, RealNodeError>,
    ) -> Result<Self, RealNodeError> {
        let programs = machine::check()?;
        let dir = TempDir::with_prefix("tenet-node-").map_err(RealNodeError::Temporary)?;
        // Write the script first, so that nothing is created that cannot be undone.
        files::write(&dir.path().join(guard::UNDO), &machine::undo_script(dir.path()))?;
        let undo = Undo(dir.path().join(guard::UNDO));
        guard::remove_at_end(dir.path()).map_err(RealNodeError::Temporary)?;
        let network = network(dir.path())?;
        machine::raise_limits();
        machine::create_cgroup(&network.name)?;
        image::write(&programs.busybox, dir.path())?;
        prepare(host, name, &network, dir.path())?;
        let containers = Process::spawn(&containers(&network, dir.path()))?;
        until_images_are_there(&containers, dir.path()).await?;
        let (name, kubelet) = (name.to_owned(), Mutex::default());
        let mut node = Self { kubelet, proxy: None, containers, name, network, _undo: undo, components, dir };
        node.start_kubelet()?;
        node.until_ready(host).await?;
        // Before the node has its addresses, kube-proxy takes their appearance for a change, and ends.
        node.start_proxy()?;
        Ok(node)
    }

    /// Starts the kubelet again after [`RealNode::kill_kubelet`].
    pub fn start_kubelet(&self) -> Result<(), RealNodeError> {
        let process = Process::spawn(&self.kubelet_launch())?;
        *self.kubelet.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Kills the kubelet (SIGKILL). The containers keep running.
    pub fn kill_kubelet(&self) {
        drop(self.kubelet.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Adds the images of an archive to the node.
    pub fn import(&self, archive: &Path) -> Result<(), RealNodeError> {
        let mount = format!("--mount=/proc/{}/ns/mnt", self.containers.pid());
        let args = [mount.as_ref(), OsStr::new("ctr"), OsStr::new("-n"), OsStr::new("k8s.io"), OsStr::new("images")];
        let import = args.into_iter().chain([OsStr::new("import"), archive.as_os_str()]);
        machine::run("nsenter", import)
            .map_err(|why| RealNodeError::Machine(format!("cannot import {}: {}", archive.display(), why.trim())))
    }

    /// Lets the node pull images from a registry at `address` before it asks those that the images name.
    pub fn pull_from(&self, address: &str) -> Result<(), RealNodeError> {
        let dir = self.dir.path().join(files::REGISTRIES).join("_default");
        files::create_folder(&dir)?;
        let mirror = format!("[host.\"http://{address}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
        files::write(&dir.join("hosts.toml"), &mirror)
    }

    /// Returns the address of the node, at which its pods reach this machine.
    pub fn address(&self) -> String {
        fs::read_to_string(self.dir.path().join(network::ADDRESS)).unwrap_or_default()
    }

    /// Returns the folder of the logs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts kube-proxy if the node has a network namespace of its own.
    fn start_proxy(&mut self) -> Result<(), RealNodeError> {
        if self.network.own.is_some() {
            let config = format!("--config={}", self.dir.path().join(files::PROXY_CONFIG).display());
            let program = self.components.path(Component::KubeProxy).display().to_string();
            self.proxy = Some(Process::spawn(&self.inside("kube-proxy", vec![program, config]))?);
        }
        Ok(())
    }

    /// Returns a process of the node that ended without being asked to.
    pub fn died(&self) -> Option<Died> {
        let kubelet = self.kubelet.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Process::died);
        kubelet.or_else(|| self.proxy.as_ref().and_then(Process::died)).or_else(|| self.containers.died())
    }

    async fn until_ready(&self, host: &ControlPlane) -> Result<(), RealNodeError> {
        let path = format!("/api/v1/nodes/{}", self.name);
        Patience::new(PATIENCE)
            .until("the real node", async || {
                self.died().map_or(Ok(()), Err)?;
                let node = host.get(&path).await.map_err(PlaneError::from)?;
                Ok::<_, RealNodeError>(node.is_some_and(|node| crate::host::takes_pods(&node)))
            })
            .await
    }

    fn kubelet_launch(&self) -> Launch {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let command = vec![
            self.components.path(Component::Kubelet).display().to_string(),
            format!("--config={}", file(files::KUBELET_CONFIG)),
            format!("--kubeconfig={}", file(files::KUBECONFIG)),
            format!("--root-dir={}", file("kubelet")),
            format!("--hostname-override={}", self.name),
            format!("--node-ip={}", self.address()),
        ];
        self.inside("kubelet", command)
    }

    /// Describes a process that runs inside the namespaces of the container runtime.
    fn inside(&self, name: &str, command: Vec<String>) -> Launch {
        let namespaces = format!("/proc/{}/ns", self.containers.pid());
        let mut args = vec![format!("--mount={namespaces}/mnt"), format!("--pid={namespaces}/pid_for_children")];
        args.extend(self.network.own.as_ref().map(|own| format!("--net={}", own.path.display())));
        args.extend(command);
        launch(name, "nsenter", args.into_iter().map(OsString::from).collect(), self.dir.path())
    }
}

impl Drop for RealNode {
    fn drop(&mut self) {
        self.kill_kubelet();
        self.containers.kill();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = machine::run("sh", [self.0.as_os_str()]);
    }
}

/// Returns the components of the host, and further ones.
async fn components(
    host: &ControlPlane,
    further: &[Component],
    progress: &Progress,
) -> Result<Components, RealNodeError> {
    machine::check()?;
    let mut components = host.components().clone();
    for component in further {
        components.add(*component, progress).await?;
    }
    Ok(components)
}

fn prepare(host: &ControlPlane, node: &str, network: &NodeNetwork, dir: &Path) -> Result<(), RealNodeError> {
    let port = port::free().map_err(PlaneError::Port)?;
    let (user, group) = (format!("system:node:{node}"), Some("system:nodes"));
    match &network.own {
        None => host.write_kubeconfig(&dir.join(files::KUBECONFIG), &user, group)?,
        Some(own) => {
            let proxy = "system:kube-proxy";
            host.write_kubeconfig_via(&dir.join(files::KUBECONFIG), &own.machine, &user, group)?;
            host.write_kubeconfig_via(&dir.join(files::PROXY_KUBECONFIG), &own.machine, proxy, None)?;
        }
    }
    let serving = host.pki().issue(node, &Purpose::Server(vec![network.address.clone()]));
    let serving = serving.map_err(PlaneError::from)?;
    files::write(&dir.join("kubelet.crt"), &serving.certificate)?;
    files::write(&dir.join("kubelet.key"), &serving.key)?;
    files::write_all(dir, node, network, port, &host.pki().file("ca.crt"))
}

/// Describes the first process of the namespaces. It is a shell, because process 1 has to reap orphans.
fn containers(network: &NodeNetwork, dir: &Path) -> Launch {
    let mut args: Vec<OsString> =
        ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"].map(OsString::from).to_vec();
    args.extend([dir.join(files::START).into(), dir.into()]);
    match &network.own {
        None => launch("containerd", "unshare", args, dir),
        Some(own) => {
            let enter = [format!("--net={}", own.path.display()).into(), "unshare".into()];
            launch("containerd", "nsenter", enter.into_iter().chain(args).collect(), dir)
        }
    }
}

fn launch(name: &str, program: &str, args: Vec<OsString>, dir: &Path) -> Launch {
    Launch {
        name: name.to_owned(),
        program: machine::find(program).unwrap_or_else(|| program.into()),
        args,
        dir: dir.to_owned(),
        env: vec![("PATH".into(), machine::path())],
        log: dir.join(format!("{name}.log")),
        pid_file: None,
    }
}

async fn until_images_are_there(containers: &Process, dir: &Path) -> Result<(), RealNodeError> {
    let ready = dir.join(files::READY);
    Patience::new(PATIENCE)
        .until("the container runtime", async || {
            containers.died().map_or(Ok(()), Err)?;
            Ok::<_, RealNodeError>(ready.exists())
        })
        .await
}

//! Node that runs containers with containerd and a kubelet, for tests that kwok cannot cover.
//!
//! It needs root and a few programs, and reports what is missing. It has its own process and mount namespaces, with
//! its own folders for `/run` and `/var/log`: when its first process is killed, the kernel ends every container and
//! removes every mount and network namespace, however this program ended. A script, which the guard also runs, undoes
//! the rest (a bridge, cgroups, the kernel settings that a kubelet changes).

mod error;
mod files;
mod image;
mod machine;
mod network;

pub use error::RealNodeError;
pub use image::ProgramImage;

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
    process::{Launch, Process},
    progress::Progress,
    wait::Patience,
};
use network::Bridge;

/// Running node. Dropping it removes everything from the machine, but not its Node object.
#[derive(Debug)]
pub struct RealNode {
    // Fields are dropped in this order.
    kubelet: Mutex<Option<Process>>,
    containers: Process,
    _undo: Undo,
    components: Components,
    dir: TempDir,
}

/// Cleanup script for everything that does not end with the processes. Dropping the value runs it.
#[derive(Debug)]
struct Undo(std::path::PathBuf);

const PATIENCE: Duration = Duration::from_secs(60);

impl RealNode {
    /// Name of the node in the cluster.
    pub const NAME: &str = "real-node";

    /// Only image on the node, besides the pause image: busybox, with a shell and its tools.
    pub const IMAGE: &str = image::BUSYBOX;

    /// Starts a node in the cluster of `host`, and waits until it accepts pods.
    ///
    /// The kubelet is built when it is missing, which takes a minute or two.
    pub async fn start(host: &ControlPlane, progress: &Progress) -> Result<Self, RealNodeError> {
        let programs = machine::check()?;
        let mut components = host.components().clone();
        components.add(Component::Kubelet, progress).await?;
        let dir = TempDir::with_prefix("tenet-node-").map_err(RealNodeError::Temporary)?;
        // Write the script first, so that nothing is created that cannot be undone.
        files::write(&dir.path().join(guard::UNDO), &machine::undo_script(dir.path()))?;
        let undo = Undo(dir.path().join(guard::UNDO));
        guard::remove_at_end(dir.path()).map_err(RealNodeError::Temporary)?;
        let bridge = Bridge::create(dir.path())?;
        machine::create_cgroup(&bridge.name)?;
        image::write(&programs.busybox, dir.path())?;
        prepare(host, &bridge, dir.path())?;
        let containers = Process::spawn(&containers(dir.path()))?;
        until_images_are_there(&containers, dir.path()).await?;
        let node = Self { kubelet: Mutex::default(), containers, _undo: undo, components, dir };
        node.start_kubelet()?;
        node.until_ready(host).await?;
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

    /// Adds an image to the node.
    pub fn add_image(&self, image: &ProgramImage) -> Result<(), RealNodeError> {
        let path = self.dir.path().join("image.tar");
        image.write(&path).map_err(|source| RealNodeError::File { path: path.clone(), source })?;
        let mount = format!("--mount=/proc/{}/ns/mnt", self.containers.pid());
        let args = [mount.as_ref(), OsStr::new("ctr"), OsStr::new("-n"), OsStr::new("k8s.io"), OsStr::new("images")];
        let import = args.into_iter().chain([OsStr::new("import"), path.as_os_str()]);
        machine::run("nsenter", import)
            .map_err(|why| RealNodeError::Machine(format!("cannot import the image {}: {}", image.name, why.trim())))
    }

    /// Returns the address of the node, at which its pods reach this machine.
    pub fn address(&self) -> String {
        fs::read_to_string(self.dir.path().join(network::ADDRESS)).unwrap_or_default()
    }

    /// Returns the folder of the logs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    async fn until_ready(&self, host: &ControlPlane) -> Result<(), RealNodeError> {
        let path = format!("/api/v1/nodes/{}", Self::NAME);
        Patience::new(PATIENCE)
            .until("the real node", async || {
                let died = |process: &Process| process.died();
                let kubelet = self.kubelet.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(died);
                if let Some(died) = kubelet.or_else(|| self.containers.died()) {
                    return Err(died.into());
                }
                let node = host.get(&path).await.map_err(PlaneError::from)?;
                Ok::<_, RealNodeError>(node.is_some_and(|node| crate::host::takes_pods(&node)))
            })
            .await
    }

    /// Describes the kubelet process, which runs inside the namespaces of the container runtime.
    fn kubelet_launch(&self) -> Launch {
        let namespaces = format!("/proc/{}/ns", self.containers.pid());
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let args = [
            format!("--mount={namespaces}/mnt"),
            format!("--pid={namespaces}/pid_for_children"),
            self.components.path(Component::Kubelet).display().to_string(),
            format!("--config={}", file(files::KUBELET_CONFIG)),
            format!("--kubeconfig={}", file(files::KUBECONFIG)),
            format!("--root-dir={}", file("kubelet")),
            format!("--hostname-override={}", Self::NAME),
            format!("--node-ip={}", self.address()),
        ];
        launch("kubelet", "nsenter", args.into_iter().map(OsString::from).collect(), self.dir.path())
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

fn prepare(host: &ControlPlane, bridge: &Bridge, dir: &Path) -> Result<(), RealNodeError> {
    let port = port::free().map_err(PlaneError::Port)?;
    host.write_kubeconfig(
        &dir.join(files::KUBECONFIG),
        &format!("system:node:{}", RealNode::NAME),
        Some("system:nodes"),
    )?;
    let serving = host.pki().issue(RealNode::NAME, &Purpose::Server(vec![bridge.address.clone()]));
    let serving = serving.map_err(PlaneError::from)?;
    files::write(&dir.join("kubelet.crt"), &serving.certificate)?;
    files::write(&dir.join("kubelet.key"), &serving.key)?;
    files::write_all(dir, bridge, port, &host.pki().file("ca.crt"))
}

/// Describes the first process of the namespaces. It is a shell, because process 1 has to reap orphans.
fn containers(dir: &Path) -> Launch {
    let mut args: Vec<OsString> =
        ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"].map(OsString::from).to_vec();
    args.extend([dir.join(files::START).into(), dir.into()]);
    launch("containerd", "unshare", args, dir)
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

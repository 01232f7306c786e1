//! Host cluster whose nodes run containers, as an installation meets it: two nodes with networks of their own,
//! kube-proxy, CoreDNS, volumes, and a metrics server.

mod distros;
mod dns;
mod images;
mod volumes;

use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;

use crate::{
    api,
    component::Component,
    components::Components,
    folder::Folder,
    metrics,
    plane::{ControlPlane, MASTERS, PlaneError, PlaneOptions, Role},
    process::{Died, Process},
    progress::Progress,
    real_node::{ClusterNetwork, RealNode, RealNodeError},
};

pub use distros::DistroProgram;

/// Settings of a real host.
#[derive(Clone, Debug)]
pub struct RealHostOptions {
    /// Folder for the files, which is emptied first. Without one, a temporary folder.
    pub dir: Option<PathBuf>,
    /// Number of nodes, up to 8.
    pub nodes: usize,
    /// Program of the syncer, and the words that it starts with, for the image of an installation.
    pub syncer: (PathBuf, Vec<String>),
    /// Programs for images of k3s and k0s, which are not among the components.
    pub distros: Vec<DistroProgram>,
    /// Progress of the start.
    pub progress: Progress,
}

/// Running host. Dropping it removes everything from the machine.
#[derive(Debug)]
pub struct RealHost {
    // Fields are dropped in this order.
    _metrics: Option<Process>,
    volumes: JoinHandle<()>,
    nodes: Vec<RealNode>,
    _network: ClusterNetwork,
    plane: ControlPlane,
    components: Components,
    kubeconfig: PathBuf,
    values: PathBuf,
    folder: Folder,
}

impl RealHost {
    /// Starts a host, and returns when its nodes accept pods. Programs that are missing are built.
    ///
    /// # Errors
    ///
    /// [`RealNodeError::Machine`] names what the machine lacks, if it cannot run nodes.
    pub async fn start(options: RealHostOptions) -> Result<Self, RealNodeError> {
        let network = ClusterNetwork::create()?;
        let folder = Folder::claim_or_create(options.dir.as_deref())?;
        let progress = &options.progress;
        let mut components = Components::locate_or_build(progress).await?;
        for component in [Component::Kine, Component::CoreDns] {
            components.add(component, progress).await?;
        }
        let has_metrics = components.add_if_possible(Component::MetricsServer, progress).await;
        progress.step("starting the control plane of the host");
        let plane = ControlPlane::start(&components, plane_options(&folder, &network)).await?;
        plane.until_pods_are_admitted("default").await?;
        let archive = folder.path().join("images.tar");
        images::write(&components, &options.syncer, &options.distros, &archive)
            .map_err(|source| RealNodeError::File { path: archive.clone(), source })?;
        let mut nodes = Vec::new();
        for number in 1..=options.nodes {
            progress.step(&format!("starting node {number} of {}", options.nodes));
            let node = RealNode::start_in(&network, &format!("node-{number}"), &plane, progress).await?;
            node.import(&archive)?;
            nodes.push(node);
        }
        for (path, object) in dns::objects() {
            api::apply(&plane.client(), &path, &object).await.map_err(PlaneError::from)?;
        }
        let volumes = volumes::offer(plane.client(), folder.path())?;
        let metrics = if has_metrics { Some(metrics::start(&components, &plane, &folder).await?) } else { None };
        let (kubeconfig, values) = (folder.path().join("kubeconfig"), folder.path().join("value.yaml"));
        plane.write_kubeconfig(&kubeconfig, "admin", Some(MASTERS))?;
        std::fs::write(&values, images::values(&options.distros))
            .map_err(|source| RealNodeError::File { path: values.clone(), source })?;
        progress.clear();
        Ok(Self { _metrics: metrics, volumes, nodes, _network: network, plane, components, kubeconfig, values, folder })
    }

    /// Returns the control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &[RealNode] {
        &self.nodes
    }

    /// Returns the programs of the host.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// Returns the kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns the values of an installation that name the images on the nodes, for `tenet create -f`.
    pub fn values(&self) -> &Path {
        &self.values
    }

    /// Returns the folder.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Returns when a process of the host has ended without being asked to.
    pub async fn until_died(&self) -> Died {
        loop {
            let of_nodes = self.nodes.iter().find_map(RealNode::died);
            if let Some(died) = of_nodes.or_else(|| self.plane.died()) {
                return died;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    }
}

impl Drop for RealHost {
    fn drop(&mut self) {
        self.volumes.abort();
    }
}

/// The API server listens on loopback. Nodes and pods find it through a relay, to which the `kubernetes` Service leads.
fn plane_options(folder: &Folder, network: &ClusterNetwork) -> PlaneOptions {
    PlaneOptions {
        pids: folder.pids(),
        api_server_flags: vec![
            format!("--advertise-address={}", network.machine()),
            "--endpoint-reconciler-type=lease".to_owned(),
        ],
        ..PlaneOptions::new("host", Role::Host, folder.path())
    }
}

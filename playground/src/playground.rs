//! Host cluster and virtual cluster, side by side.

mod error;
mod options;

pub use error::PlaygroundError;
pub use options::Options;

use std::{
    env,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    component::Component,
    components::Components,
    folder::Folder,
    grants::{self, GrantError},
    host::{self, SYNCER_USER, Tenancy, VIRTUAL_API_ADDRESS},
    kwok::{self, Kwok},
    metrics, pki,
    plane::{ControlPlane, MASTERS, PlaneError, PlaneOptions, Role},
    port::{self, Reserved},
    process::{Died, Process},
    real_node::ClusterNetwork,
    syncer::{self, Command, Settings, SyncerError},
    wait::Patience,
};

/// Running playground. Dropping it kills its processes.
#[derive(Debug)]
pub struct Playground {
    // Fields are dropped in this order.
    syncer: Mutex<Option<Process>>,
    // No other part depends on the metrics server, so its end is not reported as a death.
    metrics: Option<Process>,
    kwok: Kwok,
    virtual_plane: ControlPlane,
    host_plane: ControlPlane,
    components: Components,
    files: Files,
    name: String,
    namespace: String,
    admin_port: u16,
    kubelet_port: u16,
    webhook_port: u16,
    usage_port: u16,
    node_access: bool,
    rights: Rights,
    folder: Folder,
}

/// The rights that the syncer has on the host.
#[derive(Debug, Default)]
struct Rights {
    /// Rights that a syncer has declared last.
    declared: tokio::sync::Mutex<String>,
    /// Set when a test has granted other rights.
    are_given: AtomicBool,
}

/// Files that a playground writes for its users.
#[derive(Debug)]
struct Files {
    host_kubeconfig: PathBuf,
    virtual_kubeconfig: PathBuf,
    syncer_host_kubeconfig: PathBuf,
    syncer_virtual_kubeconfig: PathBuf,
    syncer_config: PathBuf,
    syncer_log: PathBuf,
}

const READY_PATIENCE: Duration = Duration::from_secs(60);
const SYNCER_PATIENCE: Duration = Duration::from_secs(30);
/// Time limit for a syncer to end; it needs less to finish its writes.
const SYNCER_END_PATIENCE: Duration = Duration::from_secs(10);

impl Playground {
    /// Returns the default folder.
    pub fn default_dir() -> Result<PathBuf, PlaygroundError> {
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local").join("state")))
            .map(|base| base.join("tenet").join("playground"))
            .ok_or(PlaygroundError::NoStateFolder)
    }

    /// Starts everything but the syncer, and returns when pods can be created on both sides.
    pub async fn start(options: Options) -> Result<Self, PlaygroundError> {
        let folder = Folder::claim_or_create(options.dir.as_deref())?;
        let mut components = Components::locate_or_build(&options.progress).await?;
        let metrics = options.metrics && components.add_if_possible(Component::MetricsServer, &options.progress).await;
        options.progress.step("starting two control planes");
        let namespace = options.namespace.clone().unwrap_or_else(|| format!("tenet-{}", options.name));
        let (host_plane, virtual_plane) = tokio::try_join!(
            ControlPlane::start_api_server(&components, host_options(&options, &folder)),
            ControlPlane::start_api_server(&components, virtual_options(&options, &folder, &namespace)),
        )?;
        options.progress.step("starting controllers and nodes");
        host_plane.start_controllers()?;
        virtual_plane.start_controllers()?;
        let tenancy = Tenancy { name: &options.name, namespace: &namespace, virtual_port: virtual_plane.port() };
        let folders = kwok_folders(&folder);
        let (kwok, ()) = tokio::try_join!(kwok::start(&components, &host_plane, &folders), async {
            Ok(tenancy.create(&host_plane.client()).await?)
        })?;
        let metrics = if metrics { Some(metrics::start(&components, &host_plane, &folder).await?) } else { None };
        let admin = Reserved::new().map_err(PlaneError::Port)?;
        let playground = Self {
            syncer: Mutex::default(),
            metrics,
            files: Files::below(folder.path()),
            admin_port: admin.port().map_err(PlaneError::Port)?,
            kubelet_port: port::free().map_err(PlaneError::Port)?,
            webhook_port: port::free().map_err(PlaneError::Port)?,
            usage_port: port::free().map_err(PlaneError::Port)?,
            kwok,
            virtual_plane,
            host_plane,
            components,
            name: options.name.clone(),
            namespace,
            node_access: options.node_access,
            rights: Rights::default(),
            folder,
        };
        playground.write_files(&options)?;
        playground.create_nodes(options.nodes).await?;
        playground.until_pods_can_run(options.nodes).await?;
        // The reserved port is free for the syncer from here on.
        drop(admin);
        Ok(playground)
    }

    /// Returns the folder of the playground.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the host cluster.
    pub fn host_plane(&self) -> &ControlPlane {
        &self.host_plane
    }

    /// Returns the virtual cluster.
    pub fn virtual_plane(&self) -> &ControlPlane {
        &self.virtual_plane
    }

    /// Returns the binaries in use.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// Returns the host namespace of the virtual cluster.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the path of a kubeconfig for the host with all rights.
    pub fn host_kubeconfig(&self) -> &Path {
        &self.files.host_kubeconfig
    }

    /// Returns the path of the tenant's kubeconfig: the virtual cluster with all rights.
    pub fn virtual_kubeconfig(&self) -> &Path {
        &self.files.virtual_kubeconfig
    }

    /// Returns the path of the syncer's kubeconfig for the host, with the rights of its Role and no more.
    pub fn syncer_host_kubeconfig(&self) -> &Path {
        &self.files.syncer_host_kubeconfig
    }

    /// Returns the path of the syncer's kubeconfig for the virtual cluster.
    pub fn syncer_virtual_kubeconfig(&self) -> &Path {
        &self.files.syncer_virtual_kubeconfig
    }

    /// Returns the path of the syncer's configuration.
    pub fn syncer_config(&self) -> &Path {
        &self.files.syncer_config
    }

    /// Returns the path of the syncer's log.
    pub fn syncer_log(&self) -> &Path {
        &self.files.syncer_log
    }

    /// Returns the port of the syncer's `/metrics`, `/healthz` and `/readyz` on 127.0.0.1.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Returns the process id of the running syncer.
    pub fn syncer_pid(&self) -> Option<u32> {
        self.syncer().as_ref().map(Process::pid)
    }

    /// Leads the Service of the virtual API server to it: the pods of nodes in `network` then reach it.
    pub async fn offer_virtual_api(&self, network: &ClusterNetwork) -> Result<(), PlaneError> {
        network.offer(self.virtual_plane.port()).await.map_err(PlaneError::Port)?;
        let tenancy = Tenancy { name: &self.name, namespace: &self.namespace, virtual_port: self.virtual_plane.port() };
        Ok(tenancy.lead_to(&self.host_plane.client(), &network.machine()).await?)
    }

    /// Starts a syncer in place of the running one, and waits until its `/readyz` answers 200. On the host it has
    /// exactly the rights that it declares, unless [`Self::give_rights`] has given it others.
    pub async fn start_syncer(&self, command: &Command) -> Result<(), SyncerError> {
        self.give_declared_rights(command).await?;
        self.launch_syncer(command)?;
        self.until_syncer_is_ready(SYNCER_PATIENCE).await
    }

    /// Gives the syncer the rights that `command` says it needs, as [`Self::start_syncer`] does.
    pub async fn give_declared_rights(&self, command: &Command) -> Result<(), GrantError> {
        if self.rights.are_given.load(Ordering::Relaxed) {
            return Ok(());
        }
        let documents = self.declared_rights(command).await?;
        let mut declared = self.rights.declared.lock().await;
        if *declared != documents {
            grants::apply(&self.host_plane.client(), &self.namespace, &documents).await?;
            *declared = documents;
        }
        Ok(())
    }

    /// Returns the Role that `command` needs, as YAML, and the `ClusterRole` if the playground gives access to nodes.
    pub async fn declared_rights(&self, command: &Command) -> Result<String, GrantError> {
        let role = command.clone().arg("--print-role");
        let command = if self.node_access { role.arg("--print-cluster-role") } else { role };
        command.output(self.dir()).await
    }

    /// Gives the syncer these rights on the host: Roles as YAML. Later starts do not give it others.
    pub async fn give_rights(&self, documents: &str) -> Result<(), GrantError> {
        self.rights.are_given.store(true, Ordering::Relaxed);
        grants::apply(&self.host_plane.client(), &self.namespace, documents).await
    }

    /// Starts a syncer in place of the running one, without waiting.
    pub fn launch_syncer(&self, command: &Command) -> Result<(), SyncerError> {
        self.kill_syncer();
        let process = command.spawn(self.dir(), &self.files.syncer_log, &self.folder.pids())?;
        *self.syncer() = Some(process);
        Ok(())
    }

    /// Waits until the syncer's `/readyz` answers 200.
    pub async fn until_syncer_is_ready(&self, limit: Duration) -> Result<(), SyncerError> {
        let waited = Patience::new(limit)
            .until("HTTP 200 from its /readyz", async || {
                if let Some(died) = self.syncer_died() {
                    return Err(died.into());
                }
                Ok::<_, SyncerError>(syncer::is_ready(self.admin_port).await)
            })
            .await;
        waited.map_err(|error| match error {
            SyncerError::TimedOut(source) => SyncerError::NotReady { log: self.files.syncer_log.clone(), source },
            other => other,
        })
    }

    /// Sends SIGTERM to the syncer, and waits until it has ended.
    pub async fn stop_syncer(&self) -> Option<std::process::ExitStatus> {
        let process = self.syncer().take()?;
        process.terminate(SYNCER_END_PATIENCE).await
    }

    /// Kills the syncer (SIGKILL).
    pub fn kill_syncer(&self) {
        let process = self.syncer().take();
        drop(process);
    }

    /// Kills the kubelets of all nodes (SIGKILL), and starts them again: they read every pod anew.
    pub async fn restart_kubelets(&self) -> Result<(), PlaneError> {
        self.kwok.restart(&self.host_plane).await
    }

    /// Returns how the syncer ended, if it ended without being asked to.
    pub fn syncer_died(&self) -> Option<Died> {
        self.syncer().as_ref().and_then(Process::died)
    }

    /// Returns any process that ended without being asked to.
    pub fn died(&self) -> Option<Died> {
        self.host_plane
            .died()
            .or_else(|| self.virtual_plane.died())
            .or_else(|| self.kwok.died())
            .or_else(|| self.syncer_died())
    }

    /// Resolves when a process has ended without being asked to.
    pub async fn until_died(&self) -> Died {
        loop {
            if let Some(died) = self.died() {
                return died;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends everything in order, the syncer first.
    pub async fn shutdown(self) {
        self.stop_syncer().await;
        drop(self.metrics);
        self.kwok.kill();
        self.virtual_plane.stop();
        self.host_plane.stop();
    }

    fn write_files(&self, options: &Options) -> Result<(), PlaneError> {
        let files = &self.files;
        self.host_plane.write_kubeconfig(&files.host_kubeconfig, "host-admin", Some(MASTERS))?;
        self.host_plane.write_kubeconfig(&files.syncer_host_kubeconfig, SYNCER_USER, None)?;
        self.virtual_plane.write_kubeconfig(&files.virtual_kubeconfig, "tenant-admin", Some(MASTERS))?;
        self.virtual_plane.write_kubeconfig(&files.syncer_virtual_kubeconfig, SYNCER_USER, Some(MASTERS))?;
        let config = Settings {
            name: &options.name,
            host_kubeconfig: &files.syncer_host_kubeconfig,
            namespace: &self.namespace,
            virtual_kubeconfig: &files.syncer_virtual_kubeconfig,
            admin_port: self.admin_port,
            kubelet_port: self.kubelet_port,
            webhook_port: self.webhook_port,
            usage_port: self.usage_port,
            more: &options.syncer_settings,
        };
        Ok(pki::write(&files.syncer_config, &config.render())?)
    }

    async fn create_nodes(&self, nodes: usize) -> Result<(), PlaneError> {
        let client = self.host_plane.client();
        for number in 1..=nodes {
            host::create_node(&client, &node_name(number)).await?;
        }
        Ok(())
    }

    async fn until_pods_can_run(&self, nodes: usize) -> Result<(), PlaneError> {
        tokio::try_join!(
            self.host_plane.until_pods_are_admitted("default"),
            self.host_plane.until_pods_are_admitted(&self.namespace),
            self.virtual_plane.until_pods_are_admitted("default"),
            self.until_nodes_are_ready(nodes),
        )?;
        Ok(())
    }

    async fn until_nodes_are_ready(&self, nodes: usize) -> Result<(), PlaneError> {
        for number in 1..=nodes {
            let path = format!("/api/v1/nodes/{}", node_name(number));
            Patience::new(READY_PATIENCE)
                .until(&format!("a ready node {}", node_name(number)), async || {
                    if let Some(died) = self.died() {
                        return Err(died.into());
                    }
                    let node = self.host_plane.get(&path).await?;
                    Ok::<_, PlaneError>(node.is_some_and(|node| host::takes_pods(&node)))
                })
                .await?;
        }
        Ok(())
    }

    fn syncer(&self) -> MutexGuard<'_, Option<Process>> {
        self.syncer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn below(dir: &Path) -> Self {
        Self {
            host_kubeconfig: dir.join("host.kubeconfig"),
            virtual_kubeconfig: dir.join("virtual.kubeconfig"),
            syncer_host_kubeconfig: dir.join("syncer-host.kubeconfig"),
            syncer_virtual_kubeconfig: dir.join("syncer-virtual.kubeconfig"),
            syncer_config: dir.join("syncer.yaml"),
            syncer_log: dir.join("logs").join("syncer.log"),
        }
    }
}

fn host_options(options: &Options, folder: &Folder) -> PlaneOptions {
    PlaneOptions {
        audit: options.audit,
        emulated_version: options.host_version.clone(),
        api_server_flags: options.host_flags.clone(),
        ..PlaneOptions::new("host", Role::Host, folder.path())
    }
}

fn virtual_options(options: &Options, folder: &Folder, namespace: &str) -> PlaneOptions {
    let name = &options.name;
    PlaneOptions {
        audit: options.audit,
        emulated_version: options.virtual_version.clone(),
        api_server_flags: options.virtual_flags.clone(),
        controllers: options.taint_eviction.then(|| "taint-eviction-controller".to_owned()).into_iter().collect(),
        // Host pods reach the virtual API server through its Service on the host.
        server_names: vec![
            VIRTUAL_API_ADDRESS.to_owned(),
            name.clone(),
            format!("{name}.{namespace}"),
            format!("{name}.{namespace}.svc"),
        ],
        ..PlaneOptions::new("virtual", Role::Virtual, folder.path())
    }
}

fn kwok_folders(folder: &Folder) -> kwok::Folders {
    kwok::Folders { work: folder.path().join("kwok"), logs: folder.path().join("logs"), pids: folder.pids() }
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

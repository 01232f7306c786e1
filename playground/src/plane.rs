//! Control plane: a store, an API server, controllers and, on a host, a scheduler.

mod command_line;
mod controllers;
mod error;
mod options;

pub use error::PlaneError;
pub use options::{PlaneOptions, Role, SERVICE_CIDR};

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tenet_install::{bootstrap::render_kubeconfig, pki::Purpose};

use crate::{
    api::{self, ApiError},
    component::Component,
    components::Components,
    pki::{self, Pki},
    port,
    process::{Died, Launch, Process, ProcessError},
    wait::Patience,
};

/// Running control plane. Dropping it kills its processes.
pub struct ControlPlane {
    options: PlaneOptions,
    components: Components,
    pki: Pki,
    port: u16,
    client: kube::Client,
    processes: Mutex<BTreeMap<Component, Process>>,
}

const START_PATIENCE: Duration = Duration::from_secs(180);
const PORT_ATTEMPTS: usize = 5;

/// Group with all rights.
pub const MASTERS: &str = "system:masters";

impl ControlPlane {
    /// Starts the store and the API server, and the controllers when the API server is ready.
    pub async fn start(components: &Components, options: PlaneOptions) -> Result<Self, PlaneError> {
        let plane = Self::start_api_server(components, options).await?;
        plane.start_controllers()?;
        Ok(plane)
    }

    /// First half of [`ControlPlane::start`]: starts an API server and waits until it is ready.
    pub async fn start_api_server(components: &Components, options: PlaneOptions) -> Result<Self, PlaneError> {
        for dir in [&options.dir, &options.logs, &options.pids] {
            fs::create_dir_all(dir).map_err(|source| PlaneError::File { path: dir.clone(), source })?;
        }
        let pki = Pki::create(&options.dir.join("pki"), &options.name, &options.all_server_names())?;
        if let Some(policy) = options.audit.policy() {
            pki::write(&options.dir.join("audit-policy.yaml"), &policy)?;
        }
        let port = port::free().map_err(PlaneError::Port)?;
        let client = api::client(&admin_kubeconfig(&options.name, port, &pki)?).await?;
        let components = components.clone();
        let mut plane = Self { options, components, pki, port, client, processes: Mutex::default() };
        plane.run(Component::Etcd)?;
        plane.run_api_server().await?;
        Ok(plane)
    }

    /// Second half of [`ControlPlane::start`]: starts the controllers.
    pub fn start_controllers(&self) -> Result<(), PlaneError> {
        self.run(Component::ControllerManager)?;
        if self.options.role == Role::Host {
            self.run(Component::Scheduler)?;
        }
        Ok(())
    }

    /// Returns the URL of the API server.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Returns the port of the API server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the CA certificate of the API server as PEM.
    pub fn ca(&self) -> String {
        self.pki.ca().to_owned()
    }

    /// Returns the folder of the certificates and keys.
    pub fn pki_dir(&self) -> PathBuf {
        self.options.dir.join("pki")
    }

    /// Returns the path of the audit log. The file does not exist when the log is off.
    pub fn audit_log(&self) -> PathBuf {
        self.options.dir.join("audit.log")
    }

    /// Returns a client with all rights.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Writes a kubeconfig for `user`. The group [`MASTERS`] has all rights.
    pub fn write_kubeconfig(&self, path: &Path, user: &str, group: Option<&str>) -> Result<(), PlaneError> {
        let text = kubeconfig_for(&self.options.name, self.port, &self.pki, user, group)?;
        Ok(pki::write(path, &text)?)
    }

    /// Writes a kubeconfig for a user who reaches the API server at another address than loopback, through a relay.
    pub(crate) fn write_kubeconfig_via(
        &self,
        path: &Path,
        address: &str,
        user: &str,
        group: Option<&str>,
    ) -> Result<(), PlaneError> {
        let text = kubeconfig_for(&self.options.name, self.port, &self.pki, user, group)?;
        let server = format!("https://{address}:{}\n    tls-server-name: 127.0.0.1", self.port);
        Ok(pki::write(path, &text.replace(&self.url(), &server))?)
    }

    /// Reads the object at an API path with all rights. Returns `None` when it does not exist.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        api::get(&self.client, path).await
    }

    /// Returns the process id of a running component.
    pub fn pid(&self, component: Component) -> Option<u32> {
        self.processes().get(&component).map(Process::pid)
    }

    /// Kills a component. Its absence is not reported as a death until [`ControlPlane::restart`].
    pub fn kill(&self, component: Component) {
        self.processes().remove(&component);
    }

    /// Pauses a component (SIGSTOP): it keeps its connections and answers nothing.
    pub fn pause(&self, component: Component) {
        if let Some(process) = self.processes().get(&component) {
            process.pause();
        }
    }

    /// Resumes a paused component.
    pub fn resume(&self, component: Component) {
        if let Some(process) = self.processes().get(&component) {
            process.resume();
        }
    }

    /// Restarts a component with the same flags, port and data, and waits until the API server is ready.
    pub async fn restart(&self, component: Component) -> Result<(), PlaneError> {
        self.kill(component);
        self.run(component)?;
        self.until_ready().await
    }

    /// Kills every process of this control plane. [`ControlPlane::start_again`] starts them again.
    pub fn stop(&self) {
        let processes = std::mem::take(&mut *self.processes());
        // Clients first, so that none logs errors about a missing server.
        for process in processes.into_values().rev() {
            process.kill();
        }
    }

    /// Starts all processes again on the same data.
    pub async fn start_again(&self) -> Result<(), PlaneError> {
        self.stop();
        self.run(Component::Etcd)?;
        self.run(Component::ApiServer)?;
        self.until_ready().await?;
        self.start_controllers()
    }

    /// Returns a component that ended without being asked to.
    pub fn died(&self) -> Option<Died> {
        self.processes().values().find_map(Process::died)
    }

    /// Waits until the `default` ServiceAccount of a namespace exists. Until then the API server rejects pods there.
    pub async fn until_pods_are_admitted(&self, namespace: &str) -> Result<(), PlaneError> {
        let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        Patience::new(START_PATIENCE)
            .until(&format!("the default ServiceAccount of namespace {namespace}"), async || {
                self.alive()?;
                Ok::<_, PlaneError>(self.get(&account).await?.is_some())
            })
            .await
    }

    pub(crate) fn components(&self) -> &Components {
        &self.components
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Starts the API server. When another program binds the free port first, the start is repeated with another port.
    async fn run_api_server(&mut self) -> Result<(), PlaneError> {
        let mut attempts = 1;
        loop {
            self.run(Component::ApiServer)?;
            match self.until_ready().await {
                Err(PlaneError::Process(ProcessError::Died(died)))
                    if attempts < PORT_ATTEMPTS && died.tail.contains("address already in use") =>
                {
                    self.kill(Component::ApiServer);
                    self.port = port::free().map_err(PlaneError::Port)?;
                    self.client = api::client(&admin_kubeconfig(&self.options.name, self.port, &self.pki)?).await?;
                    attempts += 1;
                }
                other => return other,
            }
        }
    }

    async fn until_ready(&self) -> Result<(), PlaneError> {
        Patience::new(START_PATIENCE)
            .until(&format!("the API server of {}", self.options.name), async || {
                self.alive()?;
                Ok::<_, PlaneError>(api::is_ready(&self.client).await)
            })
            .await
    }

    fn alive(&self) -> Result<(), Died> {
        self.died().map_or(Ok(()), Err)
    }

    fn run(&self, component: Component) -> Result<(), PlaneError> {
        let args = match component {
            Component::Etcd => self.etcd_flags(),
            Component::ApiServer => self.api_server_flags(),
            Component::ControllerManager => {
                self.write_component_kubeconfig(component, "system:kube-controller-manager")?;
                self.controller_manager_flags()?
            }
            Component::Scheduler => {
                self.write_component_kubeconfig(component, "system:kube-scheduler")?;
                self.scheduler_flags()
            }
            // The other components are not part of a control plane.
            _ => return Ok(()),
        };
        let name = format!("{}-{component}", self.options.name);
        let process = Process::spawn(&Launch {
            program: self.components.path(component).to_owned(),
            args: args.into_iter().map(OsString::from).collect(),
            dir: self.options.dir.clone(),
            env: Vec::new(),
            log: self.options.logs.join(format!("{name}.log")),
            pid_file: Some(self.options.pids.join(&name)),
            name,
        })?;
        self.processes().insert(component, process);
        Ok(())
    }

    fn write_component_kubeconfig(&self, component: Component, user: &str) -> Result<(), PlaneError> {
        self.write_kubeconfig(&self.component_kubeconfig(component), user, None)
    }

    fn component_kubeconfig(&self, component: Component) -> PathBuf {
        self.options.dir.join(format!("{component}.kubeconfig"))
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<Component, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client has no `Debug` form, and the keys must not be shown.
        f.debug_struct("ControlPlane")
            .field("name", &self.options.name)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn admin_kubeconfig(name: &str, port: u16, pki: &Pki) -> Result<String, PlaneError> {
    kubeconfig_for(name, port, pki, "tenet-playground", Some(MASTERS))
}

fn kubeconfig_for(name: &str, port: u16, pki: &Pki, user: &str, group: Option<&str>) -> Result<String, PlaneError> {
    let identity = pki.issue(user, &Purpose::Client(group))?;
    Ok(render_kubeconfig(name, &url(port), pki.ca(), user, &identity))
}

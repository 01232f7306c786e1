//! Dual-stack playground whose syncer can be killed at any write.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{Command, Options, free_port};
use tokio::time::{Instant, sleep};

use crate::cluster::name;
use crate::fault::{Proxy, Script, proxied_syncer};
use crate::harness::{Separate, in_folder, until_asked};

const RANGES: &str = "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112";
/// Lifetime of a reservation: short, as no request of these tests is longer.
pub const RESERVATION: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(40);

/// Playground of the admission tests.
pub struct Lab {
    pub own: Separate,
    pub script: Arc<Script>,
    pub command: Command,
    _proxies: [Proxy; 2],
}

impl Deref for Lab {
    type Target = Separate;

    fn deref(&self) -> &Separate {
        &self.own
    }
}

impl Lab {
    /// Starts a playground with its syncer; `policy` is the failure policy.
    pub async fn start(name: &str, policy: &str) -> Result<Self> {
        let settings = format!(
            "webhook: {{ listen: \"127.0.0.1:{}\", timeout: 2s, reservation: {}s, failurePolicy: {policy} }}\n",
            free_port()?,
            RESERVATION.as_secs()
        );
        let options = Options {
            nodes: 1,
            host_flags: vec![RANGES.to_owned()],
            virtual_flags: vec![RANGES.to_owned()],
            syncer_settings: settings,
            ..in_folder(name)
        };
        let (own, script) = (Separate::new(options).await?, Arc::new(Script::default()));
        let (command, proxies) = proxied_syncer(&own.playground, &script).await?;
        let lab = Self { own, script, command, _proxies: proxies };
        lab.restart().await?;
        Ok(lab)
    }

    /// Restarts the syncer, and waits until the virtual API server calls its webhook.
    pub async fn restart(&self) -> Result<()> {
        self.playground.start_syncer(&self.command).await?;
        until_asked(&self.virt).await
    }

    pub fn on_host(&self, rest: &str) -> String {
        self.own.on_host(&format!("services{rest}"))
    }

    /// Returns the host path of the copy of a virtual Service.
    pub fn twin(&self, name: &str) -> String {
        self.on_host(&format!("/{name}-x-default-x-vc-1"))
    }

    /// Waits until every virtual Service has an adopted copy with its addresses, and the
    /// host has no other Service of ours.
    pub async fn until_equal(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (virt, host) = (self.virt.list(&at("")).await?, self.host.list(&self.on_host("")).await?);
            let difference = difference(&virt, &host);
            let Some(difference) = difference else { return Ok(()) };
            ensure!(Instant::now() < end, "{difference}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Returns the path of virtual Services.
pub fn at(rest: &str) -> String {
    format!("/api/v1/namespaces/default/services{rest}")
}

/// Retries until the call succeeds, as a controller does.
pub async fn insist(what: impl AsyncFn() -> Result<Value>) -> Result<Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        match what().await {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Returns the first difference between both sides.
fn difference(virt: &[Value], host: &[Value]) -> Option<String> {
    let virt: Vec<_> = virt.iter().filter(|service| name(service) != "kubernetes").collect();
    let host: Vec<_> = host.iter().filter(|service| name(service) != "vc-1").collect();
    for service in &virt {
        let host_name = format!("{}-x-default-x-vc-1", name(service));
        let Some(twin) = host.iter().find(|twin| name(twin) == host_name) else {
            return Some(format!("{host_name} is missing"));
        };
        let same = ["type", "clusterIPs", "ports"].iter().all(|field| service["spec"][field] == twin["spec"][field]);
        let marks = &twin["metadata"]["annotations"];
        if !same || marks["tenet.sh/uid"] != service["metadata"]["uid"] || !marks["tenet.sh/pending"].is_null() {
            return Some(format!("{host_name} differs: {:#} {:#}", service["spec"], twin));
        }
    }
    (virt.len() != host.len()).then(|| {
        format!("orphans: {} inside, on the host {:?}", virt.len(), host.iter().map(|s| name(s)).collect::<Vec<_>>())
    })
}

/// Builds a Service with further fields in its spec.
pub fn service(name: &str, spec: &Value) -> Value {
    let mut service = json!({"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}});
    for (field, value) in spec.as_object().into_iter().flatten() {
        service["spec"][field] = value.clone();
    }
    service
}

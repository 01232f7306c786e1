//! Lease of replicas: of several syncers of one virtual cluster, one writes. Only when it is configured, as a held
//! Lease is renewed all the time.
//!
//! The lease saves work; it is no fence. The preconditions of every write are the fence.

mod election;
mod hold;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use kube::core::{ApiResource, DynamicObject};
use kube_runtime::watcher::watch_object;
use parking_lot::Mutex;
use serde_json::Value;
use tenet_config::Config;
use tenet_mapper::translate::own_objects;
use tenet_mapper::{Kind, Right, Verb};
use thiserror::Error;
use time::macros::format_description;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, PatchType, Target};
use crate::role::Need;
use crate::runtime::Runtime;
pub use election::Times;
use election::{Election, Record};
pub use hold::Hold;

const KIND: Kind = Kind::of("coordination.k8s.io", "v1", "Lease", "leases");
/// Time that a release waits for writes in flight.
const DRAIN: Duration = Duration::from_millis(500);
/// Time limit of the request that gives the lease back.
const FAREWELL: Duration = Duration::from_secs(2);

/// The lease was lost while it was held.
#[derive(Clone, Debug, Error)]
#[error("lost the lease {name} in host namespace {namespace}: {why}")]
pub struct LostLease {
    namespace: String,
    name: String,
    why: String,
}

/// Lease of one virtual cluster.
pub struct Lease {
    api: Api,
    namespace: String,
    name: String,
    cluster: String,
    times: Times,
    election: Mutex<Election>,
    hold: Arc<Hold>,
    lost: Mutex<Option<LostLease>>,
    acquired: CancellationToken,
    runtime: Arc<dyn Runtime>,
}

/// The rights of the engine for its lease.
pub fn needs(config: &Config) -> Vec<Need> {
    use Verb::{Create, Get, List, Patch, Watch};
    let right = || Right::host(KIND, &[Get, List, Watch, Create, Patch], "elects one of several replicas");
    config.lease.enabled.then(|| Need { by: "lease", right: right() }).into_iter().collect()
}

/// Waits until this process may write.
pub async fn acquire(lease: Option<&Lease>) {
    if let Some(lease) = lease {
        tracing::info!(lease = lease.name, "waiting for the lease");
        lease.acquire().await;
    }
}

/// Holds the lease until it is told to stop. Cancels `stop` when the lease is lost.
pub async fn hold_until(lease: Option<&Lease>, stop: &CancellationToken) {
    let Some(lease) = lease else { return stop.cancelled().await };
    if let Some(lost) = stop.run_until_cancelled(lease.keep()).await {
        tracing::error!(error = %lost, "lease lost: this replica ends, and stands by after its restart");
        *lease.lost.lock() = Some(lost);
        stop.cancel();
    }
}

impl Lease {
    /// The lease that the configuration asks for, if any. `hold` is the permission that it gives and takes.
    pub fn of(
        config: &Config,
        api: &Api,
        hold: &Arc<Hold>,
        runtime: &Arc<dyn Runtime>,
    ) -> anyhow::Result<Option<Self>> {
        let settings = &config.lease;
        if !settings.enabled {
            return Ok(None);
        }
        let times =
            Times { duration: *settings.duration, deadline: *settings.renew_deadline, retry: *settings.retry_period };
        anyhow::ensure!(
            times.retry < times.deadline && times.deadline < times.duration,
            "lease.retryPeriod must be less than lease.renewDeadline, and that less than lease.duration"
        );
        Ok(Some(Self {
            api: api.clone(),
            namespace: config.host.namespace.clone(),
            name: own_objects::lease(&config.name),
            cluster: config.name.clone(),
            times,
            election: Mutex::new(Election::new(identity(&**runtime), times)),
            hold: Arc::clone(hold),
            lost: Mutex::default(),
            acquired: CancellationToken::new(),
            runtime: Arc::clone(runtime),
        }))
    }

    /// Returns why the lease was lost, if it was.
    pub fn lost(&self) -> Option<LostLease> {
        self.lost.lock().clone()
    }

    /// Returns true while this process may write.
    pub fn is_held(&self) -> bool {
        self.hold.is_held(Instant::now())
    }

    /// Waits until this process has held the lease for the first time.
    pub async fn held(&self) {
        self.acquired.cancelled().await;
    }

    /// Returns the holder, while it is another process.
    pub fn other_holder(&self) -> Option<String> {
        self.election.lock().other_holder().map(str::to_owned)
    }

    /// Waits until this process holds the lease.
    pub async fn acquire(&self) {
        loop {
            match self.stand_by().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(lease = self.name, %error, "cannot acquire the lease");
                    sleep(self.runtime.jittered(self.times.retry)).await;
                }
            }
        }
    }

    /// Follows the Lease, and takes it when it is free. Every failure starts again with a read.
    async fn stand_by(&self) -> Result<(), ApiError> {
        self.look().await?;
        let resource = ApiResource {
            group: KIND.group.to_owned(),
            version: KIND.version.to_owned(),
            api_version: KIND.api_version(),
            kind: KIND.kind.to_owned(),
            plural: KIND.plural.to_owned(),
        };
        let objects: kube::Api<DynamicObject> =
            kube::Api::namespaced_with(self.api.client().clone(), &self.namespace, &resource);
        let mut changes = pin!(watch_object(objects, &self.name));
        loop {
            let free_at = self.election.lock().free_at().unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                change = changes.try_next() => match change {
                    Ok(change) => {
                        let lease = change.flatten().and_then(|object| serde_json::to_value(object).ok());
                        self.observe(lease.as_ref());
                    }
                    Err(error) => return Err(ApiError::Transport(crate::api::chain(&error))),
                },
                () = sleep_until(free_at) => {
                    // The watch may be late or silent.
                    self.look().await?;
                    if self.is_free() {
                        if self.take().await? {
                            return Ok(());
                        }
                        sleep(self.times.retry / 4).await;
                    }
                }
            }
        }
    }

    fn is_free(&self) -> bool {
        self.election.lock().free_at().is_some_and(|at| at <= Instant::now())
    }

    /// Renews the lease until it is lost.
    pub async fn keep(&self) -> LostLease {
        let mut renewed = Instant::now();
        loop {
            sleep(self.times.retry).await;
            let why = loop {
                // A process that was stopped for so long has to start again: others may have written meanwhile.
                if renewed.elapsed() >= self.times.deadline {
                    break Some("it was not renewed in time".to_owned());
                }
                let sent = Instant::now();
                match self.renew().await {
                    Ok(true) => {
                        renewed = sent;
                        break None;
                    }
                    Ok(false) => {
                        let other = self.other_holder().unwrap_or_default();
                        break Some(format!("{other:?} holds it"));
                    }
                    Err(error) => {
                        tracing::warn!(lease = self.name, %error, "cannot renew the lease");
                        sleep(self.times.retry / 4).await;
                    }
                }
            };
            if let Some(why) = why {
                self.hold.close();
                self.hold.drain(Duration::ZERO).await;
                return LostLease { namespace: self.namespace.clone(), name: self.name.clone(), why };
            }
        }
    }

    /// Ends the writes of the gate, runs `closing` while the lease is still held, and gives the lease back, so that
    /// another replica need not wait for its end. A lease that was lost is not given back.
    pub async fn release(&self, closing: impl Future<Output = ()>) {
        if self.lost.lock().is_some() {
            return;
        }
        self.hold.drain(DRAIN).await;
        if let Some(deadline) = self.hold.deadline()
            && timeout_at(deadline, closing).await.is_err()
        {
            tracing::warn!(lease = self.name, "lease ended before the claim was closed");
        }
        self.hold.close();
        for _ in 0..2 {
            let Some(record) = self.election.lock().record().cloned() else { return };
            if self.other_holder().is_some() {
                return;
            }
            let patch = Election::released(&record, &self.time_of_day());
            match self.api.patch(&self.target(), PatchType::Merge, &patch, FAREWELL).await {
                Ok(_) => {
                    tracing::info!(lease = self.name, "lease released");
                    return;
                }
                // A renewal whose answer was not awaited.
                Err(error) if error.is_lost_race() => {
                    if self.look().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(lease = self.name, %error, "cannot release the lease: it ends by itself");
                    return;
                }
            }
        }
    }

    /// Writes this process into the Lease. Returns false when another one was faster.
    async fn take(&self) -> Result<bool, ApiError> {
        let (sent, now) = (Instant::now(), self.time_of_day());
        let record = self.election.lock().record().cloned();
        let written = match &record {
            None => {
                let lease = self.election.lock().created(&self.namespace, &self.name, &self.cluster, &now);
                self.api.create(&self.target(), &lease, self.times.deadline).await
            }
            Some(record) => {
                let patch = self.election.lock().held(record, &now);
                self.api.patch(&self.target(), PatchType::Merge, &patch, self.times.deadline).await
            }
        };
        match written {
            Ok(lease) => {
                self.observe(Some(&lease));
                self.hold.extend(sent + self.times.deadline);
                self.acquired.cancel();
                let before = record.map(|record| record.holder).unwrap_or_default();
                tracing::info!(lease = self.name, before, "lease acquired");
                Ok(true)
            }
            Err(error) if error.is_lost_race() => {
                self.look().await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Renews the lease once. Returns false when another process holds it.
    async fn renew(&self) -> Result<bool, ApiError> {
        let sent = Instant::now();
        let Some(record) = self.election.lock().record().cloned() else { return Ok(false) };
        let patch = self.election.lock().held(&record, &self.time_of_day());
        match self.api.patch(&self.target(), PatchType::Merge, &patch, self.times.retry).await {
            Ok(lease) => {
                self.observe(Some(&lease));
                self.hold.extend(sent + self.times.deadline);
                Ok(true)
            }
            Err(error) if error.is_lost_race() || error.is_object_absent() => {
                self.look().await?;
                let is_mine = self.election.lock().record().is_some() && self.other_holder().is_none();
                if is_mine { Err(error) } else { Ok(false) }
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the Lease from a quorum.
    async fn look(&self) -> Result<(), ApiError> {
        let found = self.api.get(&self.target(), self.times.deadline).await?;
        self.observe(found.as_ref());
        Ok(())
    }

    fn observe(&self, lease: Option<&Value>) {
        self.election.lock().observe(lease.map(Record::read), Instant::now());
    }

    fn target(&self) -> Target<'_> {
        Target::new(KIND, &self.namespace, &self.name)
    }

    /// Returns the time of day as Leases have it. Only people read it.
    fn time_of_day(&self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        self.runtime.now().to_offset(time::UtcOffset::UTC).format(&format).unwrap_or_default()
    }
}

/// Returns a name for this process: that of the pod, and a random number.
fn identity(runtime: &dyn Runtime) -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 1, so it fits.
    let number = (runtime.random() * f64::from(u32::MAX)) as u32;
    format!("{host}_{number:08x}")
}

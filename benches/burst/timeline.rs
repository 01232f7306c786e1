//! Timeline of the pods of one batch on one side, from the events of a watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::api::{Api, Change, Versioned};
use crate::pods;

/// Instants in the life of one pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    /// First seen.
    pub added: Option<Instant>,
    /// First seen Running.
    pub running: Option<Instant>,
    /// Deleted.
    pub gone: Option<Instant>,
}

/// Numbers of pods that have reached each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pods that exist or existed.
    pub added: usize,
    /// Pods that are or were Running.
    pub running: usize,
    /// Pods that were deleted.
    pub gone: usize,
}

/// Timeline of the pods of a batch on one side.
pub struct Timeline {
    side: &'static str,
    pods: Arc<Mutex<HashMap<String, Moments>>>,
    counts: watch::Receiver<Counts>,
    _follower: AbortOnDropHandle<()>,
}

#[derive(Clone, Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

impl Versioned for Pod {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
    #[serde(default)]
    labels: HashMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

/// Time without events after which a wait gives up.
const STANDSTILL: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Timeline {
    /// Starts a timeline of a batch.
    pub async fn follow(side: &'static str, api: &Api, namespace: &str, batch: &str) -> Result<Self> {
        let watch = api.watch(&pods::pods(namespace), &pods::selector(batch)).await?;
        let (sender, counts) = watch::channel(Counts::default());
        let pods = Arc::new(Mutex::new(HashMap::new()));
        let seen = Arc::clone(&pods);
        let follower = tokio::spawn(async move {
            let error = watch.run(|what, pod: Pod| record(&seen, &sender, what, pod)).await;
            eprintln!("a watch of the bench ended: {error:#}");
        });
        Ok(Self { side, pods, counts, _follower: AbortOnDropHandle::new(follower) })
    }

    /// Returns the instants of a pod, by its name inside.
    pub fn of(&self, name: &str) -> Moments {
        self.pods.lock().get(name).copied().unwrap_or_default()
    }

    /// Waits until `enough` accepts the counts. Returns an error when no event comes any more.
    pub async fn until(&self, what: &str, enough: impl Fn(Counts) -> bool) -> Result<()> {
        let mut counts = self.counts.clone();
        let (mut last, mut since) = (Counts::default(), Instant::now());
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = *counts.borrow_and_update();
            if enough(now) {
                return Ok(());
            }
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() > STANDSTILL {
                bail!("{what}: timed out without events on the {} side: {now:?}", self.side);
            }
            tokio::select! {
                changed = counts.changed() => if changed.is_err() {
                    bail!("{what}: the watch of the {} side ended: {now:?}", self.side);
                },
                _ = ticks.tick() => {}
            }
        }
    }
}

fn record(pods: &Mutex<HashMap<String, Moments>>, sender: &watch::Sender<Counts>, what: Change, mut pod: Pod) {
    let now = Instant::now();
    let Some(name) = pod.metadata.labels.remove(pods::NAME) else { return };
    let mut pods = pods.lock();
    let moments = pods.entry(name).or_default();
    let added = first(&mut moments.added, now);
    let running = pod.status.phase == "Running" && first(&mut moments.running, now);
    let gone = what == Change::Gone && first(&mut moments.gone, now);
    sender.send_if_modified(|counts| {
        counts.added += usize::from(added);
        counts.running += usize::from(running);
        counts.gone += usize::from(gone);
        added || running || gone
    });
}

/// Sets the instant unless it is set. Returns true if it was not.
fn first(moment: &mut Option<Instant>, now: Instant) -> bool {
    let first = moment.is_none();
    moment.get_or_insert(now);
    first
}

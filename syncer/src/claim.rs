//! Claim: the record that a host namespace and a virtual cluster belong together.
//!
//! It is a pair: a ConfigMap in the host namespace and one in the virtual `kube-system`, each of which names both
//! sides. A syncer writes nothing while they do not agree. The claim has clients of its own, and writes nothing but
//! its two halves and the event of a restored store ([`report`]).

mod age;
mod command;
mod decide;
mod half;
mod newer;
mod read;
mod report;
mod start;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tenet_config::Config;
use tenet_mapper::{MapError, Right, Side, Verb, kinds};
use thiserror::Error;
use tokio::sync::{Notify, watch as channel};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::settings;
pub use age::Floor;
use age::Newest;
pub use command::{Action, run as run_command};
use decide::Found;
pub use half::{Identity, Wiring};
use read::{Pair, ReadError, Reading, Reads, Servers};

/// State of the claim, as of the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Both sides belong together.
    Agrees,
    /// Nothing is written, for this reason.
    Suspended(Arc<str>),
}

/// Reason why the claim permits no write and no proof.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// It does not agree.
    #[error("writes are suspended: {0}")]
    Suspended(Arc<str>),
    /// It cannot be read now.
    #[error("{0}")]
    Unread(Arc<str>),
}

impl From<ClaimError> for MapError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Suspended(reason) => Self::Suspended(reason.to_string()),
            ClaimError::Unread(reason) => Self::Transient { reason: reason.to_string(), after: None },
        }
    }
}

/// Claim of a running syncer.
pub struct Claim {
    wiring: Wiring,
    servers: Servers,
    reads: [Reads; 2],
    state: channel::Sender<State>,
    /// UIDs that the claim had when it first agreed.
    identity: Mutex<Option<Identity>>,
    newest: Mutex<[Newest; 2]>,
    has_written: AtomicBool,
    /// Held while the epoch is raised.
    raising: tokio::sync::Mutex<()>,
    hint: Notify,
    replaced: CancellationToken,
}

/// Rights that every syncer needs for its claim.
pub fn rights() -> Vec<Right> {
    use Verb::{Create, Get, List, Patch};
    vec![
        Right::host(kinds::NAMESPACE, &[Get], "identifies the host namespace"),
        Right::host(kinds::CONFIG_MAP, &[List, Create, Patch], "keeps the host half of the claim"),
        Right::virt(kinds::CONFIG_MAP, &[List, Create, Patch], "keeps the virtual half of the claim"),
        Right::virt(kinds::NODE, &[List], "tells a first start from a lost claim and from a real cluster"),
        Right::virt(kinds::POD, &[List], "tells a first start from a lost claim"),
    ]
}

/// Returns the values that a claim holds a configuration to.
pub fn wiring(config: &Config) -> Wiring {
    Wiring { name: config.name.clone(), namespace: config.host.namespace.clone(), scheme: settings::scheme(config) }
}

impl Claim {
    /// A claim that was not read yet, so it permits nothing.
    pub fn new(wiring: Wiring, virt: Api, host: Api, limit: Duration) -> Self {
        Self {
            wiring,
            servers: Servers { virt, host, limit },
            reads: Default::default(),
            state: channel::Sender::new(State::Suspended("the claim was not read yet".into())),
            identity: Mutex::default(),
            newest: Mutex::default(),
            has_written: AtomicBool::new(false),
            raising: tokio::sync::Mutex::default(),
            hint: Notify::new(),
            replaced: CancellationToken::new(),
        }
    }

    /// Returns the state, and how to follow it.
    pub fn state(&self) -> channel::Receiver<State> {
        self.state.subscribe()
    }

    /// Returns the reason while nothing may be written. It reads nothing.
    pub fn check(&self) -> Result<(), ClaimError> {
        self.check_age()?;
        match &*self.state.borrow() {
            State::Agrees => Ok(()),
            State::Suspended(reason) => Err(ClaimError::Suspended(Arc::clone(reason))),
        }
    }

    /// Waits until writes are permitted.
    pub async fn agreed(&self) {
        // The sender lives as long as `self`.
        drop(self.state().wait_for(|state| *state == State::Agrees).await);
    }

    /// Proves by a quorum read that a side is still the one that was claimed, and that its store did not go back. An
    /// absence that was read before this is then an absence in that very store.
    pub async fn verify(&self, side: Side) -> Result<(), ClaimError> {
        let reading = self.read(side).await.map_err(|error| ClaimError::Unread(error.to_string().into()))?;
        if let Some(reason) = self.contradiction(side, &reading) {
            self.hint.notify_one();
            return Err(ClaimError::Suspended(reason.into()));
        }
        self.learn(side, &reading);
        self.check()
    }

    /// Notes a write through the gate: the epoch is raised beside it, at once after a rest, so that a store that is
    /// restored to the state before is noticed also by the next syncer.
    pub fn note_write(&self) {
        if !self.has_written.swap(true, Ordering::Relaxed) {
            self.hint.notify_one();
        }
    }

    /// Resolves when a person has adopted another virtual cluster or host namespace than the one this process runs
    /// with.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    /// UID of the virtual `kube-system` namespace; empty before the claim has agreed.
    pub fn cluster_id(&self) -> String {
        self.identity.lock().as_ref().map(|identity| identity.virt.clone()).unwrap_or_default()
    }

    /// UID of the host namespace; empty before the claim has agreed.
    pub fn host_namespace_uid(&self) -> String {
        self.identity.lock().as_ref().map(|identity| identity.host.clone()).unwrap_or_default()
    }

    async fn read(&self, side: Side) -> Result<Arc<Reading>, ReadError> {
        let read = async || {
            let newest = self.newest.lock()[index(side)];
            self.servers.read(&self.wiring, side, newest).await.map(Arc::new)
        };
        self.reads[index(side)].next(read).await
    }

    async fn read_both(&self) -> Result<Pair, ReadError> {
        // Both to the end: one side may show that it was restored while the other does not answer.
        let (host, virt) = tokio::join!(self.read(Side::Host), self.read(Side::Virtual));
        for (side, reading) in [(Side::Host, &host), (Side::Virtual, &virt)] {
            if let Ok(reading) = reading {
                self.went_back(side, reading);
            }
        }
        Ok(Pair { host: host?, virt: virt? })
    }

    /// Returns what a reading of one side contradicts.
    fn contradiction(&self, side: Side, reading: &Reading) -> Option<String> {
        let identity = self.identity.lock().clone()?;
        let expected = if side == Side::Host { &identity.host } else { &identity.virt };
        if reading.seen.uid.as_ref() != Some(expected) {
            return Some(format!("the {side} side is another one than was claimed"));
        }
        if reading.seen.deleting {
            return Some(format!("the {side} namespace is being deleted"));
        }
        match &reading.seen.half {
            Found::There(half) if half.name == self.wiring.name && half.identity == identity => {}
            _ => return Some(format!("the {side} half of the claim is missing or changed")),
        }
        self.went_back(side, reading).then(|| went_back(side))
    }

    fn publish(&self, state: State) {
        self.state.send_if_modified(|old| {
            let is_new = *old != state;
            *old = state;
            is_new
        });
    }
}

fn went_back(side: Side) -> String {
    format!("the {side} store went back in time")
}

impl Reading {
    fn epoch(&self) -> Option<u64> {
        match &self.seen.half {
            Found::There(half) => Some(half.epoch),
            _ => None,
        }
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Host)
}

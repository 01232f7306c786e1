//! Start of a syncer: the claim is checked, made or completed before anything else is written.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};
use tenet_mapper::{Side, kinds};
use tokio::time::{sleep, timeout};

use super::decide::{Difference, Found, Inside, Verdict, decide};
use super::half::{FIRST_EPOCH, Half, Identity, Progress};
use super::read::{Pair, ReadError, Reading};
use super::{Claim, State};
use crate::api::{ApiError, PatchType, Target};
use crate::lease::Lease;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Interval between two checks of a replica that waits until another one has made the claim.
const UNCLAIMED: Duration = Duration::from_secs(2);
/// Number of reads that have to show a difference before the syncer ends.
const CERTAINTY: u32 = 3;
/// Number of reads that have to be refused before the syncer ends: a Role may just have been granted.
const PATIENCE: u32 = 6;

/// One look at the start.
enum Look {
    /// It agrees.
    Agrees,
    /// Written by this or another syncer meanwhile: look again.
    Written,
    /// It is to be made or completed, and another replica may write.
    Unclaimed,
    /// The API server does not serve yet.
    Waiting(String),
    /// It differs, or cannot be read.
    Wrong(String, u32),
}

impl Claim {
    /// Waits for both API servers, and makes sure that they belong together. It writes nothing but the claim of a
    /// first start, and that only while this process holds the lease, if there is one. The error says what differs, and
    /// which command resolves it.
    pub async fn establish(&self, lease: Option<&Lease>) -> anyhow::Result<()> {
        let (mut pause, mut wrong) = (FIRST_PAUSE, 0);
        loop {
            match self.look_at_start(lease).await {
                Look::Agrees => return Ok(()),
                Look::Written => continue,
                Look::Unclaimed => {
                    tracing::info!("waiting for the replica that holds the lease to make the claim");
                    if let Some(lease) = lease {
                        drop(timeout(UNCLAIMED, lease.acquire()).await);
                    }
                    continue;
                }
                Look::Waiting(reason) => {
                    tracing::info!(reason, "waiting for the API servers");
                    wrong = 0;
                }
                Look::Wrong(reason, certainty) => {
                    wrong += 1;
                    if wrong >= certainty {
                        bail!("{reason}");
                    }
                    tracing::warn!(reason, "claim does not agree: reading again");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn look_at_start(&self, lease: Option<&Lease>) -> Look {
        let read = async {
            let pair = self.read_both().await?;
            let is_complete = [&pair.host, &pair.virt].iter().all(|side| matches!(side.seen.half, Found::There(_)));
            let inside = if is_complete { Inside::default() } else { self.servers.inside(&self.wiring).await? };
            Ok((pair, inside))
        };
        let (pair, inside) = match read.await {
            Ok(found) => found,
            Err(error @ ReadError::Unreachable(..)) => return Look::Waiting(error.to_string()),
            Err(error @ ReadError::Refused(..)) => return Look::Wrong(error.to_string(), PATIENCE),
        };
        let verdict = decide(&self.wiring, &pair.host.seen, &pair.virt.seen, Some(&inside));
        let is_standby = lease.is_some_and(|lease| !lease.is_held());
        let written = match verdict {
            Verdict::First(_) | Verdict::Unfinished(_) if is_standby => return Look::Unclaimed,
            Verdict::Agrees => {
                self.accept(&pair);
                return Look::Agrees;
            }
            Verdict::First(identity) => {
                tracing::info!(host = identity.host, virt = identity.virt, "first start: claiming both sides");
                self.bind(&pair, identity, FIRST_EPOCH).await
            }
            Verdict::Unfinished(identity) => {
                tracing::info!(host = identity.host, virt = identity.virt, "completing the claim of a first start");
                self.bind(&pair, identity, FIRST_EPOCH).await
            }
            Verdict::Differs(Difference::NoNamespace(Side::Virtual)) => {
                return Look::Waiting("the namespace kube-system does not exist yet".to_owned());
            }
            Verdict::Differs(difference) => {
                let (mut reason, remedy) = (difference.to_string(), difference.remedy());
                if self.is_swapped().await {
                    reason +=
                        " (the host kubeconfig leads to a virtual cluster of Tenet: host and virtual look swapped)";
                }
                return Look::Wrong(format!("{reason}; nothing was written. To resolve it: {remedy}"), CERTAINTY);
            }
        };
        match written {
            Ok(()) => Look::Written,
            Err(error) if error.is_lost_race() => Look::Written,
            Err(error) if error.code().is_some_and(|code| code.is_client_error()) => {
                Look::Wrong(format!("cannot write the claim: {error}"), PATIENCE)
            }
            Err(error) => Look::Waiting(format!("cannot write the claim: {error}")),
        }
    }

    /// Starts with a claim that agrees.
    fn accept(&self, pair: &Pair) {
        self.relearn(Side::Host, &pair.host);
        self.relearn(Side::Virtual, &pair.virt);
        *self.identity.lock() = pair.identity();
        self.publish(State::Agrees);
    }

    /// Returns true if the host API server has the virtual half of a claim.
    async fn is_swapped(&self) -> bool {
        let (namespace, name) = self.wiring.target(Side::Virtual);
        let found = self.servers.host.get(&Target::new(kinds::CONFIG_MAP, namespace, &name), self.servers.limit).await;
        found.is_ok_and(|found| found.is_some())
    }

    /// Writes both halves: the host half as pending, the virtual half, and the host half as bound. A crash in between
    /// is resumed. A half that was changed since it was read is a conflict.
    pub(super) async fn bind(&self, pair: &Pair, identity: Identity, epoch: u64) -> Result<(), ApiError> {
        let half = |progress| self.wiring.half(identity.clone(), epoch, progress);
        let version = self.put(Side::Host, &half(Progress::Pending), &pair.host.version).await?;
        self.put(Side::Virtual, &half(Progress::Bound), &pair.virt.version).await?;
        self.put(Side::Host, &half(Progress::Bound), &version).await.map(drop)
    }

    /// Writes a half over the one of this version, or creates it. Returns the new version.
    pub(super) async fn put(&self, side: Side, half: &Half, version: &str) -> Result<String, ApiError> {
        let (api, limit, (namespace, name)) = (self.servers.of(side), self.servers.limit, self.wiring.target(side));
        let target = Target::new(kinds::CONFIG_MAP, namespace, &name);
        let object = half.object(side, &self.wiring);
        let answer = if version.is_empty() {
            api.create(&target, &object, limit).await?
        } else {
            let metadata = json!({"resourceVersion": version, "labels": object["metadata"]["labels"]});
            let change = json!({"metadata": metadata, "data": half.data()});
            api.patch(&target, PatchType::Merge, &change, limit).await?
        };
        let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        Ok(version.to_owned())
    }
}

impl Pair {
    /// Returns the reading of a side.
    pub(super) fn of(&self, side: Side) -> &Reading {
        if side == Side::Host { &self.host } else { &self.virt }
    }

    /// Returns the UIDs of both sides, if both exist.
    pub(super) fn identity(&self) -> Option<Identity> {
        Some(Identity { host: self.host.seen.uid.clone()?, virt: self.virt.seen.uid.clone()? })
    }
}

//! `tenet-syncer claim show|adopt|release`: how a person resolves a claim that does not agree.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;
use tenet_config::Config;
use tenet_mapper::{Side, kinds};

use super::Claim;
use super::decide::{Found, Inside, Verdict, decide};
use super::newer::Copy;
use super::read::{Pair, Reading};
use crate::api::{ApiError, Target};
use crate::supervisor::Clients;

/// Number of copies without an original that are printed.
const SHOWN: usize = 50;

/// Command about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Print both halves of the claim, and what differs. It writes nothing.
    Show,
    /// Claim both sides as they are now, for this configuration.
    Adopt {
        /// Write it. Without this the halves are only printed.
        #[arg(long)]
        yes: bool,
    },
    /// Remove both halves of the claim, so that the next start is a first start.
    Release {
        /// Remove them. Without this they are only printed.
        #[arg(long)]
        yes: bool,
    },
}

/// Performs an action on the claim of a configuration. Returns what is printed.
pub async fn run(config: &Config, clients: Clients, action: Action) -> anyhow::Result<String> {
    let Clients { virt, host } = clients;
    let claim = &Claim::new(super::wiring(config), virt, host, *config.engine.request_timeout);
    let pair = claim.read_both().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let inside = claim.servers.inside(&claim.wiring).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut text = describe(claim, &pair, &inside);
    if let Some(cluster) = &pair.virt.seen.uid {
        text += &newer(claim.without_original(cluster).await);
    }
    match action {
        Action::Show => {}
        Action::Adopt { yes: false } => {
            bail!("{text}nothing was changed: add --yes to claim both sides as they are now");
        }
        Action::Release { yes: false } => bail!("{text}nothing was changed: add --yes to remove both halves"),
        Action::Adopt { yes: true } => {
            let identity = pair.identity().context("a namespace does not exist, so it cannot be claimed")?;
            // Above both, so that a running syncer sees no store that went back.
            let epoch = [&pair.host, &pair.virt].iter().filter_map(|side| side.epoch()).max().unwrap_or(0) + 1;
            claim
                .bind(&pair, identity, epoch)
                .await
                .context("cannot write the claim; `claim show` prints its state")?;
            let _ = writeln!(text, "adopted: both halves now have the epoch {epoch}");
        }
        Action::Release { yes: true } => {
            for (side, reading) in [(Side::Virtual, &pair.virt), (Side::Host, &pair.host)] {
                claim.remove(side, reading).await.with_context(|| format!("cannot remove the {side} half"))?;
            }
            let _ = writeln!(text, "released: both halves are removed");
        }
    }
    Ok(text)
}

impl Claim {
    /// Removes a half, if it is still the one that was printed.
    async fn remove(&self, side: Side, reading: &Reading) -> anyhow::Result<()> {
        if reading.version.is_empty() {
            return Ok(());
        }
        let (namespace, name) = self.wiring.target(side);
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": reading.version},
        });
        let target = Target::new(kinds::CONFIG_MAP, namespace, &name);
        match self.servers.of(side).delete(&target, &options, self.servers.limit).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_object_absent() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Describes the copies without an original.
fn newer(found: Result<Vec<Copy>, ApiError>) -> String {
    let mut text = String::new();
    match found {
        Ok(copies) if copies.is_empty() => {}
        Ok(copies) => {
            let _ =
                writeln!(text, "{} copies on the host have no original; the syncer will delete them:", copies.len());
            for copy in copies.iter().take(SHOWN) {
                let _ = writeln!(text, "  {copy}");
            }
        }
        Err(error) => {
            let _ = writeln!(text, "cannot list the copies on the host: {error}");
        }
    }
    text
}

/// Describes both sides and the verdict.
fn describe(claim: &Claim, pair: &Pair, inside: &Inside) -> String {
    let mut text = String::new();
    for (side, reading) in [(Side::Host, &pair.host), (Side::Virtual, &pair.virt)] {
        let (namespace, name) = claim.wiring.target(side);
        let uid = reading.seen.uid.as_deref().unwrap_or("does not exist");
        let _ = writeln!(text, "{side}: namespace {namespace} (UID {uid}), half {name}");
        match &reading.seen.half {
            Found::Missing => text.push_str("  missing\n"),
            Found::Unreadable(why) => {
                let _ = writeln!(text, "  unreadable: {why}");
            }
            Found::There(half) => {
                for (field, value) in half.data().as_object().into_iter().flatten() {
                    let _ = writeln!(text, "  {field}: {}", value.as_str().unwrap_or_default());
                }
            }
        }
    }
    let _ = match decide(&claim.wiring, &pair.host.seen, &pair.virt.seen, Some(inside)) {
        Verdict::Agrees => writeln!(text, "the claim agrees"),
        Verdict::First(_) => writeln!(text, "no claim, and nothing was ever synced: the next start claims both sides"),
        Verdict::Unfinished(_) => writeln!(text, "a first start did not finish: the next start completes the claim"),
        Verdict::Differs(difference) => {
            writeln!(text, "the claim does not agree: {difference}\nto resolve it: {}", difference.remedy())
        }
    };
    text
}

//! Check that nothing is written at rest.

use std::time::Duration;

use anyhow::Result;
use tenet_playground::Playground;
use time::OffsetDateTime;
use tokio::time::sleep;

use super::audit;
use super::finding::{Class, Finding};

/// Longest time after the last change in which the syncer still writes: it reads versions and learns defaults again a
/// minute after a fault, and raises the epoch of the claim up to ten seconds after a write.
const CALM: Duration = Duration::from_secs(80);
/// Time in which nothing may be written. The audit of the caches runs in it.
const REST: Duration = Duration::from_secs(20);

/// Waits, and reports every write of the syncer after the time that it has for its last ones.
pub(super) async fn check(playground: &Playground) -> Result<Vec<Finding>> {
    sleep(CALM).await;
    let start = OffsetDateTime::now_utc();
    sleep(REST).await;
    let mut findings = Vec::new();
    for (side, entries) in audit::both(playground)? {
        for entry in entries.iter().filter(|entry| entry.at >= start && entry.is_write_of_syncer()) {
            findings.push(Finding::new(Class::Rest, format!("{side} {}", entry.object()), &entry.name, entry.line()));
        }
    }
    Ok(findings)
}

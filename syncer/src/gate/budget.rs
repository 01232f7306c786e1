//! Budgets of a virtual cluster on its host: bytes of the copies of `ConfigMap`s and Secrets, and writes a second. A
//! tenant can make as many objects as its own store takes, and it shares the store of the host with others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tenet_config::Budget;
use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::{Effect, EventReason, Kind, MapError, Object, Projection, Side, kinds};
use tokio::time::{Instant, sleep_until};

use super::Gate;
use super::event::RENEWAL;

/// Kinds whose copies carry content of tenants.
const CONTENT: [Kind; 2] = [kinds::CONFIG_MAP, kinds::SECRET];
/// Name under which copies wait for room.
const COPIES: &str = "budget.copies";
/// Writes that were not used are kept for this time.
const BURST: Duration = Duration::from_secs(1);
/// Wait of writes from which the tenant gets an event.
const LONG: Duration = Duration::from_secs(5);

/// Budgets of a virtual cluster.
pub struct Budgets {
    copies: AtomicU64,
    /// Bytes of copies that are being written.
    in_flight: AtomicU64,
    pace: Mutex<Pace>,
    /// Time of the last event about a long wait.
    told: Mutex<Option<Instant>>,
}

/// Room for a copy that is being written; given back when dropped: then the cache knows the copy.
pub struct Room<'b> {
    budgets: &'b Budgets,
    bytes: u64,
}

/// Token bucket of writes.
#[derive(Debug)]
struct Pace {
    per_second: u32,
    /// Time at which the bucket was empty, or will be.
    empty: Option<Instant>,
}

impl Default for Budgets {
    fn default() -> Self {
        let pace = Mutex::new(Pace { per_second: Budget::default().writes_per_second, empty: None });
        Self {
            copies: AtomicU64::new(bytes_of(&Budget::default())),
            in_flight: AtomicU64::new(0),
            pace,
            told: Mutex::default(),
        }
    }
}

impl Budgets {
    /// Changes the budgets.
    pub fn set(&self, budget: &Budget) {
        self.copies.store(bytes_of(budget), Ordering::Relaxed);
        self.pace.lock().per_second = budget.writes_per_second.max(1);
    }

    /// Takes room for `bytes` beside the `used` ones.
    fn room(&self, used: u64, bytes: u64) -> Option<Room<'_>> {
        let in_flight = self.in_flight.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { budgets: self, bytes };
        let total = used.saturating_add(in_flight).saturating_add(bytes);
        (total <= self.copies.load(Ordering::Relaxed)).then_some(room)
    }

    /// Returns true if writes wait long, and no event has said so lately.
    fn is_backlog_news(&self) -> bool {
        let now = Instant::now();
        if self.pace.lock().empty.is_none_or(|empty| empty < now + LONG) {
            return false;
        }
        let mut told = self.told.lock();
        let is_news = told.is_none_or(|told| now - told >= RENEWAL);
        if is_news {
            *told = Some(now);
        }
        is_news
    }

    /// Takes one write, and returns the time at which it may be sent.
    pub(super) fn take(&self) -> Instant {
        let now = Instant::now();
        let mut pace = self.pace.lock();
        let full = now.checked_sub(BURST).unwrap_or(now);
        let at = pace.empty.map_or(full, |empty| empty.max(full)) + BURST / pace.per_second;
        pace.empty = Some(at);
        at
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.budgets.in_flight.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn bytes_of(budget: &Budget) -> u64 {
    u64::try_from(budget.copies.units()).unwrap_or(u64::MAX)
}

impl Gate {
    /// Changes the budgets.
    pub fn set_budget(&self, budget: &Budget) {
        self.budgets.set(budget);
    }

    /// Writes to the metrics what is used of the budgets.
    pub(super) fn report_budget(&self) {
        for kind in CONTENT {
            self.parts.metrics.budget.used(kind, self.used(kind));
        }
    }

    /// Takes room for the copy that an effect writes. Without room the copy waits, as for a quota of the host.
    pub(super) fn room(
        &self,
        effect: &Effect,
        writes: &[Write],
        cached: Option<&Object>,
    ) -> Result<Option<Room<'_>>, MapError> {
        let Effect::ApplyHost(apply) = effect else { return Ok(None) };
        let Some(cache) = self.parts.caches.get(Side::Host, apply.kind).filter(|_| CONTENT.contains(&apply.kind))
        else {
            return Ok(None);
        };
        let before = cached.map_or(0, |cached| cache.content_of(cached.namespace(), cached.name()));
        let growth = written(writes, cache.projection()).saturating_sub(before);
        if growth == 0 {
            return Ok(None);
        }
        let used = CONTENT.into_iter().map(|kind| self.used(kind)).sum();
        if let Some(room) = self.budgets.room(used, growth) {
            return Ok(Some(room));
        }
        self.parts.metrics.budget.waited("copies");
        let most = self.budgets.copies.load(Ordering::Relaxed);
        let message = format!(
            "it waits: with its {growth} bytes, ConfigMaps and Secrets of this cluster would take more than the {most} bytes \
             of {COPIES} on the host"
        );
        Err(MapError::QuotaExceeded { quota: COPIES.to_owned(), message })
    }

    /// Waits until the budget has room for a write. A write that a request waits for is only counted.
    pub(super) async fn pace(&self, is_urgent: bool) {
        let at = self.budgets.take();
        if at > Instant::now() && !is_urgent {
            self.parts.metrics.budget.waited("writesPerSecond");
            sleep_until(at).await;
        }
    }

    /// Tells the tenant that writes wait long, once for all of them: an event on each object would be as many writes
    /// again.
    pub(super) async fn tell_of_backlog(&self) {
        if !self.budgets.is_backlog_news() {
            return;
        }
        let per_second = self.budgets.pace.lock().per_second;
        tracing::warn!(per_second, "writes wait for budget.writesPerSecond");
        let message = format!(
            "changes take longer to cross: this cluster needs more than the {per_second} writes a second of \
             budget.writesPerSecond"
        );
        self.tell_cluster(EventReason::Degraded, message).await;
    }

    fn used(&self, kind: Kind) -> u64 {
        self.parts.caches.get(Side::Host, kind).map_or(0, |cache| cache.content())
    }
}

/// The bytes of content in the requests that write a copy.
fn written(writes: &[Write], projection: &Projection) -> u64 {
    let of_write = |write: &Write| match &write.payload {
        Payload::Create { object, .. } => projection.content(object),
        Payload::Json(ops) => {
            let pairs = ops.iter().filter_map(|op| Some((op["path"].as_str()?.strip_prefix('/')?, op.get("value")?)));
            pairs.map(|(member, value)| projection.content(&Value::from_iter([(member, value.clone())]))).sum()
        }
        _ => 0,
    };
    writes.iter().map(of_write).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(copies: &str, writes_per_second: u32) -> Budgets {
        let budgets = Budgets::default();
        budgets.set(&Budget { copies: copies.parse().unwrap(), writes_per_second });
        budgets
    }

    #[test]
    fn copies_that_are_being_written_count_before_the_cache_knows_them() {
        let budgets = budgets("100", 1);
        let first = budgets.room(40, 50);
        assert!(first.is_some() && budgets.room(40, 11).is_none() && budgets.room(40, 10).is_some());
        drop(first);
        assert!(budgets.room(90, 10).is_some() && budgets.room(90, 11).is_none());
        assert_eq!(budgets.in_flight.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn writes_beyond_a_burst_come_at_the_pace_of_the_budget() {
        let budgets = budgets("1", 10);
        let start = Instant::now();
        for write in 0..40 {
            let at = budgets.take();
            let expected = Duration::from_millis(100) * u32::saturating_sub(write + 1, 10);
            assert_eq!(at.saturating_duration_since(start), expected, "write {write}");
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        let after: Vec<_> = (0..11).map(|_| budgets.take() <= Instant::now()).collect();
        assert_eq!(after, [vec![true; 10], vec![false]].concat(), "a pause saves no more than a second of writes");
    }
}

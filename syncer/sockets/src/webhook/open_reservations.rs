//! Count of the open reservations. Each takes an address of the host for a request that may never be served, and a
//! tenant can send requests that fail as fast as the API server answers.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tenet_mapper::{HostKey, Kind};
use tokio::time::{Instant, sleep};

/// Time between two attempts.
const POLL: Duration = Duration::from_millis(50);

/// The open reservations of this process.
pub struct OpenReservations {
    most: usize,
    /// True for one that is being made.
    open: Mutex<HashMap<(Kind, HostKey), bool>>,
}

/// Slot of a reservation that is being made.
pub struct Slot<'o> {
    reservations: &'o OpenReservations,
    key: (Kind, HostKey),
}

impl OpenReservations {
    /// Admits at most this many at the same time.
    pub fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// The number of reservations that may be open at the same time.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Returns a slot for one more, as soon as there is one; `None` when `patience` ends before. `is_open` decides by
    /// the caches if one that was made is still a reservation.
    pub async fn enter<F>(&self, kind: Kind, host: &HostKey, patience: Duration, is_open: F) -> Option<Slot<'_>>
    where
        F: Fn(Kind, &HostKey) -> bool + Send + Sync,
    {
        let end = Instant::now() + patience;
        loop {
            if let Some(slot) = self.try_enter(kind, host, &is_open) {
                return Some(slot);
            }
            if Instant::now() >= end {
                return None;
            }
            sleep(POLL).await;
        }
    }

    fn try_enter(&self, kind: Kind, host: &HostKey, is_open: &dyn Fn(Kind, &HostKey) -> bool) -> Option<Slot<'_>> {
        let key = (kind, host.clone());
        let mut open = self.open.lock();
        // The caches are asked only when it matters.
        if open.len() >= self.most {
            open.retain(|(kind, host), is_made_now| *is_made_now || is_open(*kind, host));
        }
        if open.len() >= self.most && !open.contains_key(&key) {
            return None;
        }
        open.insert(key.clone(), true);
        Some(Slot { reservations: self, key })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        // From here on the caches know whether there is one.
        if let Some(is_made_now) = self.reservations.open.lock().get_mut(&self.key) {
            *is_made_now = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::kinds;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(4);

    fn key(number: u8) -> HostKey {
        HostKey::new("team-a", format!("web-{number}"))
    }

    async fn is_admitted(open: &OpenReservations, number: u8, still: &[u8]) -> bool {
        let is_open = |_, host: &HostKey| still.iter().any(|number| key(*number) == *host);
        open.enter(kinds::SERVICE, &key(number), PATIENCE, is_open).await.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_the_most_is_denied_until_another_is_served() {
        let open = OpenReservations::new(2);
        assert!(is_admitted(&open, 0, &[]).await);
        assert!(is_admitted(&open, 1, &[0]).await);
        let start = Instant::now();
        assert!(!is_admitted(&open, 2, &[0, 1]).await);
        assert!(start.elapsed() >= PATIENCE);
        assert!(is_admitted(&open, 1, &[0, 1]).await, "a renewal takes no more");
        assert!(is_admitted(&open, 2, &[1]).await, "the first was served");
        assert!(!is_admitted(&open, 3, &[1, 2]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_being_made_counts_before_the_caches_know_it() {
        let open = OpenReservations::new(1);
        let slot = open.enter(kinds::SERVICE, &key(0), PATIENCE, |_, _| false).await.unwrap();
        assert!(!is_admitted(&open, 1, &[]).await);
        drop(slot);
        assert!(is_admitted(&open, 1, &[]).await);
    }
}

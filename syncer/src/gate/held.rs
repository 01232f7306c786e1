//! Places on the host in which nothing new is created for a moment.
//!
//! A WebSocket to a pod runs its command as soon as the host has found the pod by its name.
//! While one is being opened, the name must not come to mean another pod of ours.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tenet_mapper::HostKey;
use tokio::time::{Instant, sleep};

/// Longer than any stream takes to open; a create that has waited so long goes on.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// Places in which nothing is created.
#[derive(Default)]
pub struct Held(DashMap<HostKey, usize>);

/// A place is held until this is dropped.
pub struct Hold {
    held: Arc<Held>,
    key: HostKey,
}

impl Held {
    /// Holds a place.
    pub fn hold(self: &Arc<Self>, key: &HostKey) -> Hold {
        *self.0.entry(key.clone()).or_insert(0) += 1;
        Hold { held: Arc::clone(self), key: key.clone() }
    }

    /// Waits until nobody holds a place.
    pub(super) async fn free(&self, key: &HostKey) {
        let end = Instant::now() + PATIENCE;
        while self.0.contains_key(key) && Instant::now() < end {
            sleep(LOOK).await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.held.0.entry(self.key.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_when_the_last_holder_has_gone_or_the_patience_is_over() {
        let (held, key) = (Arc::new(Held::default()), HostKey::new("team-a", "web"));
        let start = Instant::now();
        held.free(&key).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let (first, second) = (held.hold(&key), held.hold(&key));
        drop(first);
        let waiting = tokio::spawn({
            let (held, key) = (Arc::clone(&held), key.clone());
            async move { held.free(&key).await }
        });
        sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(2));

        let _forgotten = held.hold(&key);
        held.free(&key).await;
        assert!(start.elapsed() >= PATIENCE);
    }
}

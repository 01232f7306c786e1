//! Locks on names of host pods: while one is held, the gate creates no pod under that name.
//!
//! A WebSocket to a pod runs its command as soon as the host has found the pod by its name.
//! While one is being opened, the name must not be given to another pod of ours.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tenet_mapper::HostKey;
use tokio::time::{Instant, sleep};

/// Longest wait of a create, after which it goes on. It is longer than a stream takes to open.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// Held create locks, with their number of holders.
#[derive(Default)]
pub struct CreateLocks(DashMap<HostKey, usize>);

/// A create lock, held until it is dropped. Several may hold the lock of one name.
pub struct CreateLock {
    locks: Arc<CreateLocks>,
    key: HostKey,
}

impl CreateLocks {
    /// Takes the lock of a name. Only creates wait, taking a lock never does.
    pub fn lock(self: &Arc<Self>, key: &HostKey) -> CreateLock {
        *self.0.entry(key.clone()).or_insert(0) += 1;
        CreateLock { locks: Arc::clone(self), key: key.clone() }
    }

    /// Waits until the lock of a name is free.
    pub(super) async fn free(&self, key: &HostKey) {
        let end = Instant::now() + PATIENCE;
        while self.0.contains_key(key) && Instant::now() < end {
            sleep(LOOK).await;
        }
    }
}

impl Drop for CreateLock {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.locks.0.entry(self.key.clone()) {
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
    async fn a_name_is_free_when_the_last_holder_has_gone_or_the_patience_is_over() {
        let (locks, key) = (Arc::new(CreateLocks::default()), HostKey::new("team-a", "web"));
        let start = Instant::now();
        locks.free(&key).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let (first, second) = (locks.lock(&key), locks.lock(&key));
        drop(first);
        let waiting = tokio::spawn({
            let (locks, key) = (Arc::clone(&locks), key.clone());
            async move { locks.free(&key).await }
        });
        sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(2));

        let _forgotten = locks.lock(&key);
        locks.free(&key).await;
        assert!(start.elapsed() >= PATIENCE);
    }
}

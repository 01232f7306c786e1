//! Cache of answers that count for a while, so that not every request asks the API server again.

use std::hash::Hash;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

/// Maximum number of answers: a client that always sends new tokens must not fill the memory.
const CAPACITY: usize = 4096;

/// Cache of answers that count for a while.
pub(super) struct TtlCache<K: Eq + Hash, V: Clone> {
    answers: DashMap<K, (V, Instant)>,
}

impl<K: Eq + Hash, V: Clone> Default for TtlCache<K, V> {
    fn default() -> Self {
        Self { answers: DashMap::new() }
    }
}

impl<K: Eq + Hash, V: Clone> TtlCache<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entry = self.answers.get(key)?;
        (entry.1 > Instant::now()).then(|| entry.0.clone())
    }

    pub(super) fn put(&self, key: K, value: V, lifetime: Duration) {
        if self.answers.len() >= CAPACITY {
            let now = Instant::now();
            self.answers.retain(|_, (_, until)| *until > now);
            if self.answers.len() >= CAPACITY {
                self.answers.clear();
            }
        }
        self.answers.insert(key, (value, Instant::now() + lifetime));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_its_time_and_the_cache_is_bounded() {
        let cache = TtlCache::default();
        cache.put(1, "yes", Duration::from_secs(5));
        assert_eq!(cache.get(&1), Some("yes"));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(cache.get(&1), None);
        for key in 0..3 * CAPACITY {
            cache.put(key, "yes", Duration::from_secs(5));
            assert!(cache.answers.len() <= CAPACITY);
        }
    }
}

//! Watches are hints; the patrol is the truth. It looks at every key again, in the lowest
//! lane, and counts what it finds.

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::queue::Lane;

/// Objects that are looked at before others get the thread.
const STRIDE: usize = 32;

/// Patrols until it is told to stop.
pub async fn run(engine: Arc<Engine>, config: tenet_config::Live, stop: CancellationToken) {
    loop {
        let interval = *config.get().engine.patrol_interval;
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(interval.mul_f64(0.9 + engine.runtime.random() / 5.0)) => {}
        }
        let start = Instant::now();
        enqueue_all(&engine, Lane::Patrol).await;
        engine.metrics.patrolled(start.elapsed());
    }
}

/// Asks for every key that any cached object touches.
pub async fn enqueue_all(engine: &Engine, lane: Lane) {
    for (cache, _) in engine.caches.all() {
        for (count, place) in cache.places().iter().enumerate() {
            if let Some(object) = cache.get_at(place) {
                engine.router.enqueue_object(cache, &object, lane);
            }
            if count % STRIDE == STRIDE - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
}

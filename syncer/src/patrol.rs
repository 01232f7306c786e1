//! Patrol: periodic reconcile of every key in the lowest lane, in case a watch has missed a
//! change. Differences that only the patrol finds are counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tenet_mapper::{MapperId, MapperSpec, Object, Side, VirtualKey};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::elsewhere;
use crate::engine::Engine;
use crate::queue::{Key, Lane};

/// Number of objects after which the patrol yields the thread.
const STRIDE: usize = 32;

/// Time between two compactions.
const COMPACTION: Duration = Duration::from_secs(30);

/// Patrols until it is told to stop.
pub async fn run(engine: Arc<Engine>, config: tenet_config::Live, stop: CancellationToken) {
    loop {
        let interval = *config.get().engine.patrol_interval;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(engine.runtime.spread(interval)) => {}
        }
        let start = Instant::now();
        enqueue_all(&engine, Lane::Patrol).await;
        engine.metrics.patrolled(start.elapsed());
    }
}

/// Frees the memory of objects that have gone, from time to time: tables grow in bursts, and do not shrink by
/// themselves.
pub async fn compact(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(COMPACTION) => {}
        }
        engine.queue.compact();
        engine.router.compact();
        engine.gate.compact();
        for cache in engine.caches.all() {
            cache.compact();
            tokio::task::yield_now().await;
        }
        for cache in engine.caches.all_elsewhere() {
            cache.compact();
        }
    }
}

/// Enqueues every key that any cached object affects.
pub async fn enqueue_all(engine: &Engine, lane: Lane) {
    for cache in engine.caches.all() {
        visit(cache, |object| engine.router.enqueue_object(cache, &object, lane)).await;
    }
    elsewhere::enqueue(engine, None, lane);
}

/// Enqueues every key of one mapper that any cached object affects.
pub async fn enqueue_mapper(engine: &Engine, mapper: MapperId, lane: Lane) {
    let inputs = engine.mappers.get(mapper).map(|mapper| &mapper.spec().inputs);
    let read: BTreeSet<_> = inputs.into_iter().flatten().map(|input| (input.side, input.kind)).collect();
    for (side, kind) in read {
        let Some(cache) = engine.caches.get(side, kind) else { continue };
        visit(cache, |object| engine.router.enqueue_for(mapper, cache, &object, lane)).await;
    }
    elsewhere::enqueue(engine, Some(mapper), lane);
}

/// Enqueues the key of every virtual object of a mapper's kind.
pub fn enqueue_originals(engine: &Engine, spec: &MapperSpec, lane: Lane) {
    let Some(cache) = engine.caches.get(Side::Virtual, spec.kind) else { return };
    for key in cache.keys() {
        engine.queue.add(Key { mapper: spec.id, object: VirtualKey::new(&*key.namespace, &*key.name) }, lane);
    }
}

/// Shows every object of a cache, and lets others have the thread from time to time.
async fn visit(cache: &Cache, mut show: impl FnMut(Object)) {
    for (count, key) in cache.keys().iter().enumerate() {
        if let Some(object) = cache.get_at(key) {
            show(object);
        }
        if count % STRIDE == STRIDE - 1 {
            tokio::task::yield_now().await;
        }
    }
}

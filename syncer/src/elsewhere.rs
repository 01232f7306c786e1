//! Streams of host objects that mappers read where the configuration says. They start and end while the syncer runs, and
//! one whose right is missing stops no mapper: the keys that depend on it are reconciled when its state changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tenet_mapper::{Elsewhere, HostScope, Kind, Mapper, MapperId, Reading, Side, VirtualKey};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::cache::Cache;
use crate::engine::Engine;
use crate::informer::{Health, Informer, Scope};
use crate::queue::Lane;

/// The streams that run.
#[derive(Default)]
pub struct Streams {
    running: Mutex<BTreeMap<(Kind, String), Stream>>,
    changed: Arc<Notify>,
}

/// A running stream.
struct Stream {
    wanted: Wanted,
    told: Option<Reading>,
    health: Arc<RwLock<Health>>,
    audit: Arc<Audit>,
    stop: CancellationToken,
}

/// A stream that the configuration asks for.
#[derive(Clone)]
struct Wanted {
    elsewhere: Elsewhere,
    selector: Option<String>,
    /// Keys of each mapper that depend on it.
    keys: BTreeMap<MapperId, Vec<VirtualKey>>,
}

impl Streams {
    /// Compares the streams with the configuration soon.
    pub fn renew_soon(&self) {
        self.changed.notify_one();
    }

    /// The audits of the streams.
    pub fn audits(&self) -> Vec<Arc<Audit>> {
        self.running.lock().values().map(|stream| Arc::clone(&stream.audit)).collect()
    }
}

/// Keeps the streams until it is told to stop.
pub async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        renew(&engine, &stop);
        tell(&engine);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = engine.elsewhere.changed.notified() => {}
        }
    }
}

/// Returns the streams that the configuration asks for, by kind and namespace. A kind is read elsewhere by one mapper.
fn wanted(engine: &Engine) -> BTreeMap<(Kind, String), Wanted> {
    let facts = engine.facts.load();
    let mut all: BTreeMap<(Kind, String), Wanted> = BTreeMap::new();
    for spec in engine.mappers.iter().map(Mapper::spec) {
        for elsewhere in &spec.elsewhere {
            for HostScope { namespace, selector, keys } in (elsewhere.scopes)(&facts) {
                let wanted = all.entry((elsewhere.kind, namespace)).or_insert_with(|| Wanted {
                    elsewhere: *elsewhere,
                    selector,
                    keys: BTreeMap::new(),
                });
                wanted.keys.entry(spec.id).or_default().extend(keys);
            }
        }
    }
    all
}

/// Starts the streams that are missing, and ends those that are not wanted any more.
fn renew(engine: &Arc<Engine>, stop: &CancellationToken) {
    let wanted = wanted(engine);
    let mut running = engine.elsewhere.running.lock();
    running.retain(|(kind, namespace), stream| {
        let is_wanted =
            wanted.get(&(*kind, namespace.clone())).is_some_and(|wanted| wanted.selector == stream.wanted.selector);
        if !is_wanted {
            stream.stop.cancel();
            engine.caches.remove_elsewhere(*kind, namespace);
            tracing::info!(%kind, namespace, "host objects of another namespace are not read any more");
        }
        is_wanted
    });
    for ((kind, namespace), wanted) in wanted {
        if let Some(stream) = running.get_mut(&(kind, namespace.clone())) {
            // A key that is new depends on what the stream has shown already.
            if stream.wanted.keys != wanted.keys {
                stream.told = None;
            }
            stream.wanted = wanted;
        } else {
            let stream = start(engine, kind, &namespace, wanted, stop.child_token());
            running.insert((kind, namespace), stream);
        }
    }
}

fn start(engine: &Arc<Engine>, kind: Kind, namespace: &str, wanted: Wanted, stop: CancellationToken) -> Stream {
    let cache = Arc::new(Cache::new(Side::Host, kind, wanted.elsewhere.projection).elsewhere());
    cache.read_through(vec![wanted.elsewhere.projection]);
    let informer = Informer::new(
        engine.view.host.clone(),
        Scope { namespace: Some(namespace.to_owned()), selector: wanted.selector.clone() },
        Arc::clone(&cache),
        Arc::clone(&engine.router),
        Arc::clone(&engine.metrics),
        Arc::clone(&engine.claim),
        Arc::clone(&engine.runtime),
    )
    .notifying(Arc::clone(&engine.elsewhere.changed));
    let (health, audit) = (informer.health(), Arc::new(informer.audit()));
    engine.caches.add_elsewhere(namespace, cache, Arc::clone(&health));
    let stopped = stop.clone();
    engine.runtime.spawn(Box::pin(async move {
        stopped.run_until_cancelled_owned(informer.run()).await;
    }));
    Stream { wanted, told: None, health, audit, stop }
}

/// Enqueues the keys that depend on a stream whose state has changed.
fn tell(engine: &Engine) {
    for ((kind, namespace), stream) in &mut *engine.elsewhere.running.lock() {
        let reading = engine.caches.reading(*kind, namespace);
        if stream.told == Some(reading) {
            continue;
        }
        if reading == Reading::Forbidden {
            let reason = stream.health.read().failing.as_ref().map(|(_, reason)| reason.clone()).unwrap_or_default();
            tracing::warn!(%kind, namespace, reason, "host objects of another namespace cannot be read");
        }
        stream.told = Some(reading);
        for (mapper, keys) in &stream.wanted.keys {
            engine.router.enqueue_keys(*mapper, keys.iter().cloned(), Lane::Change);
        }
    }
}

/// Enqueues the keys of a mapper, or of all, that depend on what is read elsewhere.
pub fn enqueue(engine: &Engine, of: Option<MapperId>, lane: Lane) {
    for stream in engine.elsewhere.running.lock().values() {
        for (mapper, keys) in stream.wanted.keys.iter().filter(|(mapper, _)| of.is_none_or(|of| of == **mapper)) {
            engine.router.enqueue_keys(*mapper, keys.iter().cloned(), lane);
        }
    }
}

#[cfg(test)]
mod tests;

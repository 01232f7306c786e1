//! State shared by the tasks of a running syncer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tenet_mapper::{Facts, Kind, MapperId, Side};

use crate::claim::Claim;
use crate::elsewhere::Streams;
use crate::gate::Gate;
use crate::lease::Lease;
use crate::mappers::Mappers;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::router::Router;
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::view::{Caches, EngineView, MapperView};

/// State shared by the tasks of a running syncer.
pub struct Engine {
    /// The mappers; a key names one by its id.
    pub mappers: Arc<Mappers>,
    /// States of the mappers.
    pub registry: Registry,
    /// Keys to reconcile.
    pub queue: Arc<Queue>,
    /// Index from objects to the keys that they affect.
    pub router: Arc<Router>,
    /// Caches of both sides.
    pub caches: Arc<Caches>,
    /// Read access of the mappers.
    pub view: EngineView,
    /// Configuration sections of the mappers.
    pub settings: Arc<Settings>,
    /// Values that are fixed during one reconcile.
    pub facts: Arc<ArcSwap<Facts>>,
    /// Claim of both sides.
    pub claim: Arc<Claim>,
    /// Only component that writes.
    pub gate: Gate,
    /// Lease of replicas, if there are any.
    pub lease: Option<Arc<Lease>>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Components beside the mappers that are off, with the reasons.
    pub off: Mutex<BTreeMap<&'static str, String>>,
    /// Sockets that do not listen, with the reasons: this syncer is not ready.
    pub closed: Mutex<BTreeMap<&'static str, String>>,
    /// Streams of what mappers read elsewhere on the host.
    pub elsewhere: Streams,
    /// Clock, randomness and spawning.
    pub runtime: Arc<dyn Runtime>,
}

impl Engine {
    /// The view of the mapper of a kind.
    pub fn view_of(&self, kind: Kind) -> MapperView<'_> {
        let mapper = self.mappers.of_kind(kind);
        self.view.of(mapper.map_or(MapperId::new(""), |mapper| mapper.spec().id))
    }

    /// Lets the caches of one side start anew: its store was restored. The mappers stop until both sides are listed.
    pub fn start_anew(&self, side: Side) {
        self.caches.start_anew(side);
        self.registry.start_anew(self);
    }

    /// Returns true unless this replica stands by, or has lost its lease: then it writes nothing.
    pub fn may_write(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.is_held())
    }

    /// The kind of a mapper, as a label of metrics.
    pub fn kind_of(&self, mapper: MapperId) -> &'static str {
        self.mappers.get(mapper).map_or("?", |mapper| mapper.spec().kind.group_kind().label())
    }
}

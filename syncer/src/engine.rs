//! What the tasks of a running syncer share.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tenet_mapper::{Facts, Kind, MapperId};

use crate::gate::Gate;
use crate::mappers::Mappers;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::router::Router;
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::view::{Caches, EngineView, MapperView};

/// What the tasks of a running syncer share.
pub struct Engine {
    /// The mappers; a key names one by its id.
    pub mappers: Arc<Mappers>,
    /// Which mappers run.
    pub registry: Registry,
    /// What is to be looked at.
    pub queue: Arc<Queue>,
    /// Who is touched by what.
    pub router: Arc<Router>,
    /// What is known.
    pub caches: Arc<Caches>,
    /// What mappers see.
    pub view: EngineView,
    /// What the mappers bring along for the configuration.
    pub settings: Settings,
    /// What is fixed while a reconcile runs.
    pub facts: Arc<ArcSwap<Facts>>,
    /// The one place that writes.
    pub gate: Gate,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The parts beside the mappers that are off, and why.
    pub off: Mutex<BTreeMap<&'static str, String>>,
    /// Clock, randomness and spawning.
    pub runtime: Arc<dyn Runtime>,
}

impl Engine {
    /// The view of the mapper of a kind.
    pub fn view_of(&self, kind: Kind) -> MapperView<'_> {
        let mapper = self.mappers.of_kind(kind);
        self.view.of(mapper.map_or(MapperId::new(""), |mapper| mapper.spec().id))
    }

    /// The kind of a mapper, as a label of metrics.
    pub fn kind_of(&self, mapper: MapperId) -> &'static str {
        self.mappers.get(mapper).map_or("?", |mapper| mapper.spec().kind.group_kind().label())
    }
}

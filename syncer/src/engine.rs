//! What the tasks of a running syncer share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tenet_config::{Config, Names as NamesConfig, UnknownFields};
use tenet_mapper::rules::{Policy, Unknown};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::translate::{NameScheme, Names};
use tenet_mapper::{Facts, Kind, Mapper};

use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::router::{Router, numbered};
use crate::runtime::Runtime;
use crate::view::{Caches, EngineView, MapperView};

/// What the tasks of a running syncer share.
pub struct Engine {
    /// The mappers; a key names one by its index.
    pub mappers: Arc<[Box<dyn Mapper>]>,
    /// What is to be looked at.
    pub queue: Arc<Queue>,
    /// Who is touched by what.
    pub router: Arc<Router>,
    /// What is known.
    pub caches: Arc<Caches>,
    /// What mappers see.
    pub view: EngineView,
    /// What is fixed while a reconcile runs.
    pub facts: Arc<ArcSwap<Facts>>,
    /// The one place that writes.
    pub gate: Gate,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Clock, randomness and spawning.
    pub runtime: Arc<dyn Runtime>,
}

impl Engine {
    /// The view of the mapper of a kind.
    pub fn view_of(&self, kind: Kind) -> MapperView<'_> {
        let mapper = numbered(&self.mappers).find(|(_, mapper)| mapper.spec().kind == kind);
        self.view.of(mapper.map_or(u16::MAX, |(index, _)| index))
    }

    /// The name of a mapper's kind, for metrics.
    pub fn kind_of(&self, mapper: u16) -> &'static str {
        self.mappers.get(usize::from(mapper)).map_or("?", |mapper| mapper.spec().kind.kind)
    }
}

/// What the configuration means for mappers.
pub fn facts(config: &Config, cluster_id: &str, virtual_version: &str) -> Facts {
    let scheme = match config.names {
        NamesConfig::Tenet => NameScheme::Tenet,
        NamesConfig::Vcluster => NameScheme::Vcluster,
    };
    let unknown = match config.unknown_fields {
        UnknownFields::Refuse => Unknown::Refuse,
        UnknownFields::Drop => Unknown::Drop,
    };
    let mut sections = serde_json::to_value(config).unwrap_or_default();
    sections["virtual"]["service"] = Value::String(config.service_name().to_owned());
    Facts {
        names: Names::new(config.name.as_str(), config.host.namespace.as_str(), scheme),
        cluster_id: cluster_id.to_owned(),
        virtual_version: virtual_version.to_owned(),
        annotations: Globs::new(&config.annotations.allow),
        policy: Policy { unknown, allow: config.pods.allow.iter().cloned().collect() },
        config: sections,
        reservation: i64::try_from(config.webhook.reservation.as_secs()).unwrap_or(i64::MAX),
    }
}

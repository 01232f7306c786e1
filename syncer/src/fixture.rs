//! An engine for tests, between two API servers that a test makes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tenet_mapper::{Kind, Mapper, Projection, Side};

use crate::api::Api;
use crate::cache::Cache;
use crate::claim::Claim;
use crate::engine::Engine;
use crate::gate::{Gate, Parts};
use crate::informer::Health;
use crate::learn::Learnt;
use crate::mappers::Mappers;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::router::Router;
use crate::runtime::System;
use crate::settings::Settings;
use crate::view::{Caches, EngineView};

/// The UID of the virtual `kube-system` namespace.
pub(crate) const CLUSTER_ID: &str = "cluster-1";

/// The API servers of an engine, and the kinds that it caches whole, on both sides.
pub(crate) struct Fixture {
    pub(crate) virt: Api,
    pub(crate) host: Api,
    pub(crate) kinds: Vec<Kind>,
}

impl Fixture {
    /// An engine of the virtual cluster `vc-1` in the host namespace `team-a`, whose streams are all listed. No
    /// mapper runs.
    pub(crate) fn engine(self, mappers: Vec<Box<dyn Mapper>>) -> Engine {
        let Self { virt, host, kinds } = self;
        let mappers = Arc::new(Mappers::new(mappers).unwrap());
        let mut caches = Caches::default();
        for kind in kinds.into_iter().collect::<BTreeSet<_>>() {
            for side in [Side::Virtual, Side::Host] {
                let health = Health { synced: true, ..Health::default() };
                caches.add(Arc::new(Cache::new(side, kind, Projection::Whole)), Arc::new(RwLock::new(health)));
            }
        }
        let (caches, queue) = (Arc::new(caches), Arc::new(Queue::default()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let router = Router::new(Arc::clone(&mappers), Arc::clone(&queue), "vc-1", CLUSTER_ID);
        let router = Arc::new(router.counting(Arc::clone(&metrics)));
        let config = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";
        let config = tenet_config::Config::from_yaml(config, &tenet_config::Overrides::default()).unwrap();
        let facts = Arc::new(ArcSwap::from_pointee(Settings::default().facts(&config, CLUSTER_ID, "").unwrap()));
        let limit = Duration::from_secs(5);
        let claim = Arc::new(Claim::agreed_for_tests());
        let gate = Gate::new(Parts {
            virt: virt.clone(),
            claim: Arc::clone(&claim),
            host,
            caches: Arc::clone(&caches),
            router: Arc::clone(&router),
            facts: Arc::clone(&facts),
            metrics: Arc::clone(&metrics),
            runtime: Arc::new(System),
            hold: Arc::new(crate::lease::Hold::always()),
            ceiling: 8,
            limit,
        });
        let view = EngineView {
            caches: Arc::clone(&caches),
            router: Arc::clone(&router),
            defaults: Learnt::default(),
            virt,
            limit,
        };
        Engine {
            registry: Registry::new(&mappers),
            mappers,
            queue,
            router,
            caches,
            view,
            settings: Settings::default(),
            facts,
            claim,
            gate,
            lease: None,
            metrics,
            off: Mutex::default(),
            runtime: Arc::new(System),
        }
    }
}

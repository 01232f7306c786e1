//! An engine for tests, between two API servers that a test makes.

mod server;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tenet_mapper::{Kind, Mapper, Projection, Side};

use crate::api::Api;
use crate::cache::Cache;
use crate::claim::Claim;
use crate::elsewhere::Streams;
use crate::engine::Engine;
use crate::gate::{Gate, Parts};
use crate::informer::Health;
use crate::learn::Learnt;
use crate::lease::Hold;
use crate::mappers::Mappers;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::router::Router;
use crate::runtime::System;
use crate::settings::Settings;
use crate::view::{Caches, EngineView};
pub(crate) use server::{Answers, Asked, api};

/// The UID of the virtual `kube-system` namespace.
pub(crate) const CLUSTER_ID: &str = "cluster-1";

/// Parts of an engine that a test decides.
pub(crate) struct Fixture {
    virt: Api,
    host: Api,
    claim: Claim,
    hold: Hold,
    caches: Vec<Cache>,
}

impl Fixture {
    /// The API servers of an engine, and the kinds that it caches whole, on both sides. Its claim agrees.
    pub(crate) fn new(virt: Api, host: Api, kinds: &[Kind]) -> Self {
        let sides = [Side::Virtual, Side::Host];
        let caches = kinds.iter().flat_map(|kind| sides.map(|side| Cache::new(side, *kind, Projection::Whole)));
        Self { virt, host, claim: Claim::agreed_for_tests(), hold: Hold::always(), caches: caches.collect() }
    }

    pub(crate) fn claimed(self, claim: Claim) -> Self {
        Self { claim, ..self }
    }

    pub(crate) fn held(self, hold: Hold) -> Self {
        Self { hold, ..self }
    }

    pub(crate) fn caching(mut self, cache: Cache) -> Self {
        self.caches.push(cache);
        self
    }

    /// An engine of the virtual cluster `vc-1` in the host namespace `team-a`, whose streams are all listed. No
    /// mapper runs.
    pub(crate) fn engine(self, mappers: Vec<Box<dyn Mapper>>) -> Engine {
        let Self { virt, host, claim, hold, caches: all } = self;
        let mappers = Arc::new(Mappers::new(mappers).unwrap());
        let mut caches = Caches::default();
        for cache in all {
            let health = Health { synced: true, ..Health::default() };
            caches.add(Arc::new(cache), Arc::new(RwLock::new(health)));
        }
        let (caches, queue) = (Arc::new(caches), Arc::new(Queue::default()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let router = Router::new(Arc::clone(&mappers), Arc::clone(&queue), "vc-1", CLUSTER_ID);
        let config = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";
        let config = tenet_config::Config::from_yaml(config, &tenet_config::Overrides::default()).unwrap();
        let facts = Arc::new(ArcSwap::from_pointee(Settings::default().facts(&config, CLUSTER_ID, "").unwrap()));
        let router = Arc::new(router.counting(Arc::clone(&metrics)).configured(Arc::clone(&facts)));
        let limit = Duration::from_secs(5);
        let claim = Arc::new(claim);
        let gate = Gate::new(Parts {
            virt: virt.clone(),
            claim: Arc::clone(&claim),
            host: host.clone(),
            caches: Arc::clone(&caches),
            router: Arc::clone(&router),
            facts: Arc::clone(&facts),
            metrics: Arc::clone(&metrics),
            runtime: Arc::new(System),
            hold: Arc::new(hold),
            ceiling: 8,
            limit,
        });
        let view = EngineView {
            caches: Arc::clone(&caches),
            router: Arc::clone(&router),
            defaults: Learnt::default(),
            virt,
            host,
            limit,
        };
        Engine {
            registry: Registry::new(&mappers),
            mappers,
            queue,
            router,
            caches,
            view,
            settings: Arc::default(),
            facts,
            claim,
            gate,
            lease: None,
            metrics,
            off: Mutex::default(),
            closed: Mutex::default(),
            elsewhere: Streams::default(),
            runtime: Arc::new(System),
        }
    }
}

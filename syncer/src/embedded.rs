//! An engine without command line, files, signals, sockets and connections of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tenet_config::{Config, Live, Overrides};
use tenet_mapper::{Kind, Mapper, Side};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claim::{Action, run_command};
use crate::engine::Engine;
use crate::logging::LevelHandle;
use crate::refresh::Refresh;
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::supervisor::{Clients, Syncer};

/// A running engine.
pub struct Embedded {
    engine: Arc<Engine>,
}

/// A configuration, and what the mappers bring along to it. Reading one takes longer than a start.
#[derive(Clone)]
pub struct Configuration {
    config: Config,
    settings: Arc<Settings>,
}

impl Configuration {
    /// Reads a configuration for these mappers.
    pub fn read(yaml: &str, mappers: &[Box<dyn Mapper>]) -> anyhow::Result<Self> {
        let settings = Settings::of(mappers)?;
        let config = Config::from_yaml_knowing(yaml, &Overrides::default(), settings.known())?;
        Ok(Self { config, settings: Arc::new(settings) })
    }

    /// Performs a command on the claim. Returns what it prints.
    pub async fn claim(&self, clients: Clients, action: Action) -> anyhow::Result<String> {
        run_command(&self.config, clients, action).await
    }
}

/// Number of entries that an engine keeps for objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Keys in the queue: ready, waiting and at work.
    pub queue: usize,
    /// References, sources, waiting keys and last states.
    pub router: usize,
    /// Objects of each cache.
    pub caches: BTreeMap<(Side, Kind), usize>,
}

impl Embedded {
    /// Starts an engine with the mappers that its configuration was read for. Its tasks run on `runtime`, until `stop`.
    pub async fn start(
        Configuration { config, settings }: Configuration,
        mappers: Vec<Box<dyn Mapper>>,
        clients: Clients,
        runtime: Arc<dyn Runtime>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let live = Live::new(config);
        let syncer = Syncer::start(live.clone(), settings, mappers, clients, &runtime).await?;
        let engine = Arc::clone(&syncer.engine);
        let house = Refresh { engine: Arc::clone(&engine), live, reloader: None, level: LevelHandle::default() };
        syncer.spawn(house, |_, _, _| async {}, &TaskTracker::new(), stop);
        Ok(Self { engine })
    }

    /// Returns the reason while the claim permits no write.
    pub fn suspended(&self) -> Option<String> {
        self.engine.claim.check().err().map(|error| error.to_string())
    }

    /// Returns the number of differences that only the patrol or the audit has found.
    pub fn drift(&self) -> u64 {
        let kinds: BTreeSet<_> = self.engine.caches.all().iter().map(|cache| cache.kind().group_kind()).collect();
        kinds.into_iter().map(|kind| self.engine.metrics.drift(kind.label())).sum()
    }

    /// Returns the number of entries that the engine keeps for objects.
    pub fn sizes(&self) -> Sizes {
        let caches = self.engine.caches.all();
        Sizes {
            queue: self.engine.queue.len(),
            router: self.engine.router.len(),
            caches: caches.into_iter().map(|cache| ((cache.side(), cache.kind()), cache.len())).collect(),
        }
    }
}

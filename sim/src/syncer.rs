//! A syncer in a simulated world: it starts, stops, is killed, and starts again.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tenet_mapper::{Admission, Context, MapError, Mapper, MapperSpec, Outcome, Side, VirtualKey};
use tenet_syncer::api::Api;
use tenet_syncer::embed::{Clients, Configuration, Embedded, Sizes};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::network::Network;
use crate::process::{Handle, Polls, Process};
use crate::random::Random;
use crate::run::{NAME, NAMESPACE};
use crate::script::{Script, Wiring};

/// Configuration of a syncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// As it should be.
    Right,
    /// With a mistake.
    Wrong(Wiring),
}

/// Mappers that a syncer which is not complete leaves out: each costs two streams, and its objects occur in few
/// scripts.
const LEFT_OUT: [&str; 10] = [
    "coredns",
    "endpoint-slice",
    "event",
    "network-policy-notice",
    "persistent-volume",
    "persistent-volume-claim",
    "pod-disruption-budget",
    "priority-class",
    "runtime-class",
    "storage-class",
];
/// Milliseconds that a syncer which is told to stop has to end.
pub const GRACE: u64 = 5_000;

/// Extent of a syncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// True if it runs every mapper, and not only those whose kinds occur in scripts.
    pub is_complete: bool,
    /// True if it is one of two replicas with a lease.
    pub has_lease: bool,
}

impl Extent {
    /// Returns the extent that a script asks for.
    pub fn of(script: &Script) -> Self {
        Self { is_complete: script.is_deep() || script.needs_every_mapper(), has_lease: script.has_lease }
    }
}

/// A syncer, running or not.
pub struct Syncer {
    user: String,
    setup: Setup,
    extent: Extent,
    network: Arc<Network>,
    clock: Clock,
    polls: Arc<Polls>,
    random: Random,
    running: Option<Running>,
}

struct Running {
    process: Arc<Process>,
    engine: Arc<Mutex<Option<Embedded>>>,
    stop: CancellationToken,
}

impl Syncer {
    /// A syncer that does not run.
    pub fn new(
        user: &str,
        setup: Setup,
        extent: Extent,
        network: &Arc<Network>,
        clock: Clock,
        polls: &Arc<Polls>,
        random: Random,
    ) -> Self {
        let (network, polls) = (Arc::clone(network), Arc::clone(polls));
        Self { user: user.to_owned(), setup, extent, network, clock, polls, random, running: None }
    }

    /// Starts it, unless it runs.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.process().is_some_and(|process| !process.is_dead()) {
            return Ok(());
        }
        let config = config(self.setup, self.extent)?;
        self.network.start(&self.user);
        let process = Process::new(self.clock, Arc::clone(&self.polls), Random::new(self.random.draw()));
        let client = |side| Api::new(self.network.client(&process, &self.user, side));
        let (virt, host) = match self.setup {
            Setup::Wrong(Wiring::Swapped) => (client(Side::Host), client(Side::Virtual)),
            _ => (client(Side::Virtual), client(Side::Host)),
        };
        let (stop, engine) = (CancellationToken::new(), Arc::new(Mutex::new(None)));
        let runtime: Arc<dyn tenet_syncer::embed::Runtime> = Arc::new(Handle(Arc::clone(&process)));
        let (slot, token, for_engine) = (Arc::clone(&engine), stop.clone(), Arc::clone(&runtime));
        let own = Arc::clone(&process);
        runtime.spawn(Box::pin(async move {
            match Embedded::start(config, mappers(), Clients { virt, host }, for_engine, &token).await {
                Ok(embedded) => *slot.lock() = Some(embedded),
                Err(error) => {
                    tracing::error!(error = %format!("{error:#}"), "the syncer has ended");
                    own.kill();
                }
            }
        }));
        let (told, ending) = (stop.clone(), Arc::clone(&process));
        // It may also end by itself: when it loses its lease.
        tokio::spawn(async move {
            told.cancelled().await;
            sleep(Duration::from_millis(GRACE)).await;
            ending.kill();
        });
        self.running = Some(Running { process, engine, stop });
        Ok(())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.kill();
        }
    }

    /// Tells it to stop. It ends soon after.
    pub fn stop(&self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }

    /// The process, if it runs.
    pub fn process(&self) -> Option<Arc<Process>> {
        self.running.as_ref().map(|running| Arc::clone(&running.process))
    }

    /// The number of differences that only its patrol or its audit has found, if it has started.
    pub fn drift(&self) -> Option<u64> {
        self.running.as_ref()?.engine.lock().as_ref().map(Embedded::drift)
    }

    /// The number of entries that it keeps in memory.
    pub fn sizes(&self) -> Option<Sizes> {
        self.running.as_ref()?.engine.lock().as_ref().map(Embedded::sizes)
    }
}

/// The built-in mappers. They are pure functions, and building their rule tables takes longer than using them in a run.
static MAPPERS: LazyLock<Vec<Arc<dyn Mapper>>> =
    LazyLock::new(|| tenet_core_mappers::all().into_iter().map(Arc::from).collect());

/// One of the mappers, in an engine.
struct Shared(Arc<dyn Mapper>);

impl Mapper for Shared {
    fn spec(&self) -> &MapperSpec {
        self.0.spec()
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        self.0.reconcile(cx, key)
    }

    fn admission(&self) -> Option<&dyn Admission> {
        self.0.admission()
    }
}

fn mappers() -> Vec<Box<dyn Mapper>> {
    MAPPERS.iter().map(|mapper| Box::new(Shared(Arc::clone(mapper))) as Box<dyn Mapper>).collect()
}

/// Configurations, as reading one takes longer than a run.
static CONFIGS: Mutex<BTreeMap<(&'static str, Extent), Configuration>> = Mutex::new(BTreeMap::new());

fn config(setup: Setup, extent: Extent) -> anyhow::Result<Configuration> {
    let (id, name, namespace) = match setup {
        Setup::Wrong(Wiring::Namespace) => ("namespace", NAME, "elsewhere"),
        Setup::Wrong(Wiring::Name) => ("name", "vc-2", NAMESPACE),
        Setup::Right | Setup::Wrong(Wiring::Swapped) => ("right", NAME, NAMESPACE),
    };
    let mut configs = CONFIGS.lock();
    if let Some(config) = configs.get(&(id, extent)) {
        return Ok(config.clone());
    }
    let yaml = format!(
        "name: {name}\nhost:\n  namespace: {namespace}\nvirtual:\n  kubeconfig: /unused\nkubelet:\n  enabled: false\n\
         engine:\n  patrolInterval: 60s\ncoredns:\n  enabled: false\nlease:\n  enabled: {}\n{}",
        extent.has_lease,
        if extent.is_complete { String::new() } else { format!("kinds:\n  disable: [{}]\n", LEFT_OUT.join(", ")) }
    );
    let config = Configuration::read(&yaml, &mappers()).context("configuration of the simulator")?;
    configs.insert((id, extent), config.clone());
    Ok(config)
}

//! A syncer in a simulated world: it starts, stops, is killed, and starts again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use parking_lot::Mutex;
use tenet_mapper::{Admission, Context, MapError, Mapper, MapperSpec, Outcome, Side, VirtualKey};
use tenet_syncer::api::Api;
use tenet_syncer::embed::{Clients, Configuration, Embedded, Sizes};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::network::Network;
use crate::process::{Handle, Polls, Process};
use crate::random::Random;
use crate::run::{NAME, NAMESPACE};
use crate::script::Wiring;

/// Configuration of a syncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// As it should be.
    Right,
    /// With a mistake.
    Wrong(Wiring),
}

/// A syncer, running or not.
pub struct Syncer {
    user: String,
    setup: Setup,
    /// True if it runs every mapper, and not only those whose kinds occur in scripts.
    is_complete: bool,
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
    /// A syncer that does not run. If it is not complete, it leaves out mappers whose kinds occur in no script.
    pub fn new(
        user: &str,
        setup: Setup,
        is_complete: bool,
        network: &Arc<Network>,
        clock: Clock,
        polls: &Arc<Polls>,
        random: Random,
    ) -> Self {
        let (network, polls) = (Arc::clone(network), Arc::clone(polls));
        Self { user: user.to_owned(), setup, is_complete, network, clock, polls, random, running: None }
    }

    /// Starts it, unless it runs.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.process().is_some_and(|process| !process.is_dead()) {
            return Ok(());
        }
        let config = config(self.setup, self.is_complete)?;
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
        self.running = Some(Running { process, engine, stop });
        Ok(())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.kill();
        }
    }

    /// Tells it to stop; it is killed later.
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

thread_local! {
    /// Configurations, as reading one takes longer than a run.
    static CONFIGS: RefCell<BTreeMap<(&'static str, bool), Configuration>> = const { RefCell::new(BTreeMap::new()) };
}

fn config(setup: Setup, is_complete: bool) -> anyhow::Result<Configuration> {
    let (id, name, namespace) = match setup {
        Setup::Wrong(Wiring::Namespace) => ("namespace", NAME, "elsewhere"),
        Setup::Wrong(Wiring::Name) => ("name", "vc-2", NAMESPACE),
        Setup::Right | Setup::Wrong(Wiring::Swapped) => ("right", NAME, NAMESPACE),
    };
    if let Some(config) = CONFIGS.with_borrow(|configs| configs.get(&(id, is_complete)).cloned()) {
        return Ok(config);
    }
    let yaml = format!(
        "name: {name}\nhost:\n  namespace: {namespace}\nvirtual:\n  kubeconfig: /unused\nkubelet:\n  enabled: false\n\
         engine:\n  patrolInterval: 60s\ncoredns:\n  enabled: false\n{}",
        if is_complete { "" } else { "kinds:\n  disable: [endpoint-slice, persistent-volume-claim, storage-class]\n" }
    );
    let config = Configuration::read(&yaml, &mappers()).context("configuration of the simulator")?;
    CONFIGS.with_borrow_mut(|configs| configs.insert((id, is_complete), config.clone()));
    Ok(config)
}

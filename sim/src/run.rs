//! One run: a world, a syncer in it, and a script.

mod events;
mod rest;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use serde_json::json;
use tenet_mapper::kinds;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};

use crate::api::{Cluster, ClusterConfig, Snapshot};
use crate::clock::Clock;
use crate::network::{Clusters, Network};
use crate::oracle::{Failure, Oracle, Picture, Promise, SYNCER};
use crate::process::Polls;
use crate::random::Random;
use crate::script::{Fault, Script};
use crate::syncer::{Extent, Setup, Syncer};
use crate::world::{self, HostUser, Nodes, Tenant, Webhook};
use events::Event;

/// Name of the virtual cluster.
pub const NAME: &str = "vc";
/// Namespace of the host.
pub const NAMESPACE: &str = "tenets";
/// Number of nodes of the host.
const NODES: u64 = 2;
/// Pause of a kubelet before it starts a process again.
const RESTART: Duration = Duration::from_secs(1);
/// Pause of the controllers before they react.
const REACTION: Duration = Duration::from_millis(20);
/// Longest time that a late request is on its way.
const LATEST: Duration = Duration::from_secs(30);
/// Simulated time after which a run has failed: several times what the longest ones take.
const LONGEST: Duration = Duration::from_secs(4 * 3_600);
/// Number of polls of all syncers after which a run has failed, as its time may stand still.
const MOST_POLLS: u64 = 50_000_000;

/// Result of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Broken promises.
    pub failures: Vec<Failure>,
    /// Number of times that each kind of fault took effect.
    pub hits: BTreeMap<&'static str, u64>,
    /// Digest of both audit logs.
    pub digest: u64,
    /// Number of entries of both audit logs.
    pub entries: u64,
    /// Simulated time.
    pub time: Duration,
    /// The last entries of the audit logs.
    pub log: Vec<String>,
    /// The end state.
    pub picture: Picture,
}

/// Runs a script. The same script always gives the same report.
pub fn run(script: &Script, is_verbose: bool) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async { World::new(script, is_verbose)?.run().await })
}

/// A second replica, which starts again whenever it has ended.
struct Replica {
    syncer: Arc<Mutex<Syncer>>,
    kubelet: AbortHandle,
}

struct World {
    script: Script,
    clock: Clock,
    clusters: Clusters,
    network: Arc<Network>,
    oracle: Arc<Mutex<Oracle>>,
    syncer: Syncer,
    /// The other replica, where there is a lease.
    replica: Option<Replica>,
    others: Vec<Syncer>,
    tenant: Arc<Mutex<Tenant>>,
    nodes: Arc<Mutex<Nodes>>,
    nodes_changed: Arc<Notify>,
    user: HostUser,
    agenda: BTreeMap<(u64, usize), Event>,
    planned: usize,
    /// Milliseconds from the death of the syncer to its next start.
    pause: u64,
    backups: BTreeMap<usize, Snapshot>,
    actors: JoinSet<()>,
    polls: Arc<Polls>,
}

impl World {
    fn new(script: &Script, is_verbose: bool) -> anyhow::Result<Self> {
        let (clock, seed) = (Clock::start(), script.seed);
        let cluster = |name: &str, history| {
            Cluster::new(ClusterConfig {
                name: name.to_owned(),
                seed: Random::of(seed, name).draw(),
                clock: clock.of_cluster(),
                history,
                ..ClusterConfig::default()
            })
        };
        let clusters = Clusters { virt: cluster("virtual", 5_000), host: cluster("host", 5_000) };
        for namespace in [NAMESPACE, "elsewhere"] {
            let created =
                clusters.host.create(world::ADMIN, kinds::NAMESPACE, "", json!({"metadata": {"name": namespace}}));
            created.map_err(|status| anyhow::anyhow!("{}", status.message)).context("namespace of the host")?;
        }
        if script.mutates {
            clusters.host.set_admission(Some(world::admission()));
        }
        let mut oracle = Oracle::new(NAMESPACE, &clusters.virt.cluster_id(), is_verbose);
        // Two syncers may know different states, and one that begins with an old list catches up.
        if script.has_lease || script.has(|fault| matches!(fault, Fault::Second | Fault::Wrong(_) | Fault::Stale(..))) {
            oracle.excuse_order();
        }
        if script.has_lease {
            oracle.expect_one_writer();
        }
        if script.has(|fault| matches!(fault, Fault::Late(..))) {
            oracle.excuse_writers();
            oracle.expect_late(LATEST);
        }
        if script.faults.is_empty() {
            oracle.expect_prompt();
        }
        let oracle = Arc::new(Mutex::new(oracle));
        let network = Network::new(clusters.clone(), Arc::clone(&oracle), Random::of(seed, "latency"));
        let polls = Polls::new(MOST_POLLS);
        let (extent, random) = (Extent::of(script), Random::of(seed, "syncer"));
        let syncer = Syncer::new(SYNCER, Setup::Right, extent, &network, clock, &polls, random);
        let nodes = Nodes::new(clusters.host.clone(), clock, Random::of(seed, "nodes"), NODES);
        let webhook = Webhook::new(clusters.virt.clone(), clusters.host.clone(), clock);
        let mut world = Self {
            script: script.clone(),
            clock,
            network,
            oracle,
            syncer,
            replica: None,
            others: Vec::new(),
            tenant: Arc::new(Mutex::new(Tenant::new(clusters.virt.clone(), webhook))),
            nodes: Arc::new(Mutex::new(nodes)),
            nodes_changed: Arc::default(),
            user: HostUser::new(clusters.host.clone(), NAMESPACE),
            clusters,
            agenda: BTreeMap::new(),
            planned: 0,
            pause: 1_000,
            backups: BTreeMap::new(),
            actors: JoinSet::new(),
            polls,
        };
        world.plan_script();
        Ok(world)
    }

    /// Spawns the actors that act by themselves.
    fn spawn_actors(&mut self) {
        let virt = self.clusters.virt.clone();
        self.actors.spawn(react(virt, world::on_virtual));
        let host = self.clusters.host.clone();
        self.actors.spawn(react(host, world::on_host));
        let (nodes, host) = (Arc::clone(&self.nodes), self.clusters.host.clone());
        let changed = Arc::clone(&self.nodes_changed);
        self.actors.spawn(async move {
            loop {
                let seen = host.version();
                let next = nodes.lock().act();
                let due = async {
                    match next {
                        Some(next) => sleep_until(next).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    _ = host.changed(seen) => sleep(Duration::from_millis(3)).await,
                    () = changed.notified() => {}
                    () = due => {}
                }
            }
        });
    }

    async fn run(mut self) -> anyhow::Result<Report> {
        self.spawn_actors();
        let polls = Arc::clone(&self.polls);
        let ended = tokio::select! {
            biased;
            () = polls.exhausted() => None,
            ended = timeout(LONGEST, self.act_and_rest()) => ended.ok(),
        };
        let picture = ended.transpose()?;
        if picture.is_none() {
            let (at, spent) = (self.clock.elapsed(), polls.spent());
            self.oracle.lock().fail(Promise::Rest, format!("the run does not end: {spent} polls in {at:?}"));
        }
        let picture = picture.unwrap_or_default();
        let panics = self.syncer.process().map_or(0, |process| process.panics());
        let mut oracle = self.oracle.lock();
        if panics > 0 {
            oracle.fail(Promise::Panic, format!("{panics} tasks of the syncer panicked"));
        }
        self.syncer.kill();
        Ok(Report {
            failures: oracle.failures().to_vec(),
            hits: self.network.hits(),
            digest: oracle.digest(),
            entries: oracle.entries(),
            time: self.clock.elapsed(),
            log: oracle.log(),
            picture,
        })
    }

    /// Performs the script, waits for rest, and deletes everything. Returns the end state.
    async fn act_and_rest(&mut self) -> anyhow::Result<Picture> {
        self.syncer.start()?;
        if self.script.has_lease {
            self.start_replica()?;
        }
        self.perform().await?;
        self.recover()?;
        let is_at_rest = self.come_to_rest().await?;
        if !is_at_rest || self.script.needs_person() {
            return Ok(Picture::default());
        }
        let picture = Picture::take(&self.script, &self.clusters, NAMESPACE);
        self.oracle.lock().check_end(&self.clusters);
        self.end_replica();
        self.tear_down().await?;
        Ok(picture)
    }

    fn start_replica(&mut self) -> anyhow::Result<()> {
        let (extent, random) = (Extent::of(&self.script), Random::of(self.script.seed, "replica"));
        let user = format!("{SYNCER}-replica");
        let mut syncer = Syncer::new(&user, Setup::Right, extent, &self.network, self.clock, &self.polls, random);
        syncer.start()?;
        let syncer = Arc::new(Mutex::new(syncer));
        let kubelet = self.actors.spawn(keep_running(Arc::clone(&syncer)));
        self.replica = Some(Replica { syncer, kubelet });
        Ok(())
    }

    /// Ends the second replica, so that the first one has the lease from now on.
    fn end_replica(&mut self) {
        if let Some(Replica { syncer, kubelet }) = self.replica.take() {
            kubelet.abort();
            syncer.lock().kill();
        }
    }

    /// Performs the script.
    async fn perform(&mut self) -> anyhow::Result<()> {
        loop {
            let Some(((at, _), _)) = self.agenda.first_key_value() else { return Ok(()) };
            let at = self.clock.at(*at);
            let process = self.syncer.process();
            let died = async {
                match process {
                    Some(process) => process.died().await,
                    None => std::future::pending().await,
                }
            };
            let tenant = Arc::clone(&self.tenant);
            let retry = async {
                loop {
                    if tenant.lock().is_done() {
                        std::future::pending::<()>().await;
                    }
                    sleep(Duration::from_millis(500)).await;
                    tenant.lock().act();
                }
            };
            tokio::select! {
                biased;
                () = died => {
                    self.oracle.lock().note(format!("{:?} the syncer was killed", self.clock.elapsed()));
                    self.syncer.kill();
                    // A second start would follow the next death, and so on without an end.
                    if !self.agenda.values().any(|event| matches!(event, Event::Start)) {
                        self.plan_in(self.pause, Event::Start);
                    }
                }
                () = sleep_until(at) => {
                    if let Some((_, event)) = self.agenda.pop_first() {
                        self.happen(event)?;
                    }
                }
                () = retry => {}
            }
        }
    }
}

/// Lets controllers react to every change of a cluster.
async fn react(cluster: Cluster, controllers: fn(&Cluster)) {
    loop {
        let seen = cluster.version();
        controllers(&cluster);
        cluster.changed(seen).await;
        sleep(REACTION).await;
    }
}

/// Starts a syncer again whenever it has ended, as a kubelet does.
async fn keep_running(syncer: Arc<Mutex<Syncer>>) {
    loop {
        let process = syncer.lock().process();
        let Some(process) = process else { return };
        process.died().await;
        sleep(RESTART).await;
        if let Err(error) = syncer.lock().start() {
            tracing::error!(error = %format!("{error:#}"), "the replica does not start");
            return;
        }
    }
}

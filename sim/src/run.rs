//! One run: a world, a syncer in it, and a script.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use serde_json::json;
use tenet_mapper::{Side, kinds};
use tenet_syncer::embed::Sizes;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Cluster, ClusterConfig, Snapshot};
use crate::clock::Clock;
use crate::network::{Clusters, Network};
use crate::oracle::{Failure, Oracle, Picture, Promise, SYNCER};
use crate::random::Random;
use crate::script::{Act, Fault, Planned, Script};
use crate::syncer::{Setup, Syncer};
use crate::world::{self, HostUser, Nodes, Tenant};

/// Name of the virtual cluster.
pub const NAME: &str = "vc";
/// Namespace of the host.
pub const NAMESPACE: &str = "tenets";
/// Number of nodes of the host.
const NODES: u64 = 2;
/// Time without any change after which a world is at rest: longer than a patrol, an audit and the backoff of a failure
/// that passes.
const REST: Duration = Duration::from_secs(140);
/// The same where the host has rejected something: the backoff of a rejection is longer.
const LONG_REST: Duration = Duration::from_secs(420);
/// Time in which a world must come to rest.
const LONGEST: Duration = Duration::from_secs(2_400);
/// Time without any change after the teardown and after a restart.
const SHORT_REST: Duration = Duration::from_secs(60);
/// Pause of the controllers before they react.
const REACTION: Duration = Duration::from_millis(20);

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

/// Something that happens at a time.
#[derive(Clone, Debug)]
enum Event {
    Act(Act),
    Begin(Planned),
    /// A backup is made, for the fault with this number.
    Backup(usize, Side),
    /// A backup is restored.
    Restore(usize, Side),
    Start,
    Kill,
    EndOther(usize),
    /// The last fault ends.
    End,
}

struct World {
    script: Script,
    clock: Clock,
    clusters: Clusters,
    network: Arc<Network>,
    oracle: Arc<Mutex<Oracle>>,
    syncer: Syncer,
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
        let oracle = Arc::new(Mutex::new(Oracle::new(NAMESPACE, &clusters.virt.cluster_id(), is_verbose)));
        let network = Network::new(clusters.clone(), Arc::clone(&oracle), Random::of(seed, "latency"));
        let syncer = Syncer::new(SYNCER, Setup::Right, &network, clock, Random::of(seed, "syncer"));
        let nodes = Nodes::new(clusters.host.clone(), clock, Random::of(seed, "nodes"), NODES);
        let mut world = Self {
            script: script.clone(),
            clock,
            network,
            oracle,
            syncer,
            others: Vec::new(),
            tenant: Arc::new(Mutex::new(Tenant::new(clusters.virt.clone()))),
            nodes: Arc::new(Mutex::new(nodes)),
            nodes_changed: Arc::default(),
            user: HostUser::new(clusters.host.clone(), NAMESPACE),
            clusters,
            agenda: BTreeMap::new(),
            planned: 0,
            pause: 1_000,
            backups: BTreeMap::new(),
            actors: JoinSet::new(),
        };
        world.plan_script();
        Ok(world)
    }

    fn plan_script(&mut self) {
        self.plan(self.script.end(), Event::End);
        for step in self.script.steps.clone() {
            self.plan(step.at, Event::Act(step.act));
        }
        for (number, planned) in self.script.faults.clone().into_iter().enumerate() {
            if let Fault::Rewind(side, back) = planned.fault {
                self.plan(planned.at.saturating_sub(back), Event::Backup(number, side));
                self.plan(planned.at, Event::Restore(number, side));
            } else {
                self.plan(planned.at, Event::Begin(planned));
            }
        }
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), event);
    }

    fn plan_in(&mut self, millis: u64, event: Event) {
        let now = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.plan(now + millis, event);
    }

    /// Spawns everybody who acts by themselves.
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
        self.syncer.start()?;
        self.perform().await?;
        self.recover()?;
        let is_at_rest = self.settle(self.rest()).await?;
        let mut picture = Picture::default();
        if is_at_rest && !self.script.needs_person() {
            picture = Picture::take(&self.script, &self.clusters, NAMESPACE);
            self.oracle.lock().check_end(&self.clusters);
            self.tear_down().await?;
        }
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

    /// Time without any change after which the world is at rest.
    fn rest(&self) -> Duration {
        let rejects = |act: &Act| matches!(act, Act::Foreign(_) | Act::Damage(..));
        if self.script.steps.iter().any(|step| rejects(&step.act)) { LONG_REST } else { REST }
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
                    self.plan_in(self.pause, Event::Start);
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

    fn happen(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Act(act) => self.act(&act),
            Event::Begin(planned) => self.begin(planned)?,
            Event::Backup(number, side) => drop(self.backups.insert(number, self.clusters.of(side).snapshot())),
            Event::Restore(number, side) => {
                if let Some(backup) = self.backups.get(&number) {
                    self.clusters.of(side).restore(backup);
                    self.renew("rewind");
                }
            }
            Event::Start => self.syncer.start()?,
            Event::Kill => self.syncer.kill(),
            Event::End => {}
            Event::EndOther(index) => {
                if let Some(other) = self.others.get_mut(index) {
                    other.kill();
                }
            }
        }
        Ok(())
    }

    fn act(&mut self, act: &Act) {
        if act.is_of_tenant() {
            let mut tenant = self.tenant.lock();
            tenant.intend(act.clone());
            tenant.act();
            return;
        }
        match act {
            Act::NodeDown(index) => self.nodes.lock().fail(*index),
            Act::NodeUp(index) => self.nodes.lock().recover(*index),
            act => {
                if self.user.act(act) && matches!(act, Act::Damage(..)) {
                    self.network.count("hostile writer");
                }
            }
        }
        self.nodes_changed.notify_one();
    }

    fn begin(&mut self, planned: Planned) -> anyhow::Result<()> {
        let length = Duration::from_millis(planned.length);
        self.oracle.lock().note(format!("{:?} fault {:?} for {length:?}", self.clock.elapsed(), planned.fault));
        match planned.fault {
            Fault::Crash(crate::script::Moment::Poll(polls)) => {
                if let Some(process) = self.syncer.process() {
                    process.kill_after(polls);
                    self.network.count(planned.fault.kind());
                }
                self.pause = planned.length;
            }
            Fault::Crash(_) => {
                self.network.begin(planned);
                self.pause = planned.length;
            }
            Fault::Stop => {
                self.syncer.stop();
                self.network.count(planned.fault.kind());
                self.plan_in(5_000, Event::Kill);
                self.plan_in(5_000 + planned.length, Event::Start);
            }
            Fault::Cut(side) => {
                self.clusters.of(side).cut_watches();
                self.network.count(planned.fault.kind());
            }
            Fault::Compact(side) => {
                let cluster = self.clusters.of(side);
                cluster.compact(cluster.version());
                cluster.cut_watches();
                self.network.count(planned.fault.kind());
            }
            Fault::Replace(side) => {
                self.clusters.of(side).replace();
                self.renew(planned.fault.kind());
            }
            Fault::Second | Fault::Wrong(_) => {
                let setup = match planned.fault {
                    Fault::Wrong(wiring) => Setup::Wrong(wiring),
                    _ => Setup::Right,
                };
                let (index, random) = (self.others.len(), Random::new(planned.seed));
                let user = format!("{SYNCER}-{}", index + 2);
                let mut other = Syncer::new(&user, setup, &self.network, self.clock, random);
                other.start()?;
                self.others.push(other);
                self.network.count(planned.fault.kind());
                self.plan_in(planned.length, Event::EndOther(index));
            }
            _ => self.network.begin(planned),
        }
        if misses_events(planned.fault) {
            self.oracle.lock().blind(length + Duration::from_secs(90));
        }
        Ok(())
    }

    /// The oracle starts anew after a cluster went back or was replaced.
    fn renew(&mut self, kind: &'static str) {
        self.network.count(kind);
        self.oracle.lock().forget(&self.clusters.virt.cluster_id());
    }

    /// Ends all faults, and lets the syncer run.
    fn recover(&mut self) -> anyhow::Result<()> {
        self.network.heal();
        if let Some(process) = self.syncer.process() {
            process.spare();
        }
        self.others.iter_mut().for_each(Syncer::kill);
        self.nodes.lock().heal();
        self.nodes_changed.notify_one();
        self.oracle.lock().note(format!("{:?} all faults have ended", self.clock.elapsed()));
        self.syncer.start()
    }

    /// Waits until nothing has changed for a time. Returns false if that does not happen.
    async fn settle(&mut self, rest: Duration) -> anyhow::Result<bool> {
        let versions = |clusters: &Clusters| (clusters.virt.version(), clusters.host.version());
        let (start, mut seen, mut since) = (Instant::now(), versions(&self.clusters), Instant::now());
        while since.elapsed() < rest {
            sleep(Duration::from_secs(2)).await;
            self.tenant.lock().act();
            // A syncer that ends by itself is started again, as a kubelet does.
            self.syncer.start()?;
            let now = versions(&self.clusters);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if start.elapsed() > LONGEST {
                let mut oracle = self.oracle.lock();
                let last = oracle.last_write().map_or_else(|| "none".to_owned(), |(_, line)| line);
                oracle.fail(Promise::Rest, format!("the world does not come to rest; last write: {last}"));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes everything, and checks that nothing is left: on the host, in the memory of the syncer.
    async fn tear_down(&mut self) -> anyhow::Result<()> {
        self.oracle.lock().note(format!("{:?} the tenant deletes everything", self.clock.elapsed()));
        self.user.clear();
        self.tenant.lock().clear();
        if !self.settle(SHORT_REST).await? {
            return Ok(());
        }
        self.oracle.lock().check_end(&self.clusters);
        let before = self.calm_sizes().await;
        self.syncer.kill();
        let entries = self.writes();
        self.syncer.start()?;
        if !self.settle(SHORT_REST).await? {
            return Ok(());
        }
        let after = self.calm_sizes().await;
        let mut oracle = self.oracle.lock();
        if self.writes() != entries {
            let last = oracle.last_write().map_or_else(String::new, |(_, line)| line);
            oracle.fail(Promise::Rest, format!("a restart at rest wrote: {last}"));
        }
        if before != after {
            oracle.fail(Promise::Memory, format!("the syncer keeps {before:?}, and {after:?} after a restart"));
        }
        Ok(())
    }

    /// Returns what the syncer keeps in memory while no patrol is at work.
    async fn calm_sizes(&self) -> Option<Sizes> {
        let mut calm: Option<Sizes> = None;
        for _ in 0..10 {
            let now = self.syncer.sizes();
            if calm.as_ref().is_none_or(|calm| now.as_ref().is_some_and(|now| now.queue < calm.queue)) {
                calm = now;
            }
            sleep(Duration::from_millis(700)).await;
        }
        calm
    }

    fn writes(&self) -> (u64, u64) {
        (self.clusters.virt.version(), self.clusters.host.version())
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

/// Returns true if the syncer may miss the end of an object during a fault.
fn misses_events(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Crash(_)
            | Fault::Stop
            | Fault::Silence(_)
            | Fault::Swallow(..)
            | Fault::Compact(_)
            | Fault::Status { .. }
            | Fault::Stale(..)
            | Fault::Replace(_)
            | Fault::Drop(..)
            | Fault::Hang(..)
            | Fault::LostAnswer(..)
            | Fault::HangAnswer(..)
    )
}

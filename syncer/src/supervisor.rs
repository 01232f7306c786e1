//! Start order and end of a syncer.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tenet_config::{Config, Live, Reloader};
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::{Facts, Kind, Mapper, Projection, Side};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::args::Args;
use crate::cache::Cache;
use crate::claim::{self, Claim};
use crate::elsewhere::Streams;
use crate::engine::Engine;
use crate::gate::{Gate, Parts};
use crate::handle::{EngineHandle, Sockets};
use crate::informer::{Informer, Scope, is_selected};
use crate::learn::Learnt;
use crate::lease::{Hold, Lease};
use crate::mappers::{self, Mappers};
use crate::metrics::Metrics;
use crate::panics::restart;
use crate::queue::Queue;
use crate::refresh::{Refresh, version};
use crate::registry::Registry;
use crate::router::Router;
use crate::runtime::{Runtime, System};
use crate::settings::Settings;
use crate::view::{Caches, EngineView};
use crate::{admin, audit, connect, elsewhere, lease, logging, patrol, worker};

/// Time for requests in flight after a signal to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Runs a syncer with these mappers and sockets until SIGTERM or SIGINT.
pub async fn run(args: Args, mappers: Vec<Box<dyn Mapper>>, sockets: impl Sockets) -> anyhow::Result<()> {
    let settings = Arc::new(Settings::of(&mappers)?);
    if args.schema {
        println!("{:#}", tenet_config::schema(settings.known()));
        return Ok(());
    }
    let config = Config::load_knowing(args.config.as_deref(), &args.overrides(), settings.known())?;
    let level = logging::start(&config.log).map_err(anyhow::Error::msg).context("log.level")?;
    let live = Live::new(config);
    let reloader = |file| Reloader::new(live.clone(), file, args.overrides()).knowing(settings.known().clone());
    let reloader = args.config.clone().map(reloader);
    let config = live.get();
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;

    let listener =
        admin::listen(config.admin.listen).await.with_context(|| format!("admin.listen {}", config.admin.listen))?;
    let handle: admin::Handle = Arc::new(OnceLock::new());
    let (tasks, runtime): (_, Arc<dyn Runtime>) = (TaskTracker::new(), Arc::new(System));
    spawn(&*runtime, &tasks, admin::serve(listener, Arc::clone(&handle), stop.clone()));
    tracing::info!(name = config.name, namespace = config.host.namespace, admin = %config.admin.listen, "tenet-syncer starts");

    let connected =
        async { Syncer::start(live.clone(), settings, mappers, Clients::connect(&config).await?, &runtime).await };
    let started = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        started = connected => Some(started?),
    };
    let (mut replaced, mut lease) = (false, None);
    if let Some(syncer) = started {
        let engine = Arc::clone(&syncer.engine);
        lease.clone_from(&engine.lease);
        drop(handle.set(Arc::clone(&engine)));
        let house = Refresh { engine: Arc::clone(&engine), live, reloader, level };
        syncer.spawn(house, sockets, &tasks, &stop);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = engine.claim.replaced() => replaced = true,
        }
        stop.cancel();
    }
    tasks.close();
    if timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("shutdown timed out: a restart resumes the unfinished work");
    }
    tracing::info!("tenet-syncer ends");
    anyhow::ensure!(!replaced, "another cluster was adopted while this syncer ran: start it again");
    match lease.and_then(|lease| lease.lost()) {
        Some(lost) => Err(anyhow::Error::new(lost)),
        None => Ok(()),
    }
}

/// The two API servers between which a syncer runs.
pub struct Clients {
    /// The virtual one.
    pub virt: Api,
    /// The host's.
    pub host: Api,
}

impl Clients {
    /// Connects to the API servers that the configuration names.
    async fn connect(config: &Config) -> anyhow::Result<Self> {
        Ok(Self { host: connect::host(config).await?, virt: connect::virt(config).await? })
    }
}

/// An engine with its informers, before its tasks run.
pub(crate) struct Syncer {
    pub(crate) engine: Arc<Engine>,
    informers: Vec<Informer>,
    live: Live,
}

impl Syncer {
    /// Checks that both clusters belong together, and builds the engine.
    pub(crate) async fn start(
        live: Live,
        settings: Arc<Settings>,
        mappers: Vec<Box<dyn Mapper>>,
        clients: Clients,
        runtime: &Arc<dyn Runtime>,
    ) -> anyhow::Result<Self> {
        let config = &*live.get();
        let Clients { virt, host } = clients;
        let limit = *config.engine.request_timeout;
        let (enabled, mut mappers) = (mappers::enabled(&config.kinds, &mappers), mappers);
        mappers.retain(|mapper| enabled.contains(&mapper.spec().id));
        let mappers = Arc::new(Mappers::new(mappers)?);

        let claim = Arc::new(Claim::new(claim::wiring(config), virt.clone(), host.clone(), limit));
        let hold = Arc::new(if config.lease.enabled { Hold::default() } else { Hold::always() });
        let lease = Lease::of(config, &host, &hold, runtime)?.map(Arc::new);
        claim.establish(lease.as_deref()).await?;
        let cluster_id = claim.cluster_id();
        let virtual_version = version(&virt, limit).await.unwrap_or_default();
        tracing::info!(cluster_id, virtual_version, "connected to the virtual API server");

        let metrics = Arc::new(Metrics::new().context("metrics")?);
        metrics.claim.agrees(true);
        for mapper in mappers.iter() {
            metrics.announce(mapper.spec().kind.group_kind().label());
        }
        let queue = Arc::new(Queue::new(usize::from(config.engine.workers)));
        let router = Router::new(Arc::clone(&mappers), Arc::clone(&queue), &config.name, &cluster_id);
        let facts = settings.facts(config, &cluster_id, &virtual_version)?;
        let facts = Facts { host_namespace_uid: claim.host_namespace_uid(), mappers: enabled, ..facts };
        let facts = Arc::new(ArcSwap::from_pointee(facts));
        let router = Arc::new(router.counting(Arc::clone(&metrics)).configured(Arc::clone(&facts)));

        let (mut caches, mut informers) = (Caches::default(), Vec::new());
        let changed = caches.changed();
        for ((side, kind), plan) in plans(&mappers) {
            let mut cache = Cache::new(side, kind, plan.projection);
            if let Some(projection) = plan.foreign {
                cache = cache.cutting_foreign(&config.name, projection);
            }
            let cache = Arc::new(cache);
            cache.read_through(router.readers(side, kind));
            let api = if side == Side::Host { &host } else { &virt };
            for scope in scopes(config, side, kind, &plan) {
                let informer = Informer::new(
                    api.clone(),
                    scope,
                    Arc::clone(&cache),
                    Arc::clone(&router),
                    Arc::clone(&metrics),
                    Arc::clone(&claim),
                    Arc::clone(runtime),
                )
                .notifying(Arc::clone(&changed));
                caches.add(Arc::clone(&cache), informer.health());
                informers.push(informer);
            }
        }
        let caches = Arc::new(caches);
        let view = EngineView {
            caches: Arc::clone(&caches),
            router: Arc::clone(&router),
            defaults: Learnt::default(),
            virt: virt.clone(),
            host: host.clone(),
            limit,
        };
        let gate = Gate::new(Parts {
            virt,
            host,
            caches: Arc::clone(&caches),
            router: Arc::clone(&router),
            facts: Arc::clone(&facts),
            metrics: Arc::clone(&metrics),
            claim: Arc::clone(&claim),
            runtime: Arc::clone(runtime),
            hold,
            ceiling: usize::from(config.engine.max_in_flight),
            limit,
        });
        gate.release(&config.breaker.release);
        gate.set_budget(&config.budget);
        let (registry, runtime) = (Registry::new(&mappers), Arc::clone(runtime));
        let engine = Engine {
            mappers,
            registry,
            queue,
            router,
            caches,
            view,
            settings,
            facts,
            claim,
            gate,
            lease,
            metrics,
            off: Mutex::default(),
            closed: Mutex::default(),
            elsewhere: Streams::default(),
            runtime,
        };
        Ok(Self { engine: Arc::new(engine), informers, live })
    }

    /// Spawns the tasks, which run until `stop`.
    pub(crate) fn spawn(self, house: Refresh, sockets: impl Sockets, tasks: &TaskTracker, stop: &CancellationToken) {
        let Self { engine, informers, live } = self;
        let runtime = Arc::clone(&engine.runtime);
        let (audits, audited): (Arc<[_]>, _) = (informers.iter().map(Informer::audit).collect(), live.clone());
        keep(&engine, tasks, "audit", stop, move |engine, stop| {
            audit::run(engine, Arc::clone(&audits), audited.clone(), stop)
        });
        for informer in informers {
            // It holds no state, so the shutdown does not wait for it.
            let stop = stop.clone();
            runtime.spawn(Box::pin(async move {
                stop.run_until_cancelled_owned(informer.run()).await;
            }));
        }
        keep(&engine, tasks, "elsewhere", stop, elsewhere::run);
        let house = Arc::new(tokio::sync::Mutex::new(house));
        keep(&engine, tasks, "refresh", stop, move |_, stop| {
            let house = Arc::clone(&house);
            async move { house.lock().await.run(stop).await }
        });
        keep(&engine, tasks, "claim", stop, |engine, stop| Arc::clone(&engine.claim).watch(engine, stop));
        let sockets = sockets.serve(Arc::clone(&engine) as Arc<dyn EngineHandle>, live.clone(), stop.clone());
        spawn(&*runtime, tasks, sockets);
        spawn(&*runtime, tasks, lead(engine, live, stop.clone()));
    }
}

/// Works once this process may write.
async fn lead(engine: Arc<Engine>, live: Live, stop: CancellationToken) {
    let (runtime, lease) = (Arc::clone(&engine.runtime), engine.lease.clone());
    if stop.run_until_cancelled(lease::acquire(lease.as_deref())).await.is_none() {
        return;
    }
    let tasks = TaskTracker::new();
    spawn(&*runtime, &tasks, work(Arc::clone(&engine), live, stop.clone()));
    lease::hold_until(lease.as_deref(), &stop).await;
    tasks.close();
    let closing = Box::pin(engine.claim.close(&engine));
    if let Some(lease) = &lease {
        // The gate admits no more writes meanwhile, so the next replica need not wait for what the tasks still read.
        lease.release(closing).await;
        tasks.wait().await;
    } else {
        tasks.wait().await;
        closing.await;
    }
}

/// Runs worker, patrol, and the registry that starts each mapper after its streams are listed, so that
/// no reconcile sees an incomplete list.
async fn work(engine: Arc<Engine>, live: Live, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    keep(&engine, &tasks, "registry", &stop, Registry::run);
    keep(&engine, &tasks, "worker", &stop, worker::run);
    keep(&engine, &tasks, "compaction", &stop, patrol::compact);
    keep(&engine, &tasks, "patrol", &stop, move |engine, stop| patrol::run(engine, live.clone(), stop));
    tasks.close();
    tasks.wait().await;
}

/// Runs a task that starts again when it panics, and whose end the tracker waits for.
fn keep<F: Future<Output = ()> + Send + 'static>(
    engine: &Arc<Engine>,
    tasks: &TaskTracker,
    task: &'static str,
    stop: &CancellationToken,
    run: impl Fn(Arc<Engine>, CancellationToken) -> F + Send + 'static,
) {
    let (shared, stop) = (Arc::clone(engine), stop.clone());
    let run = move || run(Arc::clone(&shared), stop.clone());
    spawn(&*engine.runtime, tasks, restart(Arc::clone(&engine.metrics), task, run));
}

/// Runs a task whose end the tracker waits for.
fn spawn(runtime: &dyn Runtime, tasks: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
    runtime.spawn(Box::pin(tasks.track_future(task)));
}

/// Requirements on one stream.
struct Demand {
    projection: Projection,
    /// Projection of objects of the host that are not ours; `None` when nobody reads them.
    foreign: Option<Projection>,
    selector: Option<&'static str>,
}

/// One stream per side and kind, whatever number of mappers read it.
fn plans(mappers: &Mappers) -> BTreeMap<(Side, Kind), Demand> {
    let mut plans: BTreeMap<(Side, Kind), Demand> = BTreeMap::new();
    for input in mappers.iter().flat_map(|mapper| &mapper.spec().inputs) {
        let foreign = input.foreign.then_some(input.projection);
        plans
            .entry((input.side, input.kind))
            .and_modify(|plan| {
                plan.projection = plan.projection.union(&input.projection);
                plan.foreign = plan.foreign.into_iter().chain(foreign).reduce(|all, one| all.union(&one));
                plan.selector = plan.selector.filter(|selector| input.selector == Some(selector));
            })
            .or_insert_with(|| Demand { projection: input.projection, foreign, selector: input.selector });
    }
    plans
}

/// The streams of a kind: one for each host namespace, which today is one.
fn scopes(config: &Config, side: Side, kind: Kind, demand: &Demand) -> Vec<Scope> {
    let namespaces =
        if side == Side::Host && kind.namespaced { vec![Some(config.host.namespace.clone())] } else { vec![None] };
    let ours = is_selected(side, demand.foreign.is_some()).then(|| format!("{MANAGED_BY}={}", config.name));
    let parts: Vec<_> = ours.into_iter().chain(demand.selector.map(str::to_owned)).collect();
    let selector = (!parts.is_empty()).then(|| parts.join(","));
    namespaces.into_iter().map(|namespace| Scope { namespace, selector: selector.clone() }).collect()
}

fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, stop) = (signal(kind).context("signals")?, stop.clone());
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}

//! Faults on real API servers: a syncer between two control planes, a proxy before each of them, a tenant that changes
//! objects all the time, and processes that are killed. At the end both sides and both audit logs are compared.

mod api;
mod audit;
mod churn;
mod compare;
mod creation;
mod finding;
mod kills;
mod network;
mod proxy;
mod references;
mod rest;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tenet_playground::{Audit, Command, Playground, Progress};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use finding::{Class, Finding};

use churn::Tenant;
use network::Network;
use proxy::Proxy;

/// Longest time in which both sides must agree after the last fault.
const SETTLE: Duration = Duration::from_secs(240);
/// Interval of the comparisons while both sides do not agree yet.
const COMPARE_EVERY: Duration = Duration::from_secs(2);

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the syncer's binary.
    pub syncer: PathBuf,
    /// Time during which faults come.
    pub length: Duration,
    /// Seed of the faults and the changes.
    pub seed: u64,
    /// Folder of logs and stores; `None` for a temporary one.
    pub dir: Option<PathBuf>,
}

/// Result of a run.
#[derive(Debug)]
pub struct Report {
    /// Seed of the run.
    pub seed: u64,
    /// Broken promises; empty when the run has passed.
    pub findings: Vec<Finding>,
    /// Number of faults of each kind.
    pub faults: BTreeMap<String, u64>,
    /// Number of successful changes of the tenant.
    pub changes: u64,
    /// Number of successful writes of the syncer on the host and inside.
    pub writes: [usize; 2],
    /// Numbers of virtual pods, host objects, and copies that were compared with a creation, at the end.
    pub objects: [usize; 3],
    /// Time from the last fault until both sides agreed.
    pub settled: Duration,
}

/// Runs churn under faults, lets everything settle, and compares.
pub async fn run(options: &Options) -> Result<Report> {
    let playground = Playground::start(tenet_playground::Options {
        dir: options.dir.clone(),
        audit: Audit::Request,
        // A swallowed event is found by the audit, whose interval is that of the patrol.
        syncer_settings: "engine: { patrolInterval: 15s }\n".to_owned(),
        progress: Progress::silent(),
        ..tenet_playground::Options::default()
    })
    .await?;
    let network = Arc::new(Network::new(options.seed));
    let host_proxy = Proxy::start(client(playground.syncer_host_kubeconfig()).await?, Arc::clone(&network)).await?;
    let virtual_proxy =
        Proxy::start(client(playground.syncer_virtual_kubeconfig()).await?, Arc::clone(&network)).await?;
    let command = command(options, &playground, [("host", &host_proxy), ("virtual", &virtual_proxy)])?;
    playground.start_syncer(&command).await?;

    let tenant = Tenant::new(playground.virtual_plane().client(), options.seed);
    let foreign = compare::plant(&playground).await?;
    let stop = CancellationToken::new();
    network.set_faulty(true);
    let (killed, ()) = tokio::join!(kills::run(&playground, &command, &network, options.seed, options.length), async {
        let end = stop.clone();
        let churn = tenant.run(end);
        let clock = async {
            sleep(options.length).await;
            stop.cancel();
        };
        tokio::join!(churn, clock);
    },);
    network.set_faulty(false);
    killed?;
    playground.until_syncer_is_ready(SETTLE).await?;

    let (mut findings, objects, settled) = settle(&playground, &tenant, &foreign).await?;
    findings.extend(rest::check(&playground).await?);
    let (audited, writes) = audit::check(&playground, &tenant)?;
    findings.extend(audited);
    let mut seen = std::collections::BTreeSet::new();
    findings.retain(|finding| seen.insert((finding.class, finding.object.clone())));
    for finding in &mut findings {
        finding.history = audit::history(&playground, &finding.name)?;
    }
    let report = Report {
        seed: options.seed,
        findings,
        faults: network.counts(),
        changes: tenant.changes(),
        writes,
        objects,
        settled,
    };
    playground.shutdown().await;
    Ok(report)
}

/// Compares until both sides agree, or the time is over.
async fn settle(
    playground: &Playground,
    tenant: &Tenant,
    foreign: &compare::Foreign,
) -> Result<(Vec<Finding>, [usize; 3], Duration)> {
    let start = Instant::now();
    loop {
        // An API server that was restarted a moment ago may still refuse a list.
        let compared = timeout(Duration::from_secs(30), compare::both(playground, tenant, foreign)).await;
        let is_late = start.elapsed() > SETTLE;
        match compared.context("the comparison timed out").and_then(|result| result) {
            Ok((findings, objects)) if findings.is_empty() || is_late => {
                return Ok((findings, objects, start.elapsed()));
            }
            Err(error) if is_late => return Err(error),
            _ => sleep(COMPARE_EVERY).await,
        }
    }
}

/// Returns the command of a syncer that reaches both API servers through the proxies.
fn command(options: &Options, playground: &Playground, proxies: [(&str, &Proxy); 2]) -> Result<Command> {
    let mut command = Command::new(&options.syncer).arg("--config").arg(playground.syncer_config());
    for (side, proxy) in proxies {
        let file = playground.dir().join(format!("proxy-{side}.kubeconfig"));
        std::fs::write(&file, proxy.kubeconfig()).with_context(|| file.display().to_string())?;
        command = command.arg(format!("--{side}-kubeconfig")).arg(file);
    }
    Ok(command)
}

async fn client(file: &std::path::Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(file).with_context(|| file.display().to_string())?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    // A watch lasts as long as the syncer wants it.
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} changes of the tenant", self.seed, self.changes)?;
        writeln!(f, "writes of the syncer: {} on the host, {} inside", self.writes[0], self.writes[1])?;
        let [pods, objects, compared] = self.objects;
        writeln!(f, "at the end: {pods} virtual pods, {objects} host objects, {compared} compared with a creation")?;
        writeln!(f, "both sides agreed {} s after the last fault", self.settled.as_secs())?;
        for (fault, count) in &self.faults {
            writeln!(f, "  {count:>7}  {fault}")?;
        }
        for class in Class::ALL {
            let count = self.findings.iter().filter(|finding| finding.class == class).count();
            writeln!(f, "{class}: {count}")?;
        }
        self.findings.iter().try_for_each(|finding| write!(f, "{finding}"))
    }
}

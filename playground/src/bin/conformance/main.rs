//! Runs the conformance tests of Kubernetes against a virtual cluster, whose pods run on real nodes.

mod cluster;
mod images;
mod report;
mod suite;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use tenet_playground::{Component, Components, Progress, build_syncer};
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use report::Report;
use suite::Suite;

/// Runs the conformance tests of Kubernetes against a virtual cluster on real nodes.
///
/// It needs root, containerd and iptables; what is missing is named. The tests and the programs in their images are
/// built once, which takes some minutes. Images are made of programs of this machine, as there may be no registry.
#[derive(Parser)]
#[command(name = "conformance")]
struct Args {
    /// Regular expression that the name of a test has to match; all conformance tests by default.
    #[arg(long)]
    focus: Option<String>,
    /// Regular expression that the name of a test must not match.
    #[arg(long)]
    skip: Option<String>,
    /// Report of an earlier run, whose passed tests are left out. May be repeated.
    #[arg(long, value_name = "FILE")]
    without_passed: Vec<PathBuf>,
    /// Number of processes that run tests at once. Tests that must run alone come at the end.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    procs: u8,
    /// Level of the Pod Security standards that tenant pods are held to.
    #[arg(long, value_enum, default_value_t = Level::Baseline)]
    level: Level,
    /// Runs the tests on the host cluster itself, without a syncer: a test that fails there, too, fails because of this
    /// machine.
    #[arg(long)]
    on_host: bool,
    /// Number of nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
    /// File of the report; `report.json` in the folder by default.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Folder of all logs.
    #[arg(long, default_value = "target/conformance")]
    dir: PathBuf,
    /// Minutes after which the tests are stopped.
    #[arg(long, default_value_t = 180)]
    minutes: u64,
    /// Binary of the syncer; built in release mode by default.
    #[arg(long)]
    syncer: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Privileged,
    Baseline,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
        }
    }
}

/// Programs of the tests, of their images and of the DNS server inside.
const PROGRAMS: [Component; 6] = [
    Component::CoreDns,
    Component::Agnhost,
    Component::NoNewPrivileges,
    Component::SampleApiServer,
    Component::E2eTest,
    Component::Ginkgo,
];

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Whatever is first: dropping the other branches ends all processes.
    tokio::select! {
        passed = run(args) => match passed {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("conformance: {error:#}");
                ExitCode::FAILURE
            }
        },
        () = told_to_end() => ExitCode::from(130),
    }
}

/// Resolves on SIGINT and SIGTERM.
async fn told_to_end() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => (),
        _ = terminate.recv() => (),
    }
}

/// Runs the tests, prints the report, and returns true if some passed and none failed.
async fn run(args: Args) -> anyhow::Result<bool> {
    let progress = Progress::stderr();
    let dir = std::path::absolute(&args.dir)?;
    let mut passed = Vec::new();
    for file in &args.without_passed {
        passed.extend(report::passed(file)?);
    }
    let syncer = match (&args.syncer, args.on_host) {
        (_, true) => None,
        (Some(syncer), false) => Some(std::path::absolute(syncer)?),
        (None, false) => Some(build_syncer()?),
    };
    let mut components = Components::locate_or_build(&progress).await?;
    for component in PROGRAMS {
        components.add(component, &progress).await?;
    }
    let mut cluster = Cluster::start(&dir, &args, &progress).await?;
    let suite = Suite {
        kubeconfig: cluster.kubeconfig(args.on_host),
        dir: dir.clone(),
        focus: args.focus.clone(),
        skip: args.skip.clone(),
        passed,
        procs: args.procs,
        limit: Duration::from_secs(args.minutes * 60),
        progress: progress.clone(),
        components,
    };
    cluster.add_images(&suite.list_images().await?, &suite.components, &progress).await?;
    if let Some(syncer) = &syncer {
        cluster.start_syncer(syncer, &progress).await?;
    }
    let outcome = suite.run(|| cluster.died()).await;
    progress.clear();
    let mut report = Report::read(&suite.results(), outcome?)?;
    let level = if args.on_host { "host" } else { args.level.name() };
    level.clone_into(&mut report.level);
    report.kubernetes = Component::E2eTest.pinned().map(|version| version.to_string()).unwrap_or_default();
    report.nodes = args.nodes;
    (report.focus, report.skip) = (args.focus, args.skip);
    print!("{report}");
    let file = args.report.unwrap_or_else(|| dir.join("report.json"));
    report.write(&file).with_context(|| format!("cannot write {}", file.display()))?;
    println!("report: {}; logs: {}", file.display(), dir.join("logs").display());
    cluster.shutdown().await;
    Ok(report.is_good())
}

//! Runs many seeds, and shows what fails.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use parking_lot::Mutex;
use tenet_sim::campaign::{Outcome, is_open, sweep, try_seed};
use tenet_sim::script::{Fault, directed, generate, shrink};

/// Runs the syncer against two in-memory clusters and injected faults.
#[derive(Parser)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command")]
struct Args {
    /// Number of seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs this seed alone, and prints what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of failures after which to stop.
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// Does not shrink scripts that fail.
    #[arg(long)]
    no_shrink: bool,
    /// Number of threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Also runs seeds whose faults are known to break promises.
    #[arg(long)]
    all: bool,
    /// Runs the directed scripts before the seeds.
    #[arg(long)]
    directed: bool,
    /// Runs only the directed scripts of this idea, and no seeds.
    #[arg(long)]
    idea: Option<String>,
    /// Prints the log of the syncer.
    #[arg(long)]
    log: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.log {
        tracing_subscriber::fmt().with_env_filter("debug,kube_client=warn").without_time().init();
    }
    match simulate(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tenet-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(args: &Args) -> anyhow::Result<bool> {
    if let Some(seed) = args.seed {
        return show(seed);
    }
    let (start, tally) = (Instant::now(), Mutex::new(Tally::default()));
    let is_wanted = |idea: &str| args.idea.as_ref().map_or(args.directed, |wanted| wanted == idea);
    for (idea, script) in directed().into_iter().filter(|(idea, _)| is_wanted(idea)) {
        if tally.lock().failed >= args.failures {
            break;
        }
        let outcome = try_seed(&script)?;
        tally.lock().add(&outcome);
        if !outcome.failures.is_empty() {
            println!("{idea}:");
            outcome.failures.iter().for_each(|failure| println!("  {failure}"));
        }
    }
    let seeds = if args.idea.is_some() { 0 } else { args.seeds };
    sweep(args.from..args.from + seeds, args.threads, |seed| {
        if tally.lock().failed >= args.failures {
            return;
        }
        let script = generate(seed);
        if !args.all && is_open(&script).is_some() {
            tally.lock().skipped += 1;
            return;
        }
        match try_seed(&script) {
            Ok(outcome) => {
                tally.lock().add(&outcome);
                if !outcome.failures.is_empty()
                    && let Err(error) = report(seed, &outcome, args.no_shrink)
                {
                    println!("seed {seed} cannot be shrunk: {error:#}");
                }
            }
            Err(error) => {
                println!("seed {seed} does not run: {error:#}");
                tally.lock().failed += 1;
            }
        }
    });
    let Tally { runs, skipped, failed, hits } = tally.into_inner();
    let seconds = start.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = runs as f64 / seconds;
    println!("{runs} runs in {seconds:.1} s: {rate:.0} runs/s; {failed} failed; {skipped} skipped for open defects");
    for kind in Fault::KINDS {
        println!("  {:>9}  {kind}", hits.get(kind).copied().unwrap_or(0));
    }
    Ok(failed == 0)
}

/// Runs one seed, and prints what happens. Returns false if it breaks a promise.
fn show(seed: u64) -> anyhow::Result<bool> {
    let script = generate(seed);
    println!("{script}");
    let report = tenet_sim::run::run(&script, true)?;
    let outcome = try_seed(&script)?;
    println!("{} entries in {:?}, digest {:x}", report.entries, report.time, report.digest);
    outcome.failures.iter().for_each(|failure| println!("{failure}"));
    Ok(outcome.failures.is_empty())
}

/// Result of all runs so far.
#[derive(Default)]
struct Tally {
    runs: u64,
    skipped: u64,
    failed: usize,
    hits: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.failed += usize::from(!outcome.failures.is_empty());
        outcome.hits.iter().for_each(|(kind, count)| *self.hits.entry(kind).or_default() += count);
    }
}

fn report(seed: u64, outcome: &Outcome, no_shrink: bool) -> anyhow::Result<()> {
    println!("seed {seed} fails:");
    outcome.failures.iter().for_each(|failure| println!("  {failure}"));
    if no_shrink {
        return Ok(());
    }
    let script = generate(seed);
    let promises: Vec<_> = outcome.failures.iter().map(|failure| failure.promise).collect();
    let small = shrink(&script, |script| {
        try_seed(script).is_ok_and(|tried| tried.failures.iter().any(|failure| promises.contains(&failure.promise)))
    });
    let tried = try_seed(&small)?;
    println!("shrunk script:\n{small}");
    tried.failures.iter().for_each(|failure| println!("  {failure}"));
    tried.log.iter().for_each(|line| println!("    {line}"));
    Ok(())
}

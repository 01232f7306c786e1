//! `cargo bench --bench burst`: speed and cost of running pods of a virtual cluster on a host cluster.
//!
//! Three subjects run on real control planes: the pods created straight on the host (direct), a replayer of the calls
//! that a perfect syncer has to make (ideal), and Tenet's syncer. `docs/benchmarks.md` explains every figure.

mod admin;
mod api;
mod args;
mod audit;
mod lab;
mod meter;
mod phases;
mod pods;
mod quantiles;
mod replayer;
mod report;
mod results;
mod subject;
mod targets;
mod timeline;
mod usage;

use anyhow::{Context, Result};
use clap::Parser;

use args::{Args, Word};
use results::Results;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Two crypto providers may be compiled in, so rustls needs an explicit default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut results = Results {
        pods: args.pods,
        rate: args.rate,
        cores: std::thread::available_parallelism()?.get(),
        load: usage::load(),
        subjects: Vec::new(),
    };
    for word in [Word::Direct, Word::Ideal, Word::Tenet].into_iter().filter(|word| args.measures(*word)) {
        results.subjects.push(Box::pin(subject::measure(&args, word)).await);
    }
    print!("{}", report::render(&results));
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

//! `cargo bench --bench streams`: what a stream to a pod costs through Tenet.
//!
//! The same exec, log and port-forward, in turns and in one run: at the API server of the host (direct), at the syncer
//! as an API server speaks to a kubelet (node), and at the virtual API server (through). `docs/benchmarks.md` explains
//! every figure.

mod admin;
mod args;
mod idle;
mod job;
mod lab;
mod link;
mod report;
mod rounds;
mod samples;
mod spdy;
mod spot;
#[allow(dead_code)] // The other bench needs more of it.
#[path = "../burst/usage.rs"]
mod usage;
mod websocket;

use anyhow::Result;

use args::Args;
use lab::Lab;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::read();
    // Two providers could be compiled in; rustls wants to be told.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let load = usage::load();
    let lab = Lab::start(&args).await?;
    let result = run(&args, &lab).await;
    lab.playground.shutdown().await;
    print!("{}", report::render(&args, load, &result?));
    Ok(())
}

async fn run(args: &Args, lab: &Lab) -> Result<report::Results> {
    let first = rounds::first_bytes(args, lab).await?;
    let bulk = rounds::bulk(args, lab).await?;
    let idle = idle::measure(args, lab).await?;
    Ok(report::Results { first, bulk, idle })
}

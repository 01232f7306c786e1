//! `cargo bench --bench streams`: cost of a stream to a pod through Tenet.
//!
//! The same exec, log and port-forward run in turns at three servers: the API server of the host (direct), the syncer
//! as an API server speaks to a kubelet (node), and the virtual API server (through). `docs/benchmarks.md` explains
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
    // Two crypto providers may be compiled in, so rustls needs an explicit default.
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

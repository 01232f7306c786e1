//! Conformance of the model: the same random scripts of requests run against it and a real kube-apiserver, and the
//! answers are compared.
//!
//! Managed fields are not compared, since the model has none.
//!
//! `TENET_MODEL_SCRIPTS` sets the number of scripts, `TENET_MODEL_SEED` the seed of the first.

mod normal;
mod random;
mod script;
mod server;
mod steps;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_playground::{Components, ControlPlane, PlaneOptions, Progress, Role};
use tenet_sim::api::{Cluster, ClusterConfig};

use crate::script::Script;
use crate::server::Server;

/// Scripts that run at the same time: a real API server waits for its store most of the time.
const AT_ONCE: usize = 12;
const SCRIPTS: usize = 300;
/// Differences after which the comparison ends.
const ENOUGH: usize = 12;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_answers_as_a_kube_apiserver() -> Result<()> {
    let (first, scripts) = (setting("TENET_MODEL_SEED", 0), setting("TENET_MODEL_SCRIPTS", SCRIPTS));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("model");
    let plane = real(&dir).await?;
    let next = Arc::new(AtomicUsize::new(first));
    let mut tasks = Vec::new();
    for _ in 0..AT_ONCE {
        let (next, client) = (Arc::clone(&next), plane.client());
        tasks.push(tokio::spawn(async move {
            let (mut requests, mut differences) = (0, Vec::new());
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + scripts || differences.len() >= ENOUGH {
                    return Ok::<_, anyhow::Error>((requests, differences));
                }
                let script = Script::new(seed);
                requests += script.steps.len();
                let real = Server::new(client.clone());
                let told = real.run(&script).await.with_context(|| format!("script {seed} on the real API server"))?;
                let expected = normal::transcript(told);
                let found = normal::transcript(model(&script).await?);
                differences.extend(first_difference(&script, &expected, &found));
            }
        }));
    }
    let (mut requests, mut differences) = (0, Vec::new());
    for task in tasks {
        let (made, found) = task.await??;
        requests += made;
        differences.extend(found);
    }
    println!("{scripts} scripts with {requests} requests, {} differ", differences.len());
    if !differences.is_empty() {
        bail!("{} of {scripts} scripts differ:\n{}", differences.len(), differences.join("\n"));
    }
    drop(plane);
    Ok(std::fs::remove_dir_all(dir)?)
}

/// Starts a store and an API server, without controllers.
async fn real(dir: &Path) -> Result<ControlPlane> {
    let components = Components::locate_or_build(&Progress::silent()).await?;
    // A control plane starts with an empty store.
    drop(std::fs::remove_dir_all(dir));
    let options = PlaneOptions::new("model", Role::Virtual, dir);
    Ok(ControlPlane::start_api_server(&components, options).await?)
}

/// Runs a script on a model of its own.
async fn model(script: &Script) -> Result<Vec<Value>> {
    let clock = Arc::new(time::OffsetDateTime::now_utc);
    let cluster = Cluster::new(ClusterConfig { seed: script.seed as u64, clock, ..ClusterConfig::default() });
    Server::new(cluster.client("admin")).run(script).await
}

/// Describes the first step whose answers differ; a difference of versions only when there is no other.
fn first_difference(script: &Script, expected: &[Value], found: &[Value]) -> Option<String> {
    let positions = || (0..expected.len().max(found.len())).filter(|at| expected.get(*at) != found.get(*at));
    let without = |side: &[Value], at: usize| side.get(at).map(normal::without_versions);
    let content = positions().find(|at| without(expected, *at) != without(found, *at));
    let position = content.or_else(|| positions().next())?;
    let step = script.steps.get(position).map_or_else(|| "the end".to_owned(), ToString::to_string);
    let part = |side: &[Value]| side.get(position).cloned().unwrap_or_default();
    let (expected, found) = (part(expected), part(found));
    let object = script.steps.get(position).map(|step| step.object.as_str()).unwrap_or_default();
    let earlier = script.steps.iter().take(position).filter(|step| step.object == object || object.is_empty());
    let earlier: Vec<_> = earlier.map(|step| format!("    after {step}\n")).collect();
    let earlier = earlier.concat();
    let difference = normal::describe("", &expected, &found);
    Some(format!("script {} step {position}: {step}\n{earlier}{difference}", script.seed))
}

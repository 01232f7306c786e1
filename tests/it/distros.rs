//! k3s and k0s with the configuration of an installation, when a binary is given.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tenet_install::values::{Distro, Values};

use crate::cluster::{self, Cluster};
use crate::control_plane::{Outside, Pod};
use crate::harness::skipped;

/// Time in which a distro would have created its add-ons.
const QUIET: Duration = Duration::from_secs(20);

/// Returns the binary that a variable names. Without one, prints that the test is skipped.
fn binary(variable: &str) -> Result<Option<PathBuf>> {
    match env::var_os(variable) {
        Some(binary) => Ok(Some(binary.into())),
        None => skipped(&format!("{variable} names no binary")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn k0s_serves_a_virtual_cluster_with_the_authorities_of_the_bootstrap() -> Result<()> {
    let Some(program) = binary("TENET_K0S")? else { return Ok(()) };
    serves(Distro::K0s, "k0s", program).await
}

#[tokio::test(flavor = "multi_thread")]
async fn k3s_serves_a_virtual_cluster_with_the_authorities_of_the_bootstrap() -> Result<()> {
    let Some(program) = binary("TENET_K3S")? else { return Ok(()) };
    serves(Distro::K3s, "k3s", program).await
}

/// The client trusts the authority of the bootstrap alone, and has a certificate of it.
async fn serves(distro: Distro, name: &'static str, program: PathBuf) -> Result<()> {
    let values = Values { distro, ..Values::default() };
    let outside = Outside { programs: [(name, program)].into(), ..Outside::default() };
    let pod = Pod::prepare(&format!("distro-{name}"), values, &outside).await?;
    pod.start().await?;
    let cluster = pod.cluster().await?;
    works(&cluster).await?;
    tokio::time::sleep(QUIET).await;
    for path in ["/api/v1/nodes", "/api/v1/pods", "/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets"] {
        let found = cluster.list(path).await?;
        ensure!(found.iter().all(|object| cluster::name(object).starts_with("ours")), "{path}: {found:#?}");
    }
    let map = json!({"metadata": {"name": "kept"}});
    cluster.create("/api/v1/namespaces/default/configmaps", map).await?;
    pod.kill();
    pod.start().await?;
    ensure!(pod.cluster().await?.get("/api/v1/namespaces/default/configmaps/kept").await?.is_some(), "lost");
    Ok(())
}

/// The controllers run: a Deployment gets its pod. No scheduler takes it.
async fn works(cluster: &Cluster) -> Result<()> {
    cluster.until("/api/v1/namespaces/default/serviceaccounts/default", "there", Value::is_object).await?;
    let labels = json!({"app": "ours"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "i"}]}});
    let deployment = json!({
        "metadata": {"name": "ours"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    });
    cluster.create("/apis/apps/v1/namespaces/default/deployments", deployment).await?;
    let pods = "/api/v1/namespaces/default/pods";
    let pods = cluster.until_list(pods, "the pod of the Deployment", |pods| pods.len() == 1).await?;
    ensure!(pods[0]["spec"]["nodeName"].is_null(), "a scheduler runs: {}", pods[0]);
    Ok(())
}

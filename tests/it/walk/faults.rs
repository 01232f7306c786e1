//! Faults during a walk, which a running pod outlives.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::Component;

use super::NAME;
use super::host::Host;
use super::workloads::run_pod;

/// Time during which the API server of the host does not answer.
const AWAY: Duration = Duration::from_secs(20);

/// Checks that the running pod is the same, inside and on the host, after a fault, and that new ones can be made.
pub(super) async fn outlives(host: &Host, fault: &str, happens: impl Future<Output = Result<()>>) -> Result<()> {
    let path = format!("/api/v1/namespaces/{NAME}/pods/nginx-x-default-x-{NAME}");
    let state = async || {
        let on_host = host.cluster.get(&path).await?.unwrap_or_default();
        let restarts = on_host["status"]["containerStatuses"][0]["restartCount"].clone();
        let uid = host.inside(&["get", "pod", "nginx", "-o", "jsonpath={.metadata.uid}"])?;
        Ok::<_, anyhow::Error>((uid, on_host["metadata"]["uid"].clone(), restarts))
    };
    let before = state().await?;
    happens.await?;
    run_pod(host, "later").with_context(|| format!("after {fault}"))?;
    assert_eq!(state().await?, before, "{fault}");
    host.inside(&["delete", "pod", "later", "--grace-period=1"]).map(drop)
}

pub(super) async fn kill_control_plane(host: &Host) -> Result<()> {
    let path = format!("/api/v1/namespaces/{NAME}/pods/{NAME}-0");
    let killed = host.cluster.get(&path).await?.context("the pod of the control plane")?;
    host.cluster.delete(&path, json!({"gracePeriodSeconds": 1})).await?;
    let is_new = |pod: &Value| !pod.is_null() && pod["metadata"]["uid"] != killed["metadata"]["uid"];
    host.cluster.until(&path, "created again", is_new).await.map(drop)
}

pub(super) async fn take_host_api_away(host: &Host) -> Result<()> {
    host.plane().pause(Component::ApiServer);
    tokio::time::sleep(AWAY).await;
    host.plane().resume(Component::ApiServer);
    Ok(())
}

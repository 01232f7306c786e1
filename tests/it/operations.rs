//! Operator's view: metrics, health, configuration.

use std::process::Command;

use anyhow::{Context, Result};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{Harness, until_told};

pub async fn scrape(port: u16, path: &str) -> Result<(u16, String)> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_health_are_served() -> Result<()> {
    let harness = Harness::shared().await?;
    let port = harness.playground.admin_port();
    let namespace = harness.namespace().await?;
    let service = json!({"metadata": {"name": "seen"}, "spec": {"ports": [{"port": 80}]}});
    harness.virt.create(&format!("/api/v1/namespaces/{namespace}/services"), service).await?;
    let copy = harness.on_host(&format!("services/seen-x-{namespace}-x-vc-1"));
    harness.host.until(&copy, "there", Value::is_object).await?;
    assert_eq!(scrape(port, "/healthz").await?, (200, "ok\n".to_owned()));
    assert_eq!(scrape(port, "/readyz").await?, (200, "ok\n".to_owned()));
    assert_eq!(scrape(port, "/debug").await?.0, 404);
    let (_, metrics) = scrape(port, "/metrics").await?;
    for series in [
        "tenet_sync_lag_seconds_bucket{direction=\"down\",kind=\"Pod\"",
        "tenet_sync_lag_seconds_bucket{direction=\"up\",kind=\"Pod\"",
        "tenet_effects_total{effect=\"apply\",kind=\"Service\",result=\"ok\",side=\"host\"}",
        "tenet_queue_depth{kind=\"Pod\",lane=\"urgent\"}",
        "tenet_queue_age_seconds{kind=\"Pod\"}",
        "tenet_drift_total{kind=\"Pod\"} 0",
        "tenet_throttled_total{side=\"host\"}",
        "tenet_cache_objects{kind=\"Pod\",side=\"virtual\"}",
        "tenet_cache_bytes{kind=\"Pod\",side=\"host\"}",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(series), "{series} is missing in:\n{metrics}");
    }
    Ok(())
}

#[test]
fn a_bad_configuration_is_told_at_once_with_its_lines() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("bad.yaml");
    std::fs::write(&file, "name: Vc_1\nhost:\n  namespce: team-a\nengine:\n  workers: many\n")?;
    let run = Command::new(env!("CARGO_BIN_EXE_tenet-syncer")).arg("--config").arg(&file).output()?;
    assert!(!run.status.success());
    let told = String::from_utf8(run.stderr)?;
    for part in [":1:", "name", ":3:", "namespace", ":5:", "engine.workers", "virtual.kubeconfig"] {
        assert!(told.contains(part), "`{part}` is not in:\n{told}");
    }
    Ok(())
}

#[test]
fn an_unreadable_kubeconfig_is_told_with_its_name() -> Result<()> {
    let flags = ["--name", "vc-1", "--host-namespace", "team-a", "--admin-listen", "127.0.0.1:0"];
    let files = ["--host-kubeconfig", "/nowhere/host", "--virtual-kubeconfig", "/nowhere/virtual"];
    let run = Command::new(env!("CARGO_BIN_EXE_tenet-syncer")).args(flags).args(files).output()?;
    assert!(!run.status.success());
    let told = String::from_utf8(run.stderr)?;
    assert!(told.contains("/nowhere/host"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_takes_effect_without_a_restart() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let pod =
        json!({"metadata": {"name": "ipc"}, "spec": {"hostIPC": true, "containers": [{"name": "c", "image": "i"}]}});
    harness.virt.create(&pods, pod).await?;
    until_told(&harness.virt, &namespace, "SyncRefused", "ipc", "").await?;
    let file = harness.playground.syncer_config();
    let before = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    std::fs::write(file, format!("{before}\npods: {{ allow: [spec.hostIPC] }}\n"))?;
    let pod = format!("{pods}/ipc");
    let running = harness.virt.until(&pod, "running", |pod| pod["status"]["phase"] == "Running").await;
    std::fs::write(file, before)?;
    running.map(drop)
}

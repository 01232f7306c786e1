//! One slow or full thing on the host delays nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::cluster::phase;
use crate::harness::{Separate, in_folder, new_namespace, passed, until_asked};

/// Starts a playground of its own, whose syncer is asked about Services.
async fn start(name: &str) -> Result<Separate> {
    let rig = Separate::start(in_folder(name)).await?;
    until_asked(&rig.virt).await?;
    Ok(rig)
}

fn pod(name: &str) -> Value {
    let main = json!({"name": "main", "image": "nginx"});
    json!({"metadata": {"name": name}, "spec": {"containers": [main], "terminationGracePeriodSeconds": 1}})
}

/// An admission webhook that takes connections and never answers.
struct SilentWebhook {
    port: u16,
    calls: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl SilentWebhook {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let webhook = Self { port: listener.local_addr()?.port(), calls: Arc::default(), connections: Arc::default() };
        let (calls, connections) = (Arc::clone(&webhook.calls), Arc::clone(&webhook.connections));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                calls.fetch_add(1, Ordering::Relaxed);
                connections.lock().await.push(connection);
            }
        });
        Ok(webhook)
    }

    fn registration(&self, namespace: &str) -> Value {
        json!({
            "metadata": {"name": "silent"},
            "webhooks": [{
                "name": "silent.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "timeoutSeconds": 10,
                "clientConfig": {"url": format!("https://127.0.0.1:{}/", self.port)},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            }],
        })
    }
}

/// Forty pods wait for a webhook of the host that times out; a Service and a Node picture do not wait with them.
#[tokio::test(flavor = "multi_thread")]
async fn pods_behind_a_silent_webhook_delay_no_service() -> Result<()> {
    let rig = start("silent-webhook").await?;
    new_namespace(&rig.virt, "apps").await?;
    let webhook = SilentWebhook::start().await?;
    let registrations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    rig.host.create(registrations, webhook.registration(rig.playground.namespace())).await?;
    for number in 0..40 {
        rig.virt.create("/api/v1/namespaces/apps/pods", pod(&format!("p{number}"))).await?;
    }
    let end = Instant::now() + Duration::from_secs(60);
    while webhook.calls.load(Ordering::Relaxed) < 10 {
        anyhow::ensure!(Instant::now() < end, "the host does not ask the webhook");
        sleep(Duration::from_millis(50)).await;
    }
    let before = webhook.calls.load(Ordering::Relaxed);
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let created = rig.virt.create("/api/v1/namespaces/apps/services", service).await?;
    let twin = rig.host.get(&rig.on_host("services/web-x-apps-x-vc-1")).await?.context("the Service on the host")?;
    assert_eq!(twin["spec"]["clusterIP"], created["spec"]["clusterIP"]);
    // A change goes through the queue, beside the pods that hold their workers.
    let ports = json!({"spec": {"ports": [{"port": 81}]}});
    rig.virt.patch("/api/v1/namespaces/apps/services/web", ports).await?;
    let changed = |service: &Value| service["spec"]["ports"][0]["port"] == 81;
    rig.host.until(&rig.on_host("services/web-x-apps-x-vc-1"), "changed", changed).await?;
    assert_eq!(rig.host.list(&rig.on_host("pods")).await?.len(), 0, "the webhook holds every pod");
    let during = webhook.calls.load(Ordering::Relaxed) - before;
    assert!(during < 40, "the Service did not wait for the pods: {during} more calls meanwhile");

    rig.host.delete(&format!("{registrations}/silent"), json!({})).await?;
    webhook.connections.lock().await.clear();
    for number in 0..40 {
        let path = rig.on_host(&format!("pods/p{number}-x-apps-x-vc-1"));
        rig.host.until(&path, "created", Value::is_object).await?;
    }
    passed(rig.playground).await
}

/// A quota that was full for longer than the longest short backoff is used soon after it has room.
#[tokio::test(flavor = "multi_thread")]
async fn room_in_a_quota_is_used_soon_by_all_that_wait() -> Result<()> {
    let rig = start("quota").await?;
    new_namespace(&rig.virt, "apps").await?;
    let quotas = format!("/api/v1/namespaces/{}/resourcequotas", rig.playground.namespace());
    rig.host.create(&quotas, json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}})).await?;
    let counted = |quota: &Value| quota["status"]["hard"]["pods"] == "1";
    rig.host.until(&format!("{quotas}/pods"), "counted", counted).await?;
    let pods = "/api/v1/namespaces/apps/pods";
    rig.virt.create(pods, pod("first")).await?;
    rig.virt.until(&format!("{pods}/first"), "running", |pod| phase(pod) == "Running").await?;
    for number in 0..20 {
        rig.virt.create(pods, pod(&format!("later-{number}"))).await?;
    }
    let told = |events: &[Value]| {
        events.iter().any(|event| {
            event["reason"] == "SyncRejected"
                && event["message"].as_str().is_some_and(|message| message.contains("exceeded a quota of the host"))
        })
    };
    rig.virt.until_list("/api/v1/namespaces/apps/events", "with a rejection", told).await?;
    let says = |pod: &Value| pod["status"]["reason"] == "SyncRejected";
    rig.virt.until(&format!("{pods}/later-0"), "saying that it is rejected", says).await?;
    // A backoff of each pod would be at 32 s by now.
    sleep(Duration::from_secs(35)).await;
    rig.virt.delete(&format!("{pods}/first"), json!({})).await?;
    let on_host = rig.on_host("pods");
    let later = |pods: &[Value]| pods.iter().any(|pod| pod["metadata"]["name"].as_str() != Some("first-x-apps-x-vc-1"));
    rig.host.until_list(&on_host, "a pod that has waited", later).await?;
    rig.host.patch(&format!("{quotas}/pods"), json!({"spec": {"hard": {"pods": "100"}}})).await?;
    rig.host.until_list(&on_host, "all that have waited", |pods| pods.len() == 20).await?;
    let runs = |pod: &Value| phase(pod) == "Running" && pod["status"]["reason"].is_null();
    rig.virt.until(&format!("{pods}/later-0"), "running, and saying nothing else", runs).await?;
    passed(rig.playground).await
}

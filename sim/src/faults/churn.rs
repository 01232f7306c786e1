//! Tenant that changes objects of all kinds. It reaches the virtual API server past the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::api::{call, text};
use crate::random::Random;

/// Namespaces in which objects come and go.
const NAMESPACES: [&str; 3] = ["blue", "green", "red"];
/// Namespace that is deleted and created as a whole.
const PASSING: &str = "passing";
/// Number of names of each kind in a namespace. Names are used again, so that an object meets its predecessor.
const NAMES: u64 = 5;
/// Time limit of a change: the API server may be dead.
const LIMIT: Duration = Duration::from_secs(15);

/// The tenant of a run.
pub(super) struct Tenant {
    client: Client,
    random: Mutex<Random>,
    ledger: Mutex<Ledger>,
    changes: AtomicU64,
}

/// Record of the pods that the tenant has created and deleted.
#[derive(Default)]
struct Ledger {
    /// Namespace and name of each created pod, by UID.
    created: BTreeMap<String, (String, String)>,
    /// UIDs of pods that the tenant may have deleted.
    deleted: BTreeSet<String>,
}

impl Ledger {
    fn delete_namespace(&mut self, name: &str) {
        let inside = self.created.iter().filter(|(_, (namespace, _))| namespace == name);
        self.deleted.extend(inside.map(|(uid, _)| uid.clone()));
    }
}

impl Tenant {
    pub(super) fn new(client: Client, seed: u64) -> Self {
        Self {
            client,
            random: Mutex::new(Random::of(seed, "tenant")),
            ledger: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// Changes objects until `stop` is cancelled. A change that an API server refuses or does not answer is given up.
    pub(super) async fn run(&self, stop: CancellationToken) {
        for namespace in NAMESPACES.into_iter().chain([PASSING]) {
            let _ = timeout(LIMIT, self.create_namespace(namespace)).await;
        }
        let lane = async || {
            while !stop.is_cancelled() {
                let pause = self.random.lock().millis(50, 500);
                let _ = timeout(LIMIT, self.change()).await;
                sleep(pause).await;
            }
        };
        tokio::join!(lane(), lane(), lane());
    }

    /// Returns the number of changes that succeeded.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Returns the pods that must still exist: UID, namespace and name.
    pub(super) fn live_pods(&self) -> Vec<(String, String, String)> {
        let ledger = self.ledger.lock();
        let live = ledger.created.iter().filter(|(uid, _)| !ledger.deleted.contains(*uid));
        live.map(|(uid, (namespace, name))| (uid.clone(), namespace.clone(), name.clone())).collect()
    }

    /// Returns true if the tenant may have deleted the pod with this UID.
    pub(super) fn has_deleted(&self, uid: &str) -> bool {
        self.ledger.lock().deleted.contains(uid)
    }

    async fn change(&self) -> Result<(), kube::Error> {
        let (what, namespace, number, content) = {
            let mut random = self.random.lock();
            let namespace = *random.pick(&NAMESPACES).unwrap_or(&PASSING);
            let namespace = if random.chance(10) { PASSING } else { namespace };
            (random.below(100), namespace, random.below(NAMES), random.below(1_000))
        };
        let at = |kind: &str| format!("/api/v1/namespaces/{namespace}/{kind}");
        match what {
            0..25 => self.create_pod(namespace, number, content).await,
            25..38 => self.delete_pod(namespace, &format!("p-{number}")).await,
            38..43 => self.label_pod(namespace, number, content).await,
            43..57 => self.put(&at("configmaps"), &config_map(number, content)).await,
            57..69 => self.put(&at("secrets"), &secret(number, content)).await,
            69..72 => self.delete(&format!("{}/c-{number}", at("configmaps"))).await,
            72..75 => self.delete(&format!("{}/s-{number}", at("secrets"))).await,
            75..83 => self.put(&at("services"), &service(number, content)).await,
            83..87 => self.delete(&format!("{}/w-{number}", at("services"))).await,
            87..93 => {
                let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
                self.put(&path, &deployment(number % 2, content)).await
            }
            93..95 => {
                let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/d-{}", number % 2);
                self.delete(&path).await
            }
            95..97 => self.delete_namespace().await,
            _ => self.create_namespace(namespace).await,
        }
    }

    async fn create_namespace(&self, name: &str) -> Result<(), kube::Error> {
        self.send(Method::POST, "/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.map(drop)
    }

    async fn delete_namespace(&self) -> Result<(), kube::Error> {
        self.ledger.lock().delete_namespace(PASSING);
        self.delete(&format!("/api/v1/namespaces/{PASSING}")).await
    }

    async fn create_pod(&self, namespace: &str, number: u64, content: u64) -> Result<(), kube::Error> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let pod = self.send(Method::POST, &path, &pod(number, content)).await?;
        let key = (namespace.to_owned(), text(&pod, "/metadata/name").to_owned());
        let mut ledger = self.ledger.lock();
        // A pod that is created while its namespace ends goes with it.
        if namespace == PASSING {
            ledger.deleted.insert(text(&pod, "/metadata/uid").to_owned());
        }
        ledger.created.insert(text(&pod, "/metadata/uid").to_owned(), key);
        Ok(())
    }

    async fn delete_pod(&self, namespace: &str, name: &str) -> Result<(), kube::Error> {
        // A create whose answer was lost has a UID that the ledger does not know.
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let pod = call(&self.client, Method::GET, &path, &Value::Null).await?;
        let uid = text(&pod, "/metadata/uid").to_owned();
        self.ledger.lock().deleted.insert(uid.clone());
        if pod.pointer("/metadata/finalizers").is_some() {
            self.send(Method::PATCH, &path, &json!({"metadata": {"finalizers": null}})).await?;
        }
        self.send(Method::DELETE, &path, &json!({"preconditions": {"uid": uid}})).await.map(drop)
    }

    async fn label_pod(&self, namespace: &str, number: u64, content: u64) -> Result<(), kube::Error> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/p-{number}");
        let value = content.to_string();
        let change = json!({"metadata": {"labels": {"version": value}, "annotations": {"example.com/note": value}}});
        self.send(Method::PATCH, &path, &change).await.map(drop)
    }

    /// Creates an object, or changes it when it exists.
    async fn put(&self, collection: &str, object: &Value) -> Result<(), kube::Error> {
        match self.send(Method::POST, collection, object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let path = format!("{collection}/{}", text(object, "/metadata/name"));
                self.send(Method::PATCH, &path, object).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    async fn delete(&self, path: &str) -> Result<(), kube::Error> {
        self.send(Method::DELETE, path, &json!({"propagationPolicy": "Background"})).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, kube::Error> {
        let object = call(&self.client, method, path, body).await?;
        self.changes.fetch_add(1, Ordering::Relaxed);
        Ok(object)
    }
}

/// Pod that refers to a `ConfigMap` and a `Secret`; each fifth one has a finalizer of the tenant.
fn pod(number: u64, content: u64) -> Value {
    let finalizers = if content.is_multiple_of(5) { json!(["example.com/hold"]) } else { json!([]) };
    let volumes = json!([
        {"name": "c", "configMap": {"name": format!("c-{}", content % NAMES), "optional": content.is_multiple_of(3)}},
        {"name": "s", "secret": {"secretName": format!("s-{}", content / 7 % NAMES), "optional": true}},
    ]);
    json!({
        "metadata": {
            "name": format!("p-{number}"), "finalizers": finalizers,
            "labels": {"app": format!("w-{}", content % NAMES), "version": content.to_string()},
        },
        "spec": {
            "terminationGracePeriodSeconds": content % 3,
            "volumes": volumes,
            "containers": [{
                "name": "main", "image": format!("image:{content}"),
                "env": [{"name": "CONTENT", "value": content.to_string()}],
                "volumeMounts": [{"name": "c", "mountPath": "/c"}, {"name": "s", "mountPath": "/s"}],
            }],
        },
    })
}

fn config_map(number: u64, content: u64) -> Value {
    json!({"metadata": {"name": format!("c-{number}")}, "data": {"content": content.to_string()}})
}

fn secret(number: u64, content: u64) -> Value {
    json!({"metadata": {"name": format!("s-{number}")}, "stringData": {"content": content.to_string()}})
}

fn service(number: u64, content: u64) -> Value {
    let port = json!({"name": "http", "port": 80 + content % 20, "targetPort": 8080, "protocol": "TCP"});
    let selector = json!({"app": format!("w-{number}")});
    json!({"metadata": {"name": format!("w-{number}")}, "spec": {"selector": selector, "ports": [port]}})
}

fn deployment(number: u64, content: u64) -> Value {
    let labels = json!({"deployment": format!("d-{number}")});
    let container = json!({"name": "main", "image": format!("image:{}", content % 4)});
    json!({
        "metadata": {"name": format!("d-{number}")},
        "spec": {
            "replicas": content % 4, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    })
}

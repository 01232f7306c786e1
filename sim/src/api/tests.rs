use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use serde_json::{Value, json};
use tenet_mapper::{Kind, kinds};

use super::{Cluster, ClusterConfig, PatchType, Verb};

const USER: &str = "somebody";

fn cluster() -> Cluster {
    Cluster::new(ClusterConfig::default())
}

fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"key": "value"}})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

async fn ask(cluster: &Cluster, path: &str) -> Result<Value, kube::Error> {
    cluster.client(USER).request(Request::get(path).body(Vec::new()).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_a_list_misses() {
    let cluster = cluster();
    let list = ask(&cluster, "/api/v1/namespaces/default/configmaps").await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("/api/v1/configmaps?watch=true&resourceVersion={version}&timeoutSeconds=10");
    let request = Request::get(path).body(Vec::new()).unwrap();
    let mut lines = cluster.client(USER).request_stream(request).await.unwrap().lines();
    cluster.create(USER, kinds::CONFIG_MAP, "default", config_map("a")).unwrap();
    let change = json!({"data": {"key": "other"}});
    cluster.patch(USER, kinds::CONFIG_MAP, ("default", "a"), None, PatchType::Merge, change).unwrap();
    cluster.delete(USER, kinds::CONFIG_MAP, "default", "a", json!({})).unwrap();
    let mut told = Vec::new();
    while let Some(line) = lines.try_next().await.unwrap() {
        let event: Value = serde_json::from_str(&line).unwrap();
        told.push((event["type"].as_str().unwrap().to_owned(), event["object"]["data"]["key"].clone()));
    }
    let told: Vec<_> = told.iter().map(|(kind, data)| (kind.as_str(), data.as_str().unwrap())).collect();
    assert_eq!(told, [("ADDED", "value"), ("MODIFIED", "other"), ("DELETED", "other")]);
}

#[tokio::test(start_paused = true)]
async fn pages_show_one_version() {
    let cluster = cluster();
    for name in ["a", "b", "c"] {
        cluster.create(USER, kinds::SECRET, "default", json!({"metadata": {"name": name}})).unwrap();
    }
    let path = "/api/v1/namespaces/default/secrets?limit=2";
    let first = ask(&cluster, path).await.unwrap();
    cluster.delete(USER, kinds::SECRET, "default", "c", json!({})).unwrap();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = ask(&cluster, &format!("{path}&continue={token}")).await.unwrap();
    assert_eq!(second["items"][0]["metadata"]["name"], "c", "the page shows the version of the first page");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    cluster.compact(cluster.version());
    let Err(kube::Error::Api(error)) = ask(&cluster, &format!("{path}&continue={token}")).await else {
        panic!("a compacted version is gone");
    };
    assert_eq!((error.code, error.reason.as_str()), (410, "Expired"));
}

#[tokio::test(start_paused = true)]
async fn a_restored_store_uses_its_versions_again() {
    let cluster = cluster();
    let backup = cluster.snapshot();
    cluster.create(USER, kinds::CONFIG_MAP, "default", config_map("lost")).unwrap();
    let (version, changed) = (cluster.version(), cluster.changed(cluster.version()));
    cluster.restore(&backup);
    assert_ne!(tokio::time::timeout(Duration::from_secs(1), changed).await.unwrap(), version);
    assert!(cluster.get(kinds::CONFIG_MAP, "default", "lost").is_none());
    let again = cluster.create(USER, kinds::CONFIG_MAP, "default", config_map("other")).unwrap();
    assert_eq!(again["metadata"]["resourceVersion"], version.to_string());
    let id = cluster.cluster_id();
    cluster.replace();
    assert_ne!(cluster.cluster_id(), id);
    assert!(cluster.get(kinds::CONFIG_MAP, "default", "other").is_none());
}

#[test]
fn one_seed_gives_one_run() {
    let run = || {
        let cluster = cluster();
        for name in ["a", "b"] {
            cluster.create(USER, kinds::POD, "default", pod(name)).unwrap();
        }
        cluster.all().iter().map(|(_, object)| object.value().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_audit_log_has_every_write_with_its_outcome() {
    let cluster = cluster();
    cluster.create(USER, kinds::CONFIG_MAP, "default", config_map("a")).unwrap();
    cluster.create(USER, kinds::CONFIG_MAP, "default", config_map("a")).unwrap_err();
    cluster.delete(USER, kinds::CONFIG_MAP, "default", "a", json!({})).unwrap();
    let log = cluster.take_audit();
    let told: Vec<_> =
        log.iter().map(|entry| (entry.verb, entry.code, entry.is_changed, entry.name.as_str())).collect();
    assert_eq!(told, [(Verb::Create, 201, true, "a"), (Verb::Create, 409, false, "a"), (Verb::Delete, 200, true, "a")]);
    assert!(log[2].before.is_some() && log[2].after.is_none());
    assert!(cluster.audit().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_not_served_is_not_found() {
    let cluster = cluster();
    let lease = Kind::of("coordination.k8s.io", "v1", "Lease", "leases");
    let path = "/apis/coordination.k8s.io/v1/leases";
    ask(&cluster, path).await.unwrap();
    cluster.set_served(lease, false);
    assert!(ask(&cluster, path).await.is_err());
}

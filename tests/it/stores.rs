//! Stores of a virtual control plane: what the API server has confirmed is there after the store was killed.
//!
//! The programs run with the command lines of the pod that `tenet create` makes, on real servers.

mod servers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tenet_install::values::{StoreType, Values};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cluster::{self, Cluster};
use crate::control_plane::{Outside, Pod};
use servers::Server;

/// Number of objects that are created, and of those before the store is killed for the first time.
const OBJECTS: usize = 2_000;
const BEFORE: usize = 1_000;
const CLIENTS: usize = 16;
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// One store at a time: each has an API server of its own.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_loses_nothing_when_it_is_killed() -> Result<()> {
    loses_nothing("sqlite", None, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_etcd_of_the_pod_loses_nothing_when_it_is_killed() -> Result<()> {
    loses_nothing("etcd", None, |values| values.store.r#type = StoreType::Etcd).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_outside_of_the_pod_loses_nothing_when_it_is_killed() -> Result<()> {
    let etcd = servers::etcd().await?;
    let endpoint = etcd.endpoint();
    loses_nothing("external", Some(etcd), |values| {
        values.store.r#type = StoreType::External;
        values.store.external.endpoints = vec![endpoint];
        "etcd".clone_into(&mut values.store.external.secret);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_loses_nothing_when_it_is_killed() -> Result<()> {
    let Some(database) = servers::postgres()? else { return Ok(()) };
    loses_nothing("postgres", Some(database), of_sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_loses_nothing_when_it_is_killed() -> Result<()> {
    let Some(database) = servers::mariadb()? else { return Ok(()) };
    loses_nothing("mariadb", Some(database), of_sql).await
}

fn of_sql(values: &mut Values) {
    values.store.r#type = StoreType::Sql;
    "database".clone_into(&mut values.store.data_source.secret);
}

/// Creates objects while the store is killed, kills everything afterwards, and compares.
async fn loses_nothing(name: &'static str, server: Option<Server>, change: impl FnOnce(&mut Values)) -> Result<()> {
    let _turn = TURN.lock().await;
    let mut values = Values::default();
    change(&mut values);
    if let Some(server) = &server {
        server.start().await?;
    }
    let outside = server.as_ref().map_or_else(Outside::default, |server| server.outside.clone());
    let pod = Pod::prepare(&format!("store-{name}"), values, &outside).await?;
    pod.start().await?;
    let cluster = pod.cluster().await?;

    let started = Instant::now();
    let confirmed = Arc::new(Mutex::new(BTreeMap::new()));
    let creation = tokio::spawn(create(cluster.clone(), confirmed.clone()));
    let reached = async {
        while confirmed.lock().len() < BEFORE {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(120), reached).await.context("the first half is not created")?;
    match &server {
        Some(server) => {
            server.kill();
            sleep(Duration::from_millis(300)).await;
            server.start().await?;
        }
        None => pod.restart_store().await?,
    }
    creation.await??;
    println!("store {name}: {OBJECTS} objects and a kill in {:.1} s", started.elapsed().as_secs_f64());

    pod.kill();
    if let Some(server) = &server {
        server.kill();
        server.start().await?;
    }
    pod.start().await?;
    let (cluster, path) = (pod.cluster().await?, format!("{MAPS}?labelSelector=of%3Dstores"));
    // It answers with 429 until its cache is filled.
    let end = Instant::now() + Duration::from_secs(60);
    let maps = loop {
        match cluster.list(&path).await {
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => sleep(Duration::from_millis(200)).await,
            Ok(maps) => break maps,
        }
    };
    let found: BTreeMap<String, String> = maps.iter().map(|map| (cluster::name(map).to_owned(), uid(map))).collect();
    let confirmed = confirmed.lock();
    assert_eq!(confirmed.len(), OBJECTS);
    for (name, uid) in confirmed.iter() {
        assert_eq!(found.get(name), Some(uid), "{name} was confirmed");
    }
    assert_eq!(found.len(), OBJECTS);
    Ok(())
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// Creates all objects by several clients. A request that fails is repeated: it may have been performed.
async fn create(cluster: Cluster, confirmed: Arc<Mutex<BTreeMap<String, String>>>) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (cluster, next, confirmed) = (cluster.clone(), next.clone(), confirmed.clone());
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= OBJECTS {
                    return Ok(());
                }
                let name = format!("map-{number}");
                let uid = one(&cluster, &name).await?;
                confirmed.lock().insert(name, uid);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        let ended: Result<()> = client?;
        ended?;
    }
    Ok(())
}

async fn one(cluster: &Cluster, name: &str) -> Result<String> {
    let map = json!({"metadata": {"name": name, "labels": {"of": "stores"}}, "data": {"text": "x".repeat(400)}});
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let error = match timeout(Duration::from_secs(10), cluster.create(MAPS, map.clone())).await {
            Ok(Ok(created)) => return Ok(uid(&created)),
            Ok(Err(error)) => error,
            Err(slow) => slow.into(),
        };
        if let Ok(Ok(Some(found))) = timeout(Duration::from_secs(10), cluster.get(&format!("{MAPS}/{name}"))).await {
            return Ok(uid(&found));
        }
        ensure!(Instant::now() < end, "{name} cannot be created: {error:#}");
        sleep(Duration::from_millis(100)).await;
    }
}

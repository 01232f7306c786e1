//! Watch of all virtual Services from the beginning: none ever shows another address than its
//! first.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, name};

/// States of one Service, by its UID: name and every distinct list of addresses, in order.
type Shown = BTreeMap<String, (String, Vec<Value>)>;

/// Recorder of every state of the Services of a namespace.
pub struct Witness {
    shown: Arc<Mutex<Shown>>,
    task: JoinHandle<Result<()>>,
}

impl Witness {
    /// Starts to watch the Services of a namespace.
    pub async fn start(virt: &Cluster, namespace: &str) -> Result<Self> {
        let path = format!("/api/v1/namespaces/{namespace}/services");
        let version = virt.get(&path).await?.unwrap_or_default()["metadata"]["resourceVersion"].clone();
        let path = format!("{path}?watch=true&resourceVersion={}", version.as_str().unwrap_or_default());
        let (shown, client) = (Arc::<Mutex<Shown>>::default(), virt.client.clone());
        let seen = Arc::clone(&shown);
        let task = tokio::spawn(async move {
            let mut lines = client.request_stream(Request::get(&path).body(Vec::new())?).await?.lines();
            while let Some(line) = lines.try_next().await? {
                let event: Value = serde_json::from_str(&line)?;
                note(&mut seen.lock(), &event["object"]);
            }
            Ok(())
        });
        Ok(Self { shown, task })
    }

    /// Returns the number of Services seen.
    pub fn count(&self) -> usize {
        self.shown.lock().len()
    }

    /// Checks that no Service has shown two addresses.
    pub fn check(self) -> Result<()> {
        ensure!(!self.task.is_finished(), "the watch has ended");
        self.task.abort();
        for (uid, (name, addresses)) in &*self.shown.lock() {
            ensure!(addresses.len() <= 1, "{name} ({uid}) has shown {addresses:?}");
        }
        Ok(())
    }
}

fn note(shown: &mut Shown, service: &Value) {
    let addresses = &service["spec"]["clusterIPs"];
    if !addresses.is_array() {
        return;
    }
    let uid = service["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let (_, all) = shown.entry(uid).or_insert_with(|| (name(service).to_owned(), Vec::new()));
    if all.last() != Some(addresses) {
        all.push(addresses.clone());
    }
}

//! Fresh clusters for every subject, with clients.

use std::time::Instant;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tenet_playground::{Options, Playground};

use crate::api::{Api, IN_FLIGHT};
use crate::args::Args;
use crate::audit::{AuditLog, Calls};
use crate::pods;
use crate::timeline::Timeline;

/// Number of pods that warm up both clusters before the measurement.
const WARM_UP: usize = 50;

/// Two clusters and clients with all rights.
pub struct Lab {
    /// Clusters.
    pub playground: Playground,
    /// Virtual API server.
    pub virt: Api,
    /// Host API server.
    pub host: Api,
}

/// Position in both audit logs.
pub struct Mark([u64; 2]);

impl Lab {
    /// Starts two clusters, and lets a few pods come and go on each.
    pub async fn start(args: &Args, subject: &str) -> Result<Self> {
        let dir = args.keep.as_ref().map(|dir| dir.join(subject));
        let options = Options { dir, nodes: args.nodes, ..Options::default() };
        let playground = Playground::start(options).await?;
        let virt = Api::new(playground.virtual_kubeconfig()).await?;
        let host = Api::new(playground.host_kubeconfig()).await?;
        let lab = Self { playground, virt, host };
        lab.warm_up().await.context("warm-up")?;
        Ok(lab)
    }

    /// Returns the host namespace of the virtual cluster.
    pub fn namespace(&self) -> &str {
        self.playground.namespace()
    }

    /// Starts a timeline of a batch in the virtual cluster.
    pub async fn inside(&self, batch: &str) -> Result<Timeline> {
        Timeline::follow("virtual", &self.virt, pods::NAMESPACE, batch).await
    }

    /// Starts a timeline of a batch on the host.
    pub async fn outside(&self, batch: &str) -> Result<Timeline> {
        Timeline::follow("host", &self.host, self.namespace(), batch).await
    }

    /// Returns the current ends of the audit logs.
    pub fn mark(&self) -> Result<Mark> {
        let [virt, host] = self.logs();
        Ok(Mark([virt.mark()?, host.mark()?]))
    }

    /// Counts the syncer's requests since a mark.
    pub fn calls(&self, since: &Mark) -> Result<Calls> {
        let mut calls = Calls::new();
        for (log, mark) in self.logs().iter().zip(since.0) {
            calls.extend(log.since(mark)?);
        }
        Ok(calls)
    }

    /// Returns how many watches the API servers have closed as too slow: inside, on the host.
    pub async fn closed_watches(&self) -> Result<[f64; 2]> {
        const CLOSED: &str = "apiserver_terminated_watchers_total";
        let (virt, host) = tokio::try_join!(self.virt.counter(CLOSED), self.host.counter(CLOSED))?;
        Ok([virt, host])
    }

    fn logs(&self) -> [AuditLog; 2] {
        let (virt, host) = (self.playground.virtual_plane(), self.playground.host_plane());
        [AuditLog::new("virtual", virt.audit_log()), AuditLog::new("host", host.audit_log())]
    }

    /// Warms up: the first requests of every class, and the first pods of a scheduler and of a node, are slow.
    async fn warm_up(&self) -> Result<()> {
        for (api, namespace, runs) in [(&self.virt, pods::NAMESPACE, false), (&self.host, self.namespace(), true)] {
            let timeline = Timeline::follow("warm", api, namespace, "warm").await?;
            create(api, namespace, "warm", WARM_UP).await?;
            timeline.until("warm-up", |now| if runs { now.running == WARM_UP } else { now.added == WARM_UP }).await?;
            delete(api, namespace, "warm", WARM_UP).await?;
            timeline.until("warm-up", |now| now.gone == WARM_UP).await?;
        }
        Ok(())
    }
}

/// Creates the pods of a batch as fast as the API accepts them. Returns the instants of the answers.
pub async fn create(api: &Api, namespace: &str, batch: &str, count: usize) -> Result<Vec<(String, Instant)>> {
    let names = (0..count).map(|number| pods::name(batch, number));
    stream::iter(names.map(|name| create_one(api, namespace, batch, name)))
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await
}

/// Creates one pod. Returns the instant of the answer.
pub async fn create_one(api: &Api, namespace: &str, batch: &str, name: String) -> Result<(String, Instant)> {
    api.create(&pods::pods(namespace), &pods::manifest(batch, &name)).await?;
    Ok((name, Instant::now()))
}

/// Deletes the pods of a batch as fast as the API accepts it.
pub async fn delete(api: &Api, namespace: &str, batch: &str, count: usize) -> Result<()> {
    let paths = (0..count).map(|number| pods::pod(namespace, &pods::name(batch, number)));
    stream::iter(paths.map(|path| async move { api.delete(&path, &json!({})).await.map(drop) }))
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await
}

//! The sockets of the virtual API server: what it asks of the syncer, and how it is answered.
//!
//! They see the engine through one trait, [`EngineHandle`], and the engine knows nothing of
//! them: [`Sockets`] is handed to [`tenet_syncer::run`].

mod access;
mod aggregation;
#[cfg(test)]
mod fake_engine;
mod kubelet;
mod metrics;
mod panics;
mod resource_metrics;
mod rights;
mod serving;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tenet_config::{Config, Live};
use tenet_syncer::role::Need;
use tenet_syncer::{EngineHandle, connect};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use access::{Authorities, Authorizer, Tokens};
use kubelet::{Kubelet, Nodes, Parts, PodResolver, Sessions, Upstream};
use metrics::Metrics;
use panics::Panics;
use resource_metrics::ResourceMetrics;
use serving::CertificateStore;
use tenet_syncer::api::Api;

/// Properties that hold for every input, for fuzzers.
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz {
    pub use crate::kubelet::fuzz::{bytes, upgrade, uri};
}

/// The name of the sockets in `/readyz` and in metrics.
const PART: &str = "sockets";
/// Delay of the next attempt when a socket cannot be opened at all.
const AGAIN: Duration = Duration::from_secs(5);

/// The sockets that the configuration asks for.
pub struct Sockets;

impl tenet_syncer::Sockets for Sockets {
    fn rights(&self, config: &Config) -> Vec<Need> {
        rights::rights(config)
    }

    fn serve(
        self,
        engine: Arc<dyn EngineHandle>,
        live: Live,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        run(engine, live, stop)
    }
}

/// Opens the sockets that the configuration asks for, and serves until it is told to stop.
async fn run(engine: Arc<dyn EngineHandle>, live: Live, stop: CancellationToken) {
    let config = (*live.get()).clone();
    if config.webhook.enabled {
        engine.report_closed(webhook::SOCKET, Some("it is not opened yet".to_owned()));
    }
    let withdrawn = stop.run_until_cancelled(withdraw(&*engine, &config));
    if !config.kubelet.enabled && !config.webhook.enabled && !config.usage.enabled {
        withdrawn.await;
        return;
    }
    tokio::join!(withdrawn, serve(&engine, &live, &config, &stop));
}

/// Removes registrations of an earlier start at sockets that are not configured any more.
async fn withdraw(engine: &dyn EngineHandle, config: &Config) {
    engine.leads().await;
    if !config.webhook.enabled {
        webhook::withdraw(engine).await;
    }
    if !config.usage.enabled {
        aggregation::withdraw(engine).await;
    }
}

/// Opens the sockets, again and again if need be, and serves.
async fn serve(engine: &Arc<dyn EngineHandle>, live: &Live, config: &Config, stop: &CancellationToken) {
    let metrics = match Metrics::new(engine.registry()) {
        Ok(metrics) => Arc::new(metrics),
        Err(error) => return tracing::error!(%error, "cannot register the metrics of the sockets: they stay closed"),
    };
    loop {
        let error = tokio::select! {
            () = stop.cancelled() => return,
            opened = open(engine, live, config, &metrics) => match opened {
                Ok(opened) => {
                    engine.report_off(PART, None);
                    if Panics::new(engine).contain(PART, Box::pin(opened.serve(stop.clone()))).await.is_some() {
                        return;
                    }
                    anyhow::anyhow!("a task of the sockets panicked")
                }
                Err(error) => error,
            },
        };
        tracing::warn!(error = format!("{error:#}"), "cannot open the sockets of the virtual API server");
        engine.report_off(PART, Some(format!("{error:#}")));
        // Sockets that are off are no reason to call the mappers not ready. A replica that stands by opens them later.
        if engine.may_write() {
            engine.report_closed(webhook::SOCKET, None);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(AGAIN) => {}
        }
    }
}

/// The sockets, ready to serve.
struct Opened {
    engine: Arc<dyn EngineHandle>,
    live: Live,
    config: Config,
    virt: Api,
    metrics: Arc<Metrics>,
    certificates: Arc<CertificateStore>,
    authorities: Arc<Authorities>,
    nodes: Nodes,
    resource_metrics: Arc<ResourceMetrics>,
    /// True if another replica may have made the authority since it was read.
    stood_by: bool,
}

async fn open(
    engine: &Arc<dyn EngineHandle>,
    live: &Live,
    config: &Config,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Opened> {
    engine.check_claim()?;
    let limit = *config.engine.request_timeout;
    let (virt, host) = (connect::virt(config).await?, connect::host(config).await?);
    let names = ["localhost", "127.0.0.1", "::1", aggregation::SERVER_NAME].map(str::to_owned).to_vec();
    let may_write = engine.may_write();
    let (name, namespace) = (&config.name, &config.host.namespace);
    let certificates = CertificateStore::start(host.clone(), name, namespace, names, limit, may_write)
        .await
        .context("cannot load the serving certificate")?;
    let (certificates, authorities) = (Arc::new(certificates), Arc::new(Authorities::new(virt.clone(), limit)));
    let resource_metrics = Arc::new(ResourceMetrics::new(host.clone(), Arc::clone(engine), limit));
    let kubelet = Kubelet {
        resource_metrics: Arc::clone(&resource_metrics),
        resolver: PodResolver { virt: virt.clone(), host, engine: Arc::clone(engine), limit },
        upstream: Upstream::new(&connect::host_config(config).await?)?,
        tokens: Tokens::new(virt.clone(), limit),
        authorizer: Authorizer::new(virt.clone(), limit),
        sessions: Arc::new(Sessions::new(live.clone(), Arc::clone(metrics))),
        tasks: TaskTracker::new(),
        panics: Panics::new(engine),
        closing: CancellationToken::new(),
        virt: virt.clone(),
    };
    let nodes = Nodes::new(Parts {
        engine: Arc::clone(engine),
        config: config.clone(),
        kubelet: Arc::new(kubelet),
        certificates: Arc::clone(&certificates),
        authorities: Arc::clone(&authorities),
    });
    Ok(Opened {
        engine: Arc::clone(engine),
        live: live.clone(),
        config: config.clone(),
        virt,
        metrics: Arc::clone(metrics),
        certificates,
        authorities,
        nodes,
        resource_metrics,
        stood_by: !may_write,
    })
}

impl Opened {
    async fn serve(self, stop: CancellationToken) {
        let engine = Arc::clone(&self.engine);
        let panics = Panics::new(&engine);
        let keep = panics.restart("certificates", || self.certificates.run(&*engine, stop.clone()));
        let authorities = panics.restart("authorities", || self.authorities.run(stop.clone()));
        let kubelet = async {
            if self.config.kubelet.enabled {
                self.nodes.run(stop.clone()).await;
            }
        };
        let limit = *self.config.engine.request_timeout;
        let aggregated = aggregation::Parts {
            engine: Arc::clone(&self.engine),
            resource_metrics: self.resource_metrics,
            certificates: Arc::clone(&self.certificates),
            authorities: Arc::clone(&self.authorities),
            authorizer: Authorizer::new(self.virt, limit),
            listen: self.config.usage.listen,
        };
        let aggregated = async {
            if self.config.usage.enabled {
                aggregation::run(aggregated, stop.clone()).await;
            }
        };
        let webhook = async {
            if self.config.webhook.enabled {
                let parts = webhook::Parts {
                    engine: Arc::clone(&self.engine),
                    metrics: self.metrics,
                    certificates: Arc::clone(&self.certificates),
                    live: self.live,
                };
                panics.restart("webhook", || webhook::run(&parts, stop.clone())).await;
            }
        };
        // They are registered, and the webhook reserves on the host: by the replica that may write.
        let registered = async {
            if stop.run_until_cancelled(engine.leads()).await.is_some() {
                if self.stood_by {
                    self.certificates.follow().await;
                }
                tokio::join!(aggregated, webhook);
            }
        };
        tokio::join!(keep, authorities, kubelet, registered);
    }
}

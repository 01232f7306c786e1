//! Opens the sockets of the virtual API server, and looks after them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tenet_config::{Config, Live};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Authorities, Authorizer, Tokens};
use crate::connect;
use crate::engine::Engine;
use crate::kubelet::{Kubelet, Nodes, Parts, Places, Streams, Upstream};
use crate::serving::Keeper;
use crate::usage::Usage;
use crate::{aggregation, webhook};

/// How long until the next attempt when a socket cannot be opened at all.
const AGAIN: Duration = Duration::from_secs(5);

/// Opens what the configuration asks for, and serves until it is told to stop.
pub async fn run(engine: Arc<Engine>, live: Live, stop: CancellationToken) {
    let config = (*live.get()).clone();
    if !config.webhook.enabled {
        webhook::withdraw(&engine).await;
    }
    if !config.usage.enabled {
        aggregation::withdraw(&engine).await;
    }
    if !config.kubelet.enabled && !config.webhook.enabled && !config.usage.enabled {
        return;
    }
    loop {
        let error = tokio::select! {
            () = stop.cancelled() => return,
            opened = open(&engine, &live, &config) => match opened {
                Ok(opened) => return Box::pin(opened.serve(stop)).await,
                Err(error) => error,
            },
        };
        tracing::warn!(error = format!("{error:#}"), "the sockets of the virtual API server are not open");
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(AGAIN) => {}
        }
    }
}

/// What was opened.
struct Opened {
    engine: Arc<Engine>,
    live: Live,
    config: Config,
    keeper: Arc<Keeper>,
    authorities: Arc<Authorities>,
    nodes: Nodes,
    usage: Arc<Usage>,
}

async fn open(engine: &Arc<Engine>, live: &Live, config: &Config) -> anyhow::Result<Opened> {
    let limit = *config.engine.request_timeout;
    let (virt, host) = (engine.view.virt.clone(), connect::host(config).await?);
    let names = ["localhost", "127.0.0.1", "::1", aggregation::SERVER_NAME].map(str::to_owned).to_vec();
    let keeper = Keeper::start(host.clone(), &config.name, &config.host.namespace, names, limit)
        .await
        .context("the serving certificate")?;
    let (keeper, authorities) = (Arc::new(keeper), Arc::new(Authorities::new(virt.clone(), limit)));
    let usage = Arc::new(Usage::new(host.clone(), Arc::clone(&engine.caches), Arc::clone(&engine.facts), limit));
    let kubelet = Kubelet {
        usage: Arc::clone(&usage),
        places: Places {
            virt: virt.clone(),
            host,
            facts: Arc::clone(&engine.facts),
            caches: Arc::clone(&engine.caches),
            held: engine.gate.held(),
            limit,
        },
        upstream: Upstream::new(&connect::host_config(config).await?)?,
        tokens: Tokens::new(virt.clone(), limit),
        authorizer: Authorizer::new(virt.clone(), limit),
        streams: Arc::new(Streams::new(live.clone(), Arc::clone(&engine.metrics))),
        tasks: TaskTracker::new(),
        closing: CancellationToken::new(),
        virt,
    };
    let nodes = Nodes::new(Parts {
        engine: Arc::clone(engine),
        config: config.clone(),
        kubelet: Arc::new(kubelet),
        keeper: Arc::clone(&keeper),
        authorities: Arc::clone(&authorities),
    });
    Ok(Opened {
        engine: Arc::clone(engine),
        live: live.clone(),
        config: config.clone(),
        keeper,
        authorities,
        nodes,
        usage,
    })
}

impl Opened {
    async fn serve(self, stop: CancellationToken) {
        let keep = self.keeper.run(stop.clone());
        let authorities = self.authorities.run(stop.clone());
        let kubelet = async {
            if self.config.kubelet.enabled {
                self.nodes.run(stop.clone()).await;
            }
        };
        let limit = *self.config.engine.request_timeout;
        let metrics = aggregation::Parts {
            engine: Arc::clone(&self.engine),
            usage: self.usage,
            keeper: Arc::clone(&self.keeper),
            authorities: Arc::clone(&self.authorities),
            authorizer: Authorizer::new(self.engine.view.virt.clone(), limit),
            listen: self.config.usage.listen,
        };
        let metrics = async {
            if self.config.usage.enabled {
                aggregation::run(metrics, stop.clone()).await;
            }
        };
        let webhook = async {
            if self.config.webhook.enabled {
                webhook::run(self.engine, Arc::clone(&self.keeper), self.live, stop.clone()).await;
            }
        };
        tokio::join!(keep, authorities, kubelet, metrics, webhook);
    }
}

//! The authorities of clients, which the virtual API server publishes: those of users, and
//! those of its own front proxy.

use std::time::Duration;

use serde_json::Value;
use tenet_mapper::kinds;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use tenet_syncer::api::{Api, Target};

/// Interval of the reads, and so the time until another authority is noticed.
const LOOK: Duration = Duration::from_secs(30);
const FIRST_LOOKS: Duration = Duration::from_secs(1);

/// Certificate authorities and names that the virtual API server publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The authorities of client certificates, as PEM.
    pub clients: String,
    /// The authorities of front proxies, as PEM.
    pub front_proxies: String,
    /// The common names that a front proxy may have; any when empty.
    pub front_proxy_names: Vec<String>,
    /// The headers that name the user, those that name groups, and the prefixes of the rest.
    pub headers: [Vec<String>; 3],
}

/// Authorities that a socket trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// The authorities of users.
    Clients,
    /// The authorities of front proxies.
    FrontProxies,
}

impl Published {
    /// Returns the authorities, if any are published.
    pub fn bundle(&self, bundle: Bundle) -> Option<&str> {
        let pem = match bundle {
            Bundle::Clients => &self.clients,
            Bundle::FrontProxies => &self.front_proxies,
        };
        (!pem.trim().is_empty()).then_some(pem)
    }
}

/// Follows what the virtual API server publishes.
pub struct Authorities {
    virt: Api,
    limit: Duration,
    published: watch::Sender<Published>,
}

impl Authorities {
    /// Follows this API server; nothing is known before [`Self::run`] has read it.
    pub fn new(virt: Api, limit: Duration) -> Self {
        Self { virt, limit, published: watch::channel(Published::default()).0 }
    }

    /// Returns a receiver of what is published, and of every change.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// Follows until it is told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let pause = if self.look().await { LOOK } else { FIRST_LOOKS };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Reads once. Returns true if there is an authority to trust.
    async fn look(&self) -> bool {
        let target = Target::new(kinds::CONFIG_MAP, "kube-system", "extension-apiserver-authentication");
        match self.virt.get(&target, self.limit).await {
            Ok(Some(found)) => {
                let found = read(&found);
                self.published.send_if_modified(|before| {
                    let changed = *before != found;
                    *before = found;
                    changed
                });
            }
            // Keep the known authorities: the API server publishes them again when it starts.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot read ConfigMap kube-system/extension-apiserver-authentication");
            }
        }
        !self.published.borrow().clients.is_empty()
    }
}

fn read(config_map: &Value) -> Published {
    let text = |key: &str| config_map.pointer(&format!("/data/{key}")).and_then(Value::as_str).unwrap_or_default();
    let list = |key: &str| serde_json::from_str::<Vec<String>>(text(key)).unwrap_or_default();
    Published {
        clients: text("client-ca-file").to_owned(),
        front_proxies: text("requestheader-client-ca-file").to_owned(),
        front_proxy_names: list("requestheader-allowed-names"),
        headers: [
            list("requestheader-username-headers"),
            list("requestheader-group-headers"),
            list("requestheader-extra-headers-prefix"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_published_is_read() {
        let read = read(&json!({"data": {
            "client-ca-file": "A", "requestheader-client-ca-file": "B",
            "requestheader-allowed-names": "[\"front-proxy-client\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
        }}));
        assert_eq!(read.bundle(Bundle::Clients), Some("A"));
        assert_eq!(read.bundle(Bundle::FrontProxies), Some("B"));
        assert_eq!(read.front_proxy_names, ["front-proxy-client"]);
        assert_eq!(read.headers[0], ["X-Remote-User"]);
        assert_eq!(super::read(&json!({})), Published::default());
    }
}

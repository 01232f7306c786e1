//! The virtual cluster of a command, reached through the API server of the host.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tenet_install::api::Api;

use crate::connect::{Forward, kubeconfig, with_server};
use crate::host::Host;

/// Time for an answer, so that a command ends when nothing runs behind the port.
const LIMIT: Duration = Duration::from_secs(15);

/// Connection to a virtual cluster, as its administrator.
pub(crate) struct Inside {
    pub(crate) api: Api,
    forward: Forward,
}

impl Inside {
    /// Opens the connection. Nothing is sent before the first request.
    pub(crate) async fn connect(host: &Host, name: &str) -> Result<Self> {
        let kubeconfig = kubeconfig(host, name).await?;
        let forward = Forward::start(host, name, 0).await?;
        let text = with_server(&kubeconfig, &format!("https://127.0.0.1:{}", forward.port()))?;
        let kubeconfig = Kubeconfig::from_yaml(&text).context("cannot read the kubeconfig of the virtual cluster")?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .context("cannot use the kubeconfig of the virtual cluster")?;
        (config.connect_timeout, config.read_timeout) = (Some(LIMIT), Some(LIMIT));
        let client = Client::try_from(config).context("cannot use the kubeconfig of the virtual cluster")?;
        Ok(Self { api: Api::new(client), forward })
    }

    /// Returns the address on this machine that leads to the virtual API server.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.forward.port()).into()
    }
}

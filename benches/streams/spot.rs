//! Where a stream begins: one of three servers, which name the same pod differently.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use kube::Config;
use kube::client::ConfigExt;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

/// The only container of the pod.
pub const CONTAINER: &str = "main";

/// Which server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The API server of the host.
    Direct,
    /// The syncer, as an API server speaks to a kubelet.
    Node,
    /// The virtual API server, which asks the syncer.
    Through,
}

impl Way {
    /// In the order of a round.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Node, Self::Through];
}

/// A server, and the pod by the name that it has there.
pub struct Spot {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub tls: TlsConnector,
    /// The name in its certificate.
    pub name: ServerName<'static>,
    way: Way,
    namespace: String,
    pod: String,
}

impl Spot {
    /// A pod at a server.
    pub fn new(way: Way, config: &Config, namespace: &str, pod: &str) -> Result<Self> {
        let authority = config.cluster_url.authority().context("a server without an address")?;
        let address: SocketAddr = authority.as_str().parse().context("the address of a server")?;
        let mut tls = config.rustls_client_config()?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            address,
            tls: TlsConnector::from(Arc::new(tls)),
            name: ServerName::IpAddress(address.ip().into()),
            way,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
        })
    }

    /// Runs a shell command, with or without standard input.
    pub fn exec(&self, script: &str, stdin: bool) -> String {
        let script = script.replace(' ', "%20").replace('|', "%7C");
        let command = format!("command=sh&command=-c&command={script}");
        match self.way {
            Way::Node => {
                let stdin = if stdin { "&input=1" } else { "" };
                format!("/exec/{}/{}/{CONTAINER}?{command}&output=1{stdin}", self.namespace, self.pod)
            }
            _ => format!("{}/exec?{command}&container={CONTAINER}&stdout=true&stdin={stdin}", self.path()),
        }
    }

    /// The log, or its last line.
    pub fn log(&self, last_line: bool) -> String {
        let query = if last_line { "?tailLines=1" } else { "" };
        match self.way {
            Way::Node => format!("/containerLogs/{}/{}/{CONTAINER}{query}", self.namespace, self.pod),
            _ => format!("{}/log{query}", self.path()),
        }
    }

    /// Ports.
    pub fn forward(&self) -> String {
        match self.way {
            Way::Node => format!("/portForward/{}/{}", self.namespace, self.pod),
            _ => format!("{}/portforward", self.path()),
        }
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.pod)
    }
}

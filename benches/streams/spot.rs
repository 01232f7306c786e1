//! Start of a stream: one of three servers, each with its own name for the same pod.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use kube::Config;
use kube::client::ConfigExt;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

/// Only container of the pod.
pub const CONTAINER: &str = "main";

/// Server that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// API server of the host.
    Direct,
    /// Syncer, as an API server speaks to a kubelet.
    Node,
    /// Virtual API server, which asks the syncer.
    Through,
}

impl Way {
    /// Ways in the order of a round.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Node, Self::Through];
}

/// Server, and the pod by its name there.
pub struct Spot {
    /// Address of the server.
    pub address: SocketAddr,
    /// TLS settings.
    pub tls: TlsConnector,
    /// Name in the server's certificate.
    pub name: ServerName<'static>,
    way: Way,
    namespace: String,
    pod: String,
}

impl Spot {
    /// Creates the server entry of a pod.
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

    /// Returns the path that runs a shell command, with or without standard input.
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

    /// Returns the path of the log, or of its last line.
    pub fn log(&self, last_line: bool) -> String {
        let query = if last_line { "?tailLines=1" } else { "" };
        match self.way {
            Way::Node => format!("/containerLogs/{}/{}/{CONTAINER}{query}", self.namespace, self.pod),
            _ => format!("{}/log{query}", self.path()),
        }
    }

    /// Returns the path of a port-forward.
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

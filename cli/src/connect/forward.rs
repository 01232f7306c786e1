//! Connection to a virtual API server through the API server of the host, as `kubectl port-forward` makes it.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tenet_install::names::API_PORT;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::host::Host;

/// Open listener. Dropping it ends it.
pub(crate) struct Forward {
    port: u16,
    task: JoinHandle<anyhow::Error>,
}

impl Forward {
    /// Listens on this machine; a port of 0 takes a free one.
    pub(crate) async fn start(host: &Host, name: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
        let port = listener.local_addr()?.port();
        let pods: Api<Pod> = Api::namespaced(host.api.client().clone(), &host.namespace);
        let task = tokio::spawn(serve(listener, pods, tenet_install::names::pod(name)));
        Ok(Self { port, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Resolves when no further connection can be accepted.
    pub(super) async fn ended(mut self) -> anyhow::Error {
        match (&mut self.task).await {
            Ok(error) => error,
            Err(error) => anyhow!(error),
        }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, pods: Api<Pod>, pod: String) -> anyhow::Error {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((connection, _)) => {
                    let (pods, pod) = (pods.clone(), pod.clone());
                    connections.spawn(async move { carry(connection, &pods, &pod).await });
                }
                Err(error) => return anyhow!(error).context("cannot accept connections"),
            },
            Some(ended) = connections.join_next() => {
                if let Ok(Err(error)) = ended {
                    eprintln!("tenet: connection to pod {pod}: {error:#}");
                }
            }
        }
    }
}

/// Carries one connection. Each has a stream of its own, so that one that fails does not end the others.
async fn carry(mut connection: TcpStream, pods: &Api<Pod>, pod: &str) -> Result<()> {
    let mut forwarder = pods.portforward(pod, &[API_PORT]).await.context("the host does not forward")?;
    let mut stream = forwarder.take_stream(API_PORT).context("the host opened no stream")?;
    // Either side may end the connection at any time; the client sees that by itself.
    let _ = copy_bidirectional(&mut connection, &mut stream).await;
    drop(stream);
    forwarder.join().await.context("the host ended the connection")
}

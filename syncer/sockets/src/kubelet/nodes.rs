//! The sockets of the virtual nodes: one for each node, which come and go with them. The
//! socket of a connection determines its node.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use serde_json::Value;
use tenet_config::{Config, KubeletCertificate, NodeAddresses};
use tenet_mapper::translate::kubelets;
use tenet_mapper::{HostKey, Object, ObjectRef, Side, kinds};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificate;
use super::server::{Kubelet, Node};
use crate::access::{Authorities, Bundle, Published};
use crate::serving::{CertificateStore, Listener, ServedCertificate, server_config};
use tenet_syncer::EngineHandle;

/// Interval of the checks of all nodes, in case the notification of a change was missed.
const LOOK: Duration = Duration::from_secs(30);
/// Delay of the next attempt when a socket cannot be opened.
const AGAIN: Duration = Duration::from_secs(1);
/// Time for which streams may go on after a request to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Number of connections beside those that are streams.
const MORE_CONNECTIONS: usize = 1024;

/// Parts that the sockets need.
pub struct Parts {
    /// The engine, whose caches have the nodes.
    pub engine: Arc<dyn EngineHandle>,
    /// The configuration at the start.
    pub config: Config,
    /// Parts that the kubelets share.
    pub kubelet: Arc<Kubelet>,
    /// The own authority.
    pub certificates: Arc<CertificateStore>,
    /// The authorities of clients.
    pub authorities: Arc<Authorities>,
}

/// The sockets of the virtual nodes.
pub struct Nodes {
    parts: Parts,
    connections: Arc<Semaphore>,
    sockets: BTreeMap<String, Socket>,
    failed: BTreeMap<String, Instant>,
    tasks: TaskTracker,
}

/// The address of a node and the socket behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    /// The address that the virtual API server connects to.
    address: IpAddr,
    /// The address that is listened on.
    socket: SocketAddr,
}

struct Socket {
    endpoint: Endpoint,
    served: Arc<ServedCertificate>,
    tls: Arc<ArcSwap<ServerConfig>>,
    stop: CancellationToken,
}

impl Drop for Socket {
    /// A socket is closed with its owner, also when that has panicked: the next one needs the address.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Nodes {
    /// Sockets of which none is open yet.
    pub fn new(parts: Parts) -> Self {
        let streams = usize::try_from(parts.config.kubelet.streams.total).unwrap_or(usize::MAX);
        let connections =
            Arc::new(Semaphore::new(streams.saturating_add(MORE_CONNECTIONS).min(Semaphore::MAX_PERMITS)));
        Self { parts, connections, sockets: BTreeMap::new(), failed: BTreeMap::new(), tasks: TaskTracker::new() }
    }

    /// Keeps a socket for each node until it is told to stop; then lets streams finish.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut published = self.parts.authorities.subscribe();
        let [mut nodes, mut services] = [(Side::Virtual, kinds::NODE), (Side::Host, kinds::SERVICE)]
            .map(|(side, kind)| self.parts.engine.changes(side, kind));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = change_of(&mut nodes) => {}
                () = change_of(&mut services) => {}
                changed = published.changed() => if changed.is_ok() { self.trust(&published) },
                () = sleep_until(self.failed.values().min().copied().unwrap_or_else(|| Instant::now() + LOOK)) => {}
            }
            let clients = published.borrow().bundle(Bundle::Clients).map(str::to_owned);
            if let Some(clients) = clients {
                self.sync(&clients).await;
            }
        }
        self.end().await;
    }

    /// Replaces the authorities of clients, from the next connection on.
    fn trust(&self, published: &watch::Receiver<Published>) {
        let published = published.borrow();
        let Some(clients) = published.bundle(Bundle::Clients) else { return };
        for socket in self.sockets.values() {
            match server_config(Arc::clone(&socket.served), Some(clients)) {
                Ok(tls) => socket.tls.store(Arc::new(tls)),
                Err(error) => tracing::warn!(%error, "cannot load the certificate authorities of clients"),
            }
        }
    }

    /// Opens the sockets of new nodes, and closes those of nodes that have gone or moved.
    async fn sync(&mut self, clients: &str) {
        let wanted = self.wanted();
        self.sockets.retain(|node, socket| {
            let stays = wanted.get(node) == Some(&socket.endpoint);
            if !stays {
                tracing::info!(node, address = %socket.endpoint.socket, "kubelet of a virtual node closed");
                socket.stop.cancel();
            }
            stays
        });
        self.failed.retain(|node, _| wanted.contains_key(node));
        for (node, endpoint) in wanted {
            if self.sockets.contains_key(&node) || self.failed.get(&node).is_some_and(|again| *again > Instant::now()) {
                continue;
            }
            match self.open(&node, &endpoint, clients).await {
                Ok(socket) => {
                    tracing::info!(node, address = %endpoint.socket, "kubelet of a virtual node listens");
                    self.failed.remove(&node);
                    self.sockets.insert(node, socket);
                }
                Err(error) => {
                    if !self.failed.contains_key(&node) {
                        tracing::warn!(node, address = %endpoint.socket, error = format!("{error:#}"), "cannot open the kubelet of a virtual node");
                    }
                    self.failed.insert(node, Instant::now() + AGAIN);
                }
            }
        }
    }

    async fn open(&self, node: &str, endpoint: &Endpoint, clients: &str) -> anyhow::Result<Socket> {
        let socket = TcpListener::bind(endpoint.socket).await?;
        let stop = CancellationToken::new();
        let served = match self.parts.config.kubelet.certificate {
            KubeletCertificate::SelfSigned => self.parts.certificates.served(),
            KubeletCertificate::Csr => self.requested(node, endpoint.address, &stop).await?,
        };
        let tls = Arc::new(ArcSwap::from_pointee(server_config(Arc::clone(&served), Some(clients))?));
        let listener = Listener {
            name: "kubelet",
            socket,
            tls: Arc::clone(&tls),
            connections: Arc::clone(&self.connections),
            panics: self.parts.kubelet.panics.clone(),
        };
        let service = Arc::new(Node { name: node.to_owned(), kubelet: Arc::clone(&self.parts.kubelet) });
        self.tasks.spawn(listener.serve(service, stop.clone()));
        Ok(Socket { endpoint: endpoint.clone(), served, tls, stop })
    }

    /// Requests a certificate of the virtual cluster, renewed until the socket is closed.
    async fn requested(
        &self,
        node: &str,
        address: IpAddr,
        stop: &CancellationToken,
    ) -> anyhow::Result<Arc<ServedCertificate>> {
        anyhow::ensure!(self.parts.engine.may_write(), "a replica that stands by requests no certificate");
        let (virt, addresses) = (self.parts.kubelet.virt.clone(), vec![address.to_string()]);
        let signed = certificate::request(&virt, node, &addresses).await?;
        let served = Arc::new(ServedCertificate::new(signed.key.clone()));
        served.set(signed.key);
        let (stop, panics) = (stop.clone(), self.parts.kubelet.panics.clone());
        let (node, renewed, validity) = (node.to_owned(), Arc::clone(&served), signed.validity);
        self.tasks.spawn(async move {
            let renew = || certificate::renew(&virt, &node, &addresses, &renewed, validity);
            tokio::select! {
                () = panics.restart("kubelet certificate", renew) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(served)
    }

    /// Returns the endpoint that each node should have. Two nodes that claim one socket have none: a request is
    /// never guessed to be for one of them.
    fn wanted(&self) -> BTreeMap<String, Endpoint> {
        let claims: BTreeMap<_, _> = virtual_nodes(&*self.parts.engine)
            .iter()
            .filter_map(|node| Some((node.name().to_owned(), self.endpoint(node)?)))
            .collect();
        let mut count: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for endpoint in claims.values() {
            *count.entry(endpoint.socket).or_default() += 1;
        }
        claims.into_iter().filter(|(_, endpoint)| count[&endpoint.socket] == 1).collect()
    }

    /// Returns the endpoint that a node shows as its address, if it is one of ours.
    fn endpoint(&self, node: &Object) -> Option<Endpoint> {
        let address = node_address(node)?.parse().ok()?;
        let socket = match (self.parts.config.kubelet.addresses, address) {
            (NodeAddresses::Service, _) => SocketAddr::from((self.parts.config.kubelet.listen, self.port(node)?)),
            (NodeAddresses::Loopback, IpAddr::V4(own)) if kubelets::is_loopback_of_node(own) => {
                SocketAddr::from((own, self.parts.config.kubelet.port))
            }
            (NodeAddresses::Loopback, _) => return None,
        };
        Some(Endpoint { address, socket })
    }

    /// The port behind the Service of a node, once the node shows its address.
    fn port(&self, node: &Object) -> Option<u16> {
        let facts = self.parts.engine.facts();
        let name = facts.names.node_service_name(node.name());
        let key = HostKey::new(facts.names.host_namespace(""), name);
        let service = self.parts.engine.view(kinds::SERVICE).get(&ObjectRef::host(kinds::SERVICE, &key))?;
        let port = service.at("/spec/ports/0/targetPort").and_then(Value::as_u64)?;
        let port = u16::try_from(port).ok().filter(|port| kubelets::is_port_of_node(*port));
        port.filter(|_| service.str_at("/spec/clusterIP") == node_address(node))
    }

    /// Closes the sockets. Streams that are open may go on for [`DRAIN`].
    async fn end(self) {
        for socket in self.sockets.values() {
            socket.stop.cancel();
        }
        self.tasks.close();
        let kubelet = &self.parts.kubelet;
        kubelet.tasks.close();
        let drained = async { tokio::join!(self.tasks.wait(), kubelet.tasks.wait()) };
        if timeout(DRAIN, drained).await.is_err() {
            tracing::info!("closing the streams that are still open");
            kubelet.closing.cancel();
            tokio::join!(self.tasks.wait(), kubelet.tasks.wait());
        }
    }
}

/// Returns the virtual nodes that are pictures of ours, in order of their names.
pub fn virtual_nodes(engine: &dyn EngineHandle) -> Vec<Object> {
    let mut nodes = engine.view(kinds::NODE).list(Side::Virtual, kinds::NODE, "");
    nodes.retain(|node| engine.facts().has_made(node));
    nodes
}

/// Waits for the next change of a cache; forever, if there is none.
async fn change_of(changes: &mut Option<watch::Receiver<u64>>) {
    let ended = match changes {
        Some(changes) => changes.changed().await.is_err(),
        None => true,
    };
    if ended {
        std::future::pending::<()>().await;
    }
}

/// Returns the address of the kubelet of a node, which the node shows as its `Hostname`.
fn node_address(node: &Object) -> Option<&str> {
    let addresses = node.list_at("/status/addresses").iter();
    addresses.filter(|each| each["type"] == "Hostname").find_map(|each| each["address"].as_str())
}

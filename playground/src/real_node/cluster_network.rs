//! Network of real nodes that have network namespaces of their own.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    RealNodeError, Undo, files, machine,
    network::{self, NodeNetwork, OwnNamespace},
};
use crate::guard;

/// Network of real nodes that have network namespaces of their own, so that each can have its rules for Services.
///
/// The nodes reach each other, and this machine and the nodes reach the pods, as API servers have to. This machine
/// forwards nothing: a bridge connects the nodes, and their routes lead to each other.
#[derive(Debug)]
pub struct ClusterNetwork {
    number: u8,
    bridge: String,
    nodes: AtomicU8,
    relays: Mutex<BTreeMap<u16, JoinHandle<()>>>,
    _undo: Undo,
    _dir: TempDir,
}

/// Range of the pods of all nodes of all networks.
pub(super) const PODS: &str = "10.248.0.0/13";
const MAX_NODES: u8 = 8;
/// Folder of the network namespaces that `ip netns` creates.
pub(super) const NAMESPACES: &str = "/run/netns";

impl ClusterNetwork {
    /// Creates a network without nodes.
    pub fn create() -> Result<Self, RealNodeError> {
        machine::check()?;
        machine::check_services()?;
        let dir = TempDir::with_prefix("tenet-network-").map_err(RealNodeError::Temporary)?;
        // Write the script first, so that nothing is created that cannot be undone.
        files::write(&dir.path().join(guard::UNDO), &undo_script(dir.path()))?;
        let undo = Undo(dir.path().join(guard::UNDO));
        guard::remove_at_end(dir.path()).map_err(RealNodeError::Temporary)?;
        let (number, bridge) = network::create_bridge(dir.path())?;
        let network =
            Self { number, bridge, nodes: AtomicU8::new(0), relays: Mutex::default(), _undo: undo, _dir: dir };
        network::set_up(&network.bridge, &network.machine())?;
        Ok(network)
    }

    /// Returns the name of the bridge on this machine.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// Returns the address at which nodes and pods reach this machine.
    pub fn machine(&self) -> String {
        format!("10.247.{}.1", self.number)
    }

    /// Lets nodes and pods reach a server that listens on loopback, at the same port of [`Self::machine`].
    pub async fn offer(&self, port: u16) -> io::Result<()> {
        if self.relays().contains_key(&port) {
            return Ok(());
        }
        let listener = TcpListener::bind((self.machine(), port)).await?;
        let relay = tokio::spawn(async move {
            loop {
                // An error concerns one connection, or there are too many open files: then the next one waits.
                let Ok((mut client, _)) = listener.accept().await else {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                };
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        // How a connection ends is the concern of its two ends.
                        drop(copy_bidirectional(&mut client, &mut server).await);
                    }
                });
            }
        });
        self.relays().insert(port, relay);
        Ok(())
    }

    /// Creates the network namespace of a further node, and writes its name and address to `dir` for the cleanup.
    pub(super) fn attach(&self, dir: &Path) -> Result<NodeNetwork, RealNodeError> {
        let node = self.nodes.fetch_add(1, Ordering::Relaxed) + 1;
        if node > MAX_NODES {
            return Err(RealNodeError::Machine(format!("a network has at most {MAX_NODES} nodes")));
        }
        let name = format!("{}n{node}", self.bridge);
        let (address, subnet) = (self.address(node), self.pods(node));
        files::write(&dir.join(network::NAME), &name)?;
        files::write(&dir.join(network::ADDRESS), &address)?;
        for command in self.commands(node, &name) {
            machine::run("ip", command.split(' '))
                .map_err(|why| RealNodeError::Machine(format!("`ip {command}` failed: {}", why.trim())))?;
        }
        let forwarding = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        machine::run("ip", ["netns", "exec", &name, "sh", "-c", forwarding])
            .map_err(|why| RealNodeError::Machine(format!("a node cannot forward packets: {}", why.trim())))?;
        let path = PathBuf::from(NAMESPACES).join(&name);
        Ok(NodeNetwork { name, address, subnet, own: Some(OwnNamespace { path, machine: self.machine() }) })
    }

    fn address(&self, node: u8) -> String {
        format!("10.247.{}.{}", self.number, node + 1)
    }

    fn pods(&self, node: u8) -> String {
        format!("10.{}.{}.0/24", 247 + node, self.number)
    }

    /// Commands of `ip` that connect a node.
    fn commands(&self, node: u8, name: &str) -> Vec<String> {
        let (address, machine) = (self.address(node), self.machine());
        let mut commands = vec![
            format!("netns add {name}"),
            format!("link add {name} type veth peer name eth0 netns {name}"),
            format!("link set {name} master {} up", self.bridge),
            format!("-n {name} link set lo up"),
            format!("-n {name} address add {address}/24 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} route add default via {machine}"),
            format!("route add {} via {address}", self.pods(node)),
        ];
        for other in (1..=MAX_NODES).filter(|other| *other != node) {
            commands.push(format!("-n {name} route add {} via {}", self.pods(other), self.address(other)));
        }
        commands
    }

    fn relays(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, JoinHandle<()>>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClusterNetwork {
    fn drop(&mut self) {
        self.relays().values().for_each(JoinHandle::abort);
    }
}

fn undo_script(dir: &Path) -> String {
    let name = dir.join(network::NAME);
    format!("PATH=$PATH:/usr/sbin:/sbin\nbridge=$(cat '{}') || exit 0\nip link delete \"$bridge\"\n", name.display())
}

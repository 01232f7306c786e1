//! CoreDNS as a process of this machine, with the Corefile and the ServiceAccount that the syncer has deployed.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{Component, Launch, Process, Progress, free_port};
use tokio::task::JoinHandle;

use super::{COREFILE, query};
use crate::harness::Separate;

const PATIENCE: Duration = Duration::from_secs(60);
const ACCOUNT: &str = "/api/v1/namespaces/kube-system/serviceaccounts/coredns/token";

/// Running CoreDNS. It ends with this value.
pub struct Server {
    _process: Process,
    upstream: JoinHandle<()>,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.upstream.abort();
    }
}

impl Server {
    pub async fn start(harness: &Separate) -> Result<Self> {
        let playground = &harness.playground;
        let mut components = playground.components().clone();
        components.add(Component::CoreDns, &Progress::stderr()).await?;
        let (port, (upstream_port, upstream)) = (free_port()?, query::upstream().await?);
        let dir = playground.dir().to_owned();
        let (corefile, kubeconfig) = (dir.join("Corefile"), dir.join("coredns.kubeconfig"));

        let deployed = harness.virt.get(COREFILE).await?.context("the Corefile")?;
        let deployed = deployed["data"]["Corefile"].as_str().context("the Corefile")?.to_owned();
        // The ports and the upstream server of a pod; a pod finds its API server and its token by itself.
        let mut text = deployed.clone();
        for (of_pod, here) in [
            (".:1053 {".to_owned(), format!(".:{port} {{\n    bind 127.0.0.1")),
            ("health {".to_owned(), format!("health 127.0.0.1:{} {{", free_port()?)),
            ("ready\n".to_owned(), format!("ready 127.0.0.1:{}\n", free_port()?)),
            ("pods insecure".to_owned(), format!("kubeconfig {}\n       pods insecure", kubeconfig.display())),
            ("prometheus :9153".to_owned(), format!("prometheus 127.0.0.1:{}", free_port()?)),
            ("/etc/resolv.conf".to_owned(), format!("127.0.0.1:{upstream_port}")),
        ] {
            ensure!(text.contains(&of_pod), "the Corefile has no {of_pod:?}: {deployed}");
            text = text.replace(&of_pod, &here);
        }
        std::fs::write(&corefile, text)?;

        let token = harness.virt.create(ACCOUNT, json!({"spec": {"expirationSeconds": 3600}})).await?;
        let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(playground.virtual_kubeconfig())?)?;
        for user in config["users"].as_array_mut().context("users")? {
            user["user"] = json!({"token": token["status"]["token"]});
        }
        std::fs::write(&kubeconfig, config.to_string())?;
        let process = Process::spawn(&Launch {
            name: "coredns".to_owned(),
            program: components.path(Component::CoreDns).to_owned(),
            args: vec!["-conf".into(), corefile.into()],
            dir: dir.clone(),
            env: Vec::new(),
            log: dir.join("logs/coredns.log"),
            pid_file: None,
        })?;
        Ok(Self { _process: process, upstream, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    /// Waits until a name has exactly this address.
    pub async fn until_resolves(&self, name: &str, address: &str) -> Result<()> {
        let (expected, end): (Ipv4Addr, _) = (address.parse()?, Instant::now() + PATIENCE);
        loop {
            let found = query::ask(self.address, name).await?;
            if found == [expected] {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{name} is {found:?}, not {address}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

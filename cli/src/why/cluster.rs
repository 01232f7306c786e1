//! The virtual cluster of a question, and its host if there is a way to it.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tenet_install::api::Api;
use tenet_install::names::{PART, PART_OF};
use tenet_translate::own_objects::{CLAIM_NAMESPACE, VIRTUAL_CLAIM};

use super::Args;
use crate::connect::previous;
use crate::create::{stateful_set, text};
use crate::host::{Host, HostArgs};
use crate::inside::Inside;
use crate::workloads::Namespaces;

/// A virtual cluster.
pub(super) struct VirtualCluster {
    /// Client of the virtual API server.
    pub(super) inside: Api,
    /// Name; `None` if it cannot be read inside.
    pub(super) name: Option<String>,
    /// The host.
    pub(super) host: Option<Namespaces>,
    /// The way inside, which ends when it is dropped.
    _way: Option<Inside>,
}

impl VirtualCluster {
    /// Returns the host and the name of the virtual cluster there, if both are known.
    pub(super) fn on_host(&self) -> Option<(&Namespaces, &str)> {
        self.host.as_ref().zip(self.name.as_deref())
    }

    /// Finds out if the context leads to the virtual cluster itself, which has a half of the claim, or to its host.
    pub(super) async fn find(args: &Args) -> Result<Self> {
        let given = HostArgs {
            namespace: args.host_namespace.clone(),
            kubeconfig: args.kubeconfig.clone(),
            context: args.context.clone(),
        };
        let cluster = given.connect().await?;
        let path = format!("/api/v1/namespaces/{CLAIM_NAMESPACE}/configmaps/{VIRTUAL_CLAIM}");
        match cluster.api.get(&path).await {
            Ok(Some(claim)) => Self::from_inside(args, cluster.api, &claim).await,
            Ok(None) => Self::from_host(args, cluster).await,
            // A tenant of one namespace, or a user of one namespace of the host.
            Err(error) if error.code() == Some(403) => match clusters(&cluster).await.as_slice() {
                [] if args.cluster.is_none() => Self::from_inside(args, cluster.api, &Value::Null).await,
                _ => Self::from_host(args, cluster).await,
            },
            Err(error) => Err(error).context("cannot reach the cluster of the context"),
        }
    }

    async fn from_inside(args: &Args, inside: Api, claim: &Value) -> Result<Self> {
        let name = claim["data"]["name"].as_str().map(str::to_owned);
        let kubeconfig = args.host_kubeconfig.clone().or_else(|| args.kubeconfig.clone());
        // A context of `tenet connect --merge` names the one before it.
        let context = match (&args.host_context, &args.host_kubeconfig) {
            (Some(context), _) => Some(context.clone()),
            (None, Some(_)) => None,
            (None, None) => previous_context(args),
        };
        if context.is_none() && args.host_kubeconfig.is_none() {
            return Ok(Self { inside, name, host: None, _way: None });
        }
        let namespace = claim["data"]["hostNamespace"].as_str().map(str::to_owned);
        let host = HostArgs { namespace: args.host_namespace.clone().or(namespace), kubeconfig, context };
        let host = host.connect().await?;
        let host = match &name {
            // The claim names the namespace of the tenant's objects.
            Some(name) => Some(Namespaces::around(host, name).await.context("cannot reach the host cluster")?),
            None => None,
        };
        Ok(Self { inside, name, host, _way: None })
    }

    async fn from_host(args: &Args, host: Host) -> Result<Self> {
        let name = match &args.cluster {
            Some(name) => name.clone(),
            None => match clusters(&host).await.as_slice() {
                [name] => name.clone(),
                [] => bail!(
                    "there is no virtual cluster in namespace {} of the host: pass --host-namespace; tenet list -A shows all",
                    host.namespace
                ),
                several => bail!("pass --cluster: namespace {} has {}", host.namespace, several.join(", ")),
            },
        };
        let set = stateful_set(&host, &name).await?;
        if set["spec"]["replicas"] == 0 {
            bail!("virtual cluster {name} is paused, so nothing runs: tenet resume {name} -n {}", host.namespace);
        }
        let way = Inside::connect(&host, &name).await?;
        let namespaces = Namespaces::of(host, &name).await.context("cannot reach the host cluster")?;
        Ok(Self { inside: way.api.clone(), name: Some(name), host: Some(namespaces), _way: Some(way) })
    }
}

/// Returns the names of the virtual clusters in the namespace; none without the right to list them.
async fn clusters(host: &Host) -> Vec<String> {
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets?labelSelector={PART_OF}%3D{PART}", host.namespace);
    let sets = host.api.list(&path).await.unwrap_or_default();
    sets.iter().map(|set| text(&set["metadata"]["name"]).to_owned()).collect()
}

/// Returns the context from which `tenet connect --merge` has made the one that is used.
fn previous_context(args: &Args) -> Option<String> {
    let context = args.context.clone().or_else(|| {
        let read = match &args.kubeconfig {
            Some(file) => kube::config::Kubeconfig::read_from(file),
            None => kube::config::Kubeconfig::read(),
        };
        read.ok()?.current_context
    })?;
    previous(&context).map(str::to_owned)
}

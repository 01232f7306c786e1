//! `tenet create`.

mod conflicts;
mod elsewhere;
mod preflight;
mod readiness;
mod service_range;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tenet_install::api::Api;
use tenet_install::objects::{self, Installation, Rights};
use tenet_install::resources::Resource;
use tenet_install::values::{self, Values, vcluster};

use crate::host::{Host, HostArgs};
use crate::steps::Steps;
use crate::{RightsOf, connect};

pub(crate) use readiness::{state as pod_state, until_ready};

/// Create a virtual cluster, or finish a creation that was interrupted.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Name of the virtual cluster.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    values: ValueArgs,
    /// Print the objects, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Change an existing virtual cluster to these values.
    #[arg(long, conflicts_with = "dry_run")]
    upgrade: bool,
    /// Create the host namespaces that do not exist.
    #[arg(long, conflicts_with = "dry_run")]
    create_namespace: bool,
    /// Time to wait until the virtual cluster is ready, in seconds; 0 does not wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Connect when it is ready, as `tenet connect` does without further flags.
    #[arg(long, conflicts_with = "dry_run")]
    connect: bool,
}

/// Values of the installation: files, then assignments, then the flags for the most common ones.
#[derive(Debug, clap::Args)]
struct ValueArgs {
    /// File with values, or a `vcluster.yaml`. Can be repeated; later files win.
    #[arg(long = "values", short = 'f', value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Value such as `store.type=etcd`. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Programs of the control plane: k8s, k3s or k0s.
    #[arg(long, value_name = "NAME")]
    distro: Option<String>,
    /// Store: sqlite, etcd, sql or external.
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    /// Exposure of the virtual API server.
    #[arg(long, value_name = "TYPE")]
    expose: Option<Exposure>,
    /// Host namespace of the tenant's objects [default: that of the control plane].
    #[arg(long, value_name = "NAME")]
    workload_namespace: Option<String>,
    /// Further names and addresses of the virtual API server, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    tls_san: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Exposure {
    #[value(name = "clusterip")]
    ClusterIP,
    #[value(name = "nodeport")]
    NodePort,
    #[value(name = "loadbalancer")]
    LoadBalancer,
}

impl ValueArgs {
    fn load(&self) -> Result<Values> {
        let file = |path: &PathBuf| -> Result<(String, String)> {
            let shown = path.display().to_string();
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
            Ok(translated(shown, text))
        };
        let mut files = self.files.iter().map(file).collect::<Result<Vec<_>>>()?;
        if let Some(namespace) = &self.workload_namespace {
            // As a file, so that a name of digits stays a text.
            let value = json!({"workloadNamespace": namespace});
            files.push(("--workload-namespace".to_owned(), value.to_string()));
        }
        let mut set = self.set.clone();
        set.extend(self.distro.iter().map(|distro| format!("distro={distro}")));
        set.extend(self.store.iter().map(|store| format!("store.type={store}")));
        set.extend(self.expose.map(|expose| format!("expose.type={expose:?}")));
        let mut values = values::load(&files, &set)?;
        if !self.tls_san.is_empty() {
            values.syncer.extra_args.push(format!("--tls-san={}", self.tls_san.join(",")));
        }
        Ok(values)
    }
}

/// Translates a `vcluster.yaml`, and says what is left out. Another file stays as it is.
fn translated(file: String, text: String) -> (String, String) {
    let Some(read) = serde_saphyr::from_str::<Value>(&text).ok().filter(vcluster::is_vcluster) else {
        return (file, text);
    };
    let translation = vcluster::translate(&read);
    for left_out in &translation.left_out {
        eprintln!("tenet: {file}: {left_out}");
    }
    (file, translation.values.to_string())
}

pub(crate) async fn run(args: &Args, rights_of: RightsOf) -> Result<ExitCode> {
    ensure!(
        !args.connect || args.timeout > 0,
        "--connect waits until the virtual cluster is ready: leave out --timeout 0"
    );
    let values = args.values.load()?;
    let namespace = args.host.namespace.clone();
    if args.dry_run && namespace.is_some() {
        // Without a host, so that manifests can be made anywhere.
        print(&objects_of(args, &namespace.unwrap_or_default(), &values, rights_of)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let host = args.host.connect().await?;
    let objects = objects_of(args, &host.namespace, &values, rights_of)?;
    if args.dry_run {
        print(&objects)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut steps = Steps::new();
    install(args, &host, &objects, &values, &mut steps).await?;
    if args.timeout > 0 {
        until_ready(&host, &args.name, Duration::from_secs(args.timeout), &mut steps).await?;
        steps.say(&format!("virtual cluster {} is ready", args.name));
        if args.connect {
            return connect::run(&connect::Args::of(&args.name, &args.host)).await;
        }
        println!("{}", next_steps(&args.name, &host.namespace));
    }
    Ok(ExitCode::SUCCESS)
}

fn objects_of(args: &Args, namespace: &str, values: &Values, rights_of: RightsOf) -> Result<Vec<Value>> {
    let config = objects::syncer_config(&args.name, namespace, values);
    let documents = rights_of(&config).context("syncer.config")?;
    let rights = Rights::read(&documents)?;
    let installation = Installation { name: &args.name, namespace, values, rights: &rights };
    Ok(objects::objects(&installation))
}

fn print(objects: &[Value]) -> Result<()> {
    for object in objects {
        println!("---\n{}", serde_saphyr::to_string(object)?.trim_end());
    }
    Ok(())
}

async fn install(args: &Args, host: &Host, objects: &[Value], values: &Values, steps: &mut Steps) -> Result<()> {
    let Host { api, namespace } = host;
    let workloads = values.workload_namespace(namespace);
    recent_enough(api).await?;
    for namespace in [namespace.as_str()].into_iter().chain(workloads) {
        steps.say(&format!("checking the namespace {namespace} of the host"));
        ready_namespace(api, namespace, args.create_namespace).await?;
    }
    let own = [Some(namespace.as_str()), workloads];
    let all = objects;
    let (elsewhere, objects): (Vec<Value>, Vec<Value>) =
        all.iter().cloned().partition(|object| elsewhere::is_elsewhere(object, &own));
    let objects = &objects;
    let found = conflicts::check(api, namespace, &args.name, objects).await?;
    let set = objects.iter().filter(|object| object["kind"] == "StatefulSet");
    // The StatefulSet is created last: without it, an earlier run was interrupted.
    if set.into_iter().all(|set| found.contains(&path(set))) && !args.upgrade {
        steps.say(&format!("virtual cluster {} exists; its values stay: --upgrade changes them", args.name));
        return Ok(());
    }
    conflicts::same_workload_namespace(host, &args.name, workloads.unwrap_or(namespace)).await?;
    preflight::check(api, namespace, objects).await?;
    service_range::check(api, namespace, objects, values.service_cidr.as_deref()).await?;
    elsewhere::revoke(host, workloads.unwrap_or(namespace), &args.name, all, steps).await?;
    elsewhere::apply(api, &args.name, &elsewhere, steps).await?;
    for object in objects {
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        steps.say(&format!("creating {kind} {name}"));
        let path = format!("{}?fieldManager=tenet&force=true", path(object));
        api.apply(&path, object).await.with_context(|| format!("cannot create {kind} {name}"))?;
    }
    Ok(())
}

/// Minor version of the host from which sidecar containers work.
pub(crate) const OLDEST_HOST: u32 = 29;

/// Returns the minor version in an answer of `/version`.
pub(crate) fn minor(version: &Value) -> Option<u32> {
    // A cloud may write `30+`.
    text(&version["minor"]).trim_end_matches('+').parse().ok()
}

/// Checks the version of the host.
async fn recent_enough(api: &Api) -> Result<()> {
    let version = api.get("/version").await.context("cannot reach the host cluster")?.unwrap_or_default();
    if minor(&version).is_some_and(|minor| minor < OLDEST_HOST) {
        bail!("the host is Kubernetes {}: version 1.{OLDEST_HOST} or later is needed", text(&version["gitVersion"]));
    }
    Ok(())
}

/// Checks that the namespace exists and stays.
async fn ready_namespace(api: &Api, namespace: &str, create: bool) -> Result<()> {
    let found = match api.get(&format!("/api/v1/namespaces/{namespace}")).await {
        // A user who may not read namespaces may still use one.
        Err(error) if error.code() == Some(403) => return Ok(()),
        other => other.context("cannot reach the host cluster")?,
    };
    match found {
        Some(found) if !found["metadata"]["deletionTimestamp"].is_null() => {
            bail!("namespace {namespace} is being deleted: wait until it is gone, or choose another one")
        }
        Some(_) => Ok(()),
        None if create => {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            api.create("/api/v1/namespaces", &object).await.map(drop).context("cannot create the namespace")
        }
        None => bail!(
            "namespace {namespace} does not exist: pass --create-namespace, or kubectl create namespace {namespace}"
        ),
    }
}

fn next_steps(name: &str, namespace: &str) -> String {
    format!(
        "
tenet connect {name} -n {namespace} -- kubectl get namespaces   # one command inside
tenet connect {name} -n {namespace}                             # writes ./kubeconfig.yaml
tenet delete {name} -n {namespace}                              # removes everything again"
    )
}

/// Returns the API path of an object of an installation.
fn path(object: &Value) -> String {
    let [namespace, name] = ["namespace", "name"].map(|field| text(&object["metadata"][field]));
    Resource::of(object).map(|resource| resource.path(namespace, name)).unwrap_or_default()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the StatefulSet of a virtual cluster, or an error that names it.
pub(crate) async fn stateful_set(host: &Host, name: &str) -> Result<Value> {
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets/{name}", host.namespace);
    let found = host.api.get(&path).await.context("cannot reach the host cluster")?;
    let found = found.with_context(|| {
        format!("no virtual cluster {name} in namespace {}: tenet list -A shows all", host.namespace)
    })?;
    ensure!(is_ours(&found, name), "StatefulSet {name} in namespace {} is no virtual cluster", host.namespace);
    Ok(found)
}

/// Returns true if an object belongs to the installation of this virtual cluster.
pub(crate) fn is_ours(object: &Value, name: &str) -> bool {
    let labels = &object["metadata"]["labels"];
    labels[tenet_install::names::INSTANCE] == name
        && labels[tenet_install::names::PART_OF] == tenet_install::names::PART
}

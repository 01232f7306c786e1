//! Walk of a user on a host whose node runs containers: create, connect, run, pause, delete.
//!
//! The node has no kube-proxy, so addresses of host Services lead nowhere: the pod of the control plane finds the host
//! by an entry in its hosts file, and the kubelets of virtual nodes have loopback addresses.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenet_playground::{
    Component, Components, ControlPlane, MASTERS, PlaneOptions, ProgramImage, Progress, RealNode, Role,
};

use crate::cluster::{self, Cluster};
use crate::harness::{client, new_namespace, real_node};
use crate::install::{Tenet, everything};

const NAME: &str = "vcluster-1";
/// Command that ends at once when it is told to.
const SLEEPS: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"];
/// User of the containers of a control plane.
const USER: u32 = 65532;

/// Host with one node that runs containers.
struct Host {
    node: RealNode,
    plane: ControlPlane,
    cluster: Cluster,
    kubectl: PathBuf,
    dir: TempDir,
}

impl Host {
    /// Starts the host. Prints that the test is skipped on a machine that cannot run a node.
    async fn start() -> Result<Option<Self>> {
        let dir = TempDir::with_prefix("tenet-walk-")?;
        let mut components = Components::locate_or_build(&Progress::silent()).await?;
        let options = PlaneOptions {
            // Pods reach this machine by its address on the bridge.
            api_server_flags: vec!["--bind-address=0.0.0.0".to_owned()],
            ..PlaneOptions::new("host", Role::Host, &dir.path().join("host"))
        };
        let plane = ControlPlane::start(&components, options).await?;
        plane.until_pods_are_admitted("default").await?;
        let Some(node) = real_node(&plane).await? else { return Ok(None) };
        components.add(Component::Kine, &Progress::stderr()).await?;
        let kubeconfig = dir.path().join("kubeconfig");
        plane.write_kubeconfig(&kubeconfig, "admin", Some(MASTERS))?;
        let cluster = Cluster::new("host", client(&kubeconfig).await?);
        let kubectl = components.path(Component::Kubectl).to_owned();
        for (component, is_entry_point) in [
            (Component::Etcd, false),
            (Component::Kine, true),
            (Component::ApiServer, false),
            (Component::ControllerManager, false),
        ] {
            let program = components.path(component).to_owned();
            node.add_image(&ProgramImage { name: image(component.name()), program, is_entry_point })?;
        }
        let program = PathBuf::from(env!("CARGO_BIN_EXE_tenet-syncer"));
        node.add_image(&ProgramImage { name: image("tenet-syncer"), program, is_entry_point: true })?;
        Ok(Some(Self { node, plane, cluster, kubectl, dir }))
    }

    fn tenet(&self) -> Tenet {
        Tenet { kubeconfig: self.dir.path().join("kubeconfig"), namespace: NAME.to_owned() }
    }

    /// Runs kubectl inside, by `tenet connect NAME -- kubectl ARGS`.
    fn inside(&self, args: &[&str]) -> Result<String> {
        let kubectl = self.kubectl.to_string_lossy();
        self.tenet().succeeds(&[&["connect", NAME, "--", &kubectl], args].concat())
    }

    /// Creates a volume of this machine, which any claim without a class gets.
    async fn create_volume(&self, name: &str) -> Result<()> {
        let folder = self.dir.path().join(name);
        fs::create_dir(&folder)?;
        chown(&folder, Some(USER), Some(USER))?;
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755))?;
        let volume = json!({
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": folder},
            },
        });
        self.cluster.create("/api/v1/persistentvolumes", volume).await.map(drop)
    }

    fn write_values(&self) -> Result<PathBuf> {
        let port = self.plane.port().to_string();
        let values = json!({
            "store": {"storageClass": ""},
            "images": {
                "etcd": image("etcd"),
                "kine": image("kine"),
                "apiServer": image("kube-apiserver"),
                "controllerManager": image("kube-controller-manager"),
                "syncer": image("tenet-syncer"),
            },
            "syncer": {
                "extraArgs": ["--tls-san=192.0.2.1,api.example.com"],
                "env": {"KUBERNETES_SERVICE_HOST": "kubernetes.default.svc", "KUBERNETES_SERVICE_PORT": port},
                // The node has no image of CoreDNS.
                "config": {"kubelet": {"addresses": "loopback"}, "coredns": {"enabled": false}},
            },
            "pod": {"hostAliases": [{"ip": self.node.address(), "hostnames": ["kubernetes.default.svc"]}]},
        });
        let file = self.dir.path().join("value.yaml");
        fs::write(&file, serde_saphyr::to_string(&values)?)?;
        Ok(file)
    }
}

fn image(program: &str) -> String {
    format!("tenet.sh/test/{program}:1")
}

/// Prints the time of each step.
struct Clock(Instant);

impl Clock {
    fn tell(&mut self, step: &str) {
        println!("{step}: {:.1} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_cluster_is_created_used_and_deleted_without_a_trace() -> Result<()> {
    let Some(host) = Host::start().await? else { return Ok(()) };
    new_namespace(&host.cluster, NAME).await?;
    for (store, container) in [("sqlite", "kine"), ("etcd", "etcd")] {
        println!("store {store}");
        host.create_volume(store).await?;
        let walked = walk(&host, store, container).await;
        if walked.is_err() {
            tell_containers(&host, container).await;
        }
        walked?;
    }
    Ok(())
}

async fn walk(host: &Host, store: &str, container: &str) -> Result<()> {
    let tenet = host.tenet();
    let values = host.write_values()?;
    let before = everything(&host.cluster, NAME).await?;

    let mut clock = Clock(Instant::now());
    tenet.succeeds(&[
        "create",
        NAME,
        "--distro",
        "k8s",
        "--store",
        store,
        "-f",
        &values.to_string_lossy(),
        "--timeout",
        "300",
    ])?;
    clock.tell("create");
    let pods = format!("/api/v1/namespaces/{NAME}/pods");
    let pod = host.cluster.get(&format!("{pods}/{NAME}-0")).await?.context("the pod of the control plane")?;
    let of = |field: &str| pod["status"][field].as_array().cloned().unwrap_or_default();
    let containers = [of("initContainerStatuses"), of("containerStatuses")].concat();
    assert_eq!(names_of(&containers), ["bootstrap", container, "kube-apiserver", "kube-controller-manager", "syncer"]);
    ensure!(containers.iter().all(|it| it["restartCount"] == 0 && it["ready"] == true), "{containers:#?}");
    assert_eq!(tenet.succeeds(&["list", "-o", "name"])?, format!("{NAME}\n"));

    let namespaces = host.inside(&["get", "namespaces", "-o", "name"])?;
    let expected =
        ["default", "kube-node-lease", "kube-public", "kube-system"].map(|name| format!("namespace/{name}\n"));
    assert_eq!(namespaces, expected.concat());
    clock.tell("connect");
    run_pod(host, "nginx")?;
    clock.tell("run a pod");
    let on_host = host.cluster.list(&pods).await?;
    assert_eq!(names(&on_host), [format!("nginx-x-default-x-{NAME}"), format!("{NAME}-0")]);
    assert_eq!(host.inside(&["exec", "nginx", "--", "echo", "hello"])?, "hello\n");
    clock.tell("exec");
    ask(host, container)?;
    clock.tell("doctor, certs, logs, why");
    if store == "sqlite" {
        outlives(host, "the control plane is killed", kill_control_plane(host)).await?;
        clock.tell("kill the control plane");
        outlives(host, "the host API is away", take_host_api_away(host)).await?;
        clock.tell("take the host API away");
    }

    let image = format!("--image={}", RealNode::IMAGE);
    host.inside(&[&["create", "deployment", "web", &image, "--"], &SLEEPS[..]].concat())?;
    let available = ["wait", "--for=condition=Available", "deployment/web", "--timeout=60s"];
    host.inside(&available)?;
    clock.tell("run a Deployment");
    let secrets = host.cluster.list(&format!("/api/v1/namespaces/{NAME}/secrets")).await?.len();
    let uid = host.inside(&["get", "pod", "nginx", "--output=jsonpath={.metadata.uid}"])?;
    // As a pause leaves it that ended before it had stopped the control plane.
    let stale = json!({
        "metadata": {"name": format!("{NAME}-paused-7"), "labels": {"tenet.sh/paused-pods": NAME}},
        "stringData": {"pods": json!([{
            "uid": uid.trim(), "metadata": {"name": "nginx", "namespace": "default"}, "spec": {},
        }]).to_string()},
    });
    host.cluster.create(&format!("/api/v1/namespaces/{NAME}/secrets"), stale).await?;
    tenet.succeeds(&["resume", NAME])?;
    let after = host.inside(&["get", "pod", "nginx", "--output=jsonpath={.metadata.uid}"])?;
    assert_eq!(uid, after, "a pod that runs stays at a resume without a pause");
    tenet.succeeds(&["pause", NAME])?;
    assert_eq!(host.cluster.list(&pods).await?.len(), 0);
    clock.tell("pause");
    tenet.succeeds(&["resume", NAME])?;
    // Its last state says that it is available, until its pod is found to be gone.
    host.cluster
        .until_list(&pods, "the pod of the Deployment", |pods| {
            pods.iter().any(|pod| cluster::name(pod).starts_with("web-") && cluster::phase(pod) == "Running")
        })
        .await?;
    host.inside(&available)?;
    // Nobody inside makes this pod again.
    host.inside(&["wait", "--for=condition=Ready", "pod/nginx", "--timeout=60s"])?;
    assert_eq!(host.cluster.list(&format!("/api/v1/namespaces/{NAME}/secrets")).await?.len(), secrets);
    clock.tell("resume");

    tenet.succeeds(&["delete", NAME])?;
    clock.tell("delete");
    let after = everything(&host.cluster, NAME).await?;
    assert_eq!(after, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_run_in_a_namespace_of_their_own() -> Result<()> {
    let Some(host) = Host::start().await? else { return Ok(()) };
    for namespace in [NAME, WORKLOADS] {
        new_namespace(&host.cluster, namespace).await?;
    }
    host.create_volume("sqlite").await?;
    let walked = walk_elsewhere(&host).await;
    if walked.is_err() {
        tell_containers(&host, "kine").await;
    }
    walked
}

/// Namespace of the tenant's objects, where it is not that of the control plane.
const WORKLOADS: &str = "workloads";

async fn walk_elsewhere(host: &Host) -> Result<()> {
    let (tenet, values) = (host.tenet(), host.write_values()?);
    let both = async || {
        let (here, there) = (everything(&host.cluster, NAME), everything(&host.cluster, WORKLOADS));
        Ok::<_, anyhow::Error>([here.await?, there.await?])
    };
    let before = both().await?;
    let mut clock = Clock(Instant::now());
    tenet.succeeds(&["create", NAME, "--workload-namespace", WORKLOADS, "-f", &values.to_string_lossy()])?;
    clock.tell("create");
    run_pod(host, "nginx")?;
    clock.tell("run a pod");
    let pods = |namespace: &str| format!("/api/v1/namespaces/{namespace}/pods");
    let (here, there) = (host.cluster.list(&pods(NAME)).await?, host.cluster.list(&pods(WORKLOADS)).await?);
    assert_eq!((names(&here), names(&there)), (vec!["vcluster-1-0"], vec!["nginx-x-default-x-vcluster-1"]));
    // Pods find the virtual API server at a Service of their namespace, which leads to the pod in the other one.
    let service = format!("/api/v1/namespaces/{WORKLOADS}/services/{NAME}");
    let service = host.cluster.get(&service).await?.context("the Service of the workloads")?;
    let address = host.inside(&["get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}"])?;
    assert_eq!(service["spec"]["clusterIP"], address.trim());
    let slice = format!("/apis/discovery.k8s.io/v1/namespaces/{WORKLOADS}/endpointslices/{NAME}-ipv4");
    let slice = host.cluster.get(&slice).await?.context("the endpoints of the Service")?;
    assert_eq!(slice["endpoints"][0]["addresses"], json!([here[0]["status"]["podIP"]]));
    assert_eq!(host.inside(&["exec", "nginx", "--", "echo", "hello"])?, "hello\n");
    ask(host, "kine")?;
    // Asked inside, the claim names the namespace of the tenant's objects alone.
    let (program, file) = (env!("CARGO_BIN_EXE_tenet"), tenet.kubeconfig.to_string_lossy());
    let why = ["why", "pod/nginx", "--host-kubeconfig", &file];
    let said = tenet.succeeds(&[&["connect", NAME, "--", program], &why[..]].concat())?;
    ensure!(said.contains(&format!("on the host: nginx-x-default-x-{NAME}, Running, ready")), "{said}");
    clock.tell("exec, doctor, certs, logs, why");
    tenet.succeeds(&["pause", NAME])?;
    assert_eq!(host.cluster.list(&pods(WORKLOADS)).await?.len() + host.cluster.list(&pods(NAME)).await?.len(), 0);
    tenet.succeeds(&["resume", NAME])?;
    host.inside(&["wait", "--for=condition=Ready", "pod/nginx", "--timeout=60s"])?;
    clock.tell("pause and resume");
    tenet.succeeds(&["delete", NAME])?;
    clock.tell("delete");
    assert_eq!(both().await?, before);
    Ok(())
}

/// Time during which the API server of the host does not answer.
const AWAY: Duration = Duration::from_secs(20);

/// Asks the commands that look at a running virtual cluster.
fn ask(host: &Host, store: &str) -> Result<()> {
    let tenet = host.tenet();
    let found = tenet.succeeds(&["doctor", NAME])?;
    for check in
        ["control plane", "syncer", "rights of the syncer", "service range", "certificates", "claim", "webhook"]
    {
        ensure!(found.contains(&format!("ok    {check} ")), "{check}: {found}");
    }
    ensure!(found.contains("warn  DNS "), "CoreDNS is off here: {found}");
    let certificates = tenet.succeeds(&["certs", "check", NAME])?;
    ensure!(
        certificates.lines().any(|line| line.contains("virtual API server") && line.contains("ok")),
        "{certificates}"
    );
    for program in ["syncer", "api", "controllers", "store", store] {
        let log = tenet.succeeds(&["logs", NAME, "-c", program, "--tail", "5"])?;
        ensure!(log.lines().count() <= 5, "{program}: {log}");
        ensure!(program == "store" || program == store || !log.is_empty(), "no log of {program}");
    }
    let mut why = std::process::Command::new(env!("CARGO_BIN_EXE_tenet"));
    why.args(["why", "pod/nginx", "--host-namespace", NAME, "--kubeconfig"]).arg(&tenet.kubeconfig);
    let said = String::from_utf8(why.output()?.stdout)?;
    ensure!(said.contains(&format!("on the host: nginx-x-default-x-{NAME}, Running, ready")), "{said}");
    ensure!(said.ends_with("nothing blocks it\n"), "{said}");
    Ok(())
}

/// Checks that the running pod is the same, inside and on the host, after a fault, and that new ones can be made.
async fn outlives(host: &Host, fault: &str, happens: impl Future<Output = Result<()>>) -> Result<()> {
    let path = format!("/api/v1/namespaces/{NAME}/pods/nginx-x-default-x-{NAME}");
    let state = async || {
        let on_host = host.cluster.get(&path).await?.unwrap_or_default();
        let restarts = on_host["status"]["containerStatuses"][0]["restartCount"].clone();
        let uid = host.inside(&["get", "pod", "nginx", "-o", "jsonpath={.metadata.uid}"])?;
        Ok::<_, anyhow::Error>((uid, on_host["metadata"]["uid"].clone(), restarts))
    };
    let before = state().await?;
    happens.await?;
    run_pod(host, "later").with_context(|| format!("after {fault}"))?;
    assert_eq!(state().await?, before, "{fault}");
    host.inside(&["delete", "pod", "later", "--grace-period=1"]).map(drop)
}

async fn kill_control_plane(host: &Host) -> Result<()> {
    let path = format!("/api/v1/namespaces/{NAME}/pods/{NAME}-0");
    let killed = host.cluster.get(&path).await?.context("the pod of the control plane")?;
    host.cluster.delete(&path, json!({"gracePeriodSeconds": 1})).await?;
    let is_new = |pod: &Value| !pod.is_null() && pod["metadata"]["uid"] != killed["metadata"]["uid"];
    host.cluster.until(&path, "created again", is_new).await.map(drop)
}

async fn take_host_api_away(host: &Host) -> Result<()> {
    host.plane.pause(Component::ApiServer);
    tokio::time::sleep(AWAY).await;
    host.plane.resume(Component::ApiServer);
    Ok(())
}

fn run_pod(host: &Host, name: &str) -> Result<()> {
    let image = format!("--image={}", RealNode::IMAGE);
    // The ServiceAccount appears a second or two after the control plane is ready.
    let end = Instant::now() + Duration::from_secs(20);
    while let Err(error) = host.inside(&["get", "serviceaccount", "default"]) {
        ensure!(Instant::now() < end, "{error:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
    host.inside(&[&["run", name, &image, "--command", "--"], &SLEEPS[..]].concat())?;
    host.inside(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]).map(drop)
}

fn names_of(containers: &[Value]) -> Vec<&str> {
    containers.iter().map(|container| container["name"].as_str().unwrap_or_default()).collect()
}

fn names(objects: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = objects.iter().map(cluster::name).collect();
    names.sort_unstable();
    names
}

/// Prints the logs of the control plane, which are gone with the host.
async fn tell_containers(host: &Host, store: &str) {
    let pod = host.cluster.get(&format!("/api/v1/namespaces/{NAME}/pods/{NAME}-0")).await;
    println!("{}", pod.ok().flatten().unwrap_or_default()["status"]);
    for container in ["bootstrap", store, "kube-apiserver", "kube-controller-manager", "syncer"] {
        let kubeconfig = host.dir.path().join("kubeconfig");
        println!("--- {container}\n{}", log(&host.kubectl, &kubeconfig, container));
    }
}

fn log(kubectl: &Path, kubeconfig: &Path, container: &str) -> String {
    let mut command = std::process::Command::new(kubectl);
    command.arg("--kubeconfig").arg(kubeconfig).args(["logs", "-n", NAME, &format!("{NAME}-0"), "-c", container]);
    command.args(["--tail", "40"]).output().map_or_else(
        |error| error.to_string(),
        |output| format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

//! Walk of a user on a host with two nodes that run containers: create, connect, run, pause, delete.

mod usage;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{
    Component, ControlPlane, DistroProgram, Progress, RealHost, RealHostOptions, RealNode, RealNodeError,
};
use tokio::sync::Mutex;

use crate::cluster::{self, Cluster};
use crate::harness::{client, new_namespace, skipped};
use crate::install::{Tenet, everything};

const NAME: &str = "vcluster-1";
/// Command that ends at once when it is told to.
const SLEEPS: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"];
/// Command of a web server that ends at once when it is told to.
const SERVES: [&str; 3] =
    ["sh", "-c", "trap 'exit 0' TERM; mkdir /www; echo hello > /www/page; httpd -p 80 -h /www; sleep 3600 & wait"];
/// Port of every node at which the user exposes the API server.
const NODE_PORT: u16 = 30443;

/// Two hosts at a time would take too much of the machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// Host with two nodes that run containers.
struct Host {
    machines: RealHost,
    cluster: Cluster,
    kubectl: PathBuf,
}

impl Host {
    /// Starts the host. Prints that the test is skipped on a machine that cannot run a node.
    async fn start() -> Result<Option<Self>> {
        let options = RealHostOptions {
            dir: None,
            nodes: 2,
            syncer: (PathBuf::from(env!("CARGO_BIN_EXE_tenet-syncer")), Vec::new()),
            distros: DistroProgram::given(),
            progress: Progress::stderr(),
        };
        let host = match RealHost::start(options).await {
            Err(RealNodeError::Machine(why)) => return skipped(&format!("no real host, because {why}")),
            host => host?,
        };
        let cluster = Cluster::new("host", client(host.kubeconfig()).await?);
        let kubectl = host.components().path(Component::Kubectl).to_owned();
        Ok(Some(Self { machines: host, cluster, kubectl }))
    }

    fn plane(&self) -> &ControlPlane {
        self.machines.plane()
    }

    fn tenet(&self) -> Tenet {
        Tenet { kubeconfig: self.machines.kubeconfig().to_owned(), namespace: NAME.to_owned() }
    }

    /// Runs kubectl inside, by `tenet connect NAME -- kubectl ARGS`.
    fn inside(&self, args: &[&str]) -> Result<String> {
        let kubectl = self.kubectl.to_string_lossy();
        self.tenet().succeeds(&[&["connect", NAME, "--", &kubectl], args].concat())
    }

    /// Addresses of the nodes.
    fn addresses(&self) -> Vec<String> {
        self.machines.nodes().iter().map(RealNode::address).collect()
    }

    fn write_values(&self) -> Result<PathBuf> {
        let file = self.machines.dir().join("walk.yaml");
        let names = [self.addresses(), vec!["api.example.com".to_owned()]].concat().join(",");
        let mut values: Value = serde_saphyr::from_str(&fs::read_to_string(self.machines.values())?)?;
        values["syncer"]["extraArgs"] = json!([format!("--tls-san={names}")]);
        fs::write(&file, serde_saphyr::to_string(&values)?)?;
        Ok(file)
    }
}

/// Prints the time of each step.
struct Clock(Instant);

impl Clock {
    fn tell(&mut self, step: &str) {
        println!("{step}: {:.1} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// Programs of a control plane that a walk is made with.
#[derive(Clone, Copy)]
struct Choice {
    distro: &'static str,
    store: &'static str,
    /// Containers of the pod, in the order of their start.
    containers: &'static [&'static str],
}

const OF_K8S: [Choice; 2] = [
    Choice {
        distro: "k8s",
        store: "sqlite",
        containers: &["bootstrap", "kine", "kube-apiserver", "kube-controller-manager", "syncer"],
    },
    Choice {
        distro: "k8s",
        store: "etcd",
        containers: &["bootstrap", "etcd", "kube-apiserver", "kube-controller-manager", "syncer"],
    },
];
const OF_K0S: [Choice; 2] = [
    Choice { distro: "k0s", store: "sqlite", containers: &["bootstrap", "k0s", "syncer"] },
    Choice { distro: "k0s", store: "etcd", containers: &["bootstrap", "k0s", "syncer"] },
];
const OF_K3S: [Choice; 1] = [Choice { distro: "k3s", store: "sqlite", containers: &["bootstrap", "k3s", "syncer"] }];

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_cluster_is_created_used_and_deleted_without_a_trace() -> Result<()> {
    walk_with(&OF_K8S).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_cluster_of_a_given_distro_is_created_used_and_deleted_without_a_trace() -> Result<()> {
    let given: Vec<Choice> = DistroProgram::given()
        .iter()
        .flat_map(|program| match program {
            DistroProgram::K3s(_) => &OF_K3S[..],
            DistroProgram::K0s(_) => &OF_K0S[..],
        })
        .copied()
        .collect();
    if given.is_empty() {
        return skipped::<()>("TENET_K3S and TENET_K0S name no binary").map(drop);
    }
    walk_with(&given).await
}

async fn walk_with(choices: &[Choice]) -> Result<()> {
    let _turn = TURN.lock().await;
    let Some(host) = Host::start().await? else { return Ok(()) };
    new_namespace(&host.cluster, NAME).await?;
    let node_port = json!({
        "metadata": {"name": "vcluster-nodeport"},
        "spec": {
            "type": "NodePort",
            "selector": {"app": "vcluster"},
            "ports": [{"port": 443, "targetPort": 8443, "nodePort": NODE_PORT}],
        },
    });
    host.cluster.create(&format!("/api/v1/namespaces/{NAME}/services"), node_port).await?;
    for choice in choices {
        println!("distro {}, store {}", choice.distro, choice.store);
        let walked = walk(&host, choice).await;
        if walked.is_err() {
            tell_containers(&host, choice.containers).await;
        }
        walked?;
    }
    Ok(())
}

async fn walk(host: &Host, choice: &Choice) -> Result<()> {
    let Choice { distro, store, containers: of_pod } = *choice;
    let tenet = host.tenet();
    let values = host.write_values()?;
    let before = everything(&host.cluster, NAME).await?;

    let mut clock = Clock(Instant::now());
    tenet.succeeds(&[
        "create",
        NAME,
        "--distro",
        distro,
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
    assert_eq!(names_of(&containers), of_pod);
    ensure!(containers.iter().all(|it| it["restartCount"] == 0 && it["ready"] == true), "{containers:#?}");
    assert_eq!(tenet.succeeds(&["list", "-o", "name"])?, format!("{NAME}\n"));

    let namespaces = host.inside(&["get", "namespaces", "-o", "name"])?;
    let expected =
        ["default", "kube-node-lease", "kube-public", "kube-system"].map(|name| format!("namespace/{name}\n"));
    assert_eq!(namespaces, expected.concat());
    clock.tell("connect");
    through_node_port(host)?;
    clock.tell("connect through the node port");
    run_pod(host, "nginx")?;
    clock.tell("run a pod");
    until_dns_answers(host)?;
    let on_host = host.cluster.list(&pods).await?;
    let (dns, others): (Vec<_>, Vec<_>) = names(&on_host).into_iter().partition(|name| name.starts_with("coredns-"));
    assert_eq!(others, [format!("nginx-x-default-x-{NAME}"), format!("{NAME}-0")]);
    ensure!(dns.len() == 1 && dns[0].ends_with(&format!("-x-kube-system-x-{NAME}")), "{dns:?}");
    assert_eq!(host.inside(&["exec", "nginx", "--", "echo", "hello"])?, "hello\n");
    clock.tell("exec");
    services(host).await?;
    clock.tell("Services by name");
    keeps_data(host)?;
    clock.tell("a StatefulSet with a claim");
    ask(host, of_pod[1])?;
    clock.tell("doctor, certs, logs, why");
    // All but the bootstrap.
    usage::tell(&pod, of_pod.len() - 1)?;
    clock.tell("rest");
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
    let _turn = TURN.lock().await;
    let Some(host) = Host::start().await? else { return Ok(()) };
    for namespace in [NAME, WORKLOADS] {
        new_namespace(&host.cluster, namespace).await?;
    }
    let walked = walk_elsewhere(&host).await;
    if walked.is_err() {
        tell_containers(&host, OF_K8S[0].containers).await;
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
    let there = names(&there).into_iter().filter(|name| !name.starts_with("coredns-"));
    assert_eq!((names(&here), there.collect()), (vec!["vcluster-1-0"], vec!["nginx-x-default-x-vcluster-1"]));
    // Pods find the virtual API server at a Service of their namespace, which leads to the pod in the other one.
    let service = format!("/api/v1/namespaces/{WORKLOADS}/services/{NAME}");
    let service = host.cluster.get(&service).await?.context("the Service of the workloads")?;
    let address = host.inside(&["get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}"])?;
    assert_eq!(service["spec"]["clusterIP"], address.trim());
    let slice = format!("/apis/discovery.k8s.io/v1/namespaces/{WORKLOADS}/endpointslices/{NAME}-ipv4");
    let slice = host.cluster.get(&slice).await?.context("the endpoints of the Service")?;
    assert_eq!(slice["endpoints"][0]["addresses"], json!([here[0]["status"]["podIP"]]));
    assert_eq!(host.inside(&["exec", "nginx", "--", "echo", "hello"])?, "hello\n");
    until_dns_answers(host)?;
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
    // Its kinds may still be starting.
    let found = until_ok(Duration::from_secs(30), || tenet.succeeds(&["doctor", NAME]))?;
    for check in
        ["control plane", "syncer", "rights of the syncer", "service range", "certificates", "claim", "webhook"]
    {
        ensure!(found.contains(&format!("ok    {check} ")), "{check}: {found}");
    }
    ensure!(found.contains("ok    DNS "), "{found}");
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
    host.plane().pause(Component::ApiServer);
    tokio::time::sleep(AWAY).await;
    host.plane().resume(Component::ApiServer);
    Ok(())
}

/// Repeats an attempt until it succeeds, or returns its last error when the time is over.
fn until_ok<T>(limit: Duration, attempt: impl Fn() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match attempt() {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(200)),
            ended => return ended,
        }
    }
}

fn until_dns_answers(host: &Host) -> Result<()> {
    let deployment = ["deployment/coredns", "-n", "kube-system", "--timeout=120s"];
    host.inside(&[&["wait", "--for=condition=Available"], &deployment[..]].concat()).map(drop)
}

/// Writes a kubeconfig for the node port that the user has made, and uses it at each node.
fn through_node_port(host: &Host) -> Result<()> {
    for address in host.addresses() {
        let file = host.machines.dir().join("kubeconfig.yaml");
        let (server, file) = (format!("https://{address}:{NODE_PORT}"), file.to_string_lossy());
        host.tenet().succeeds(&["connect", NAME, "--server", &server, "--file", &file])?;
        // The node learns of the new pod a moment later.
        until_ok(Duration::from_secs(30), || {
            let mut kubectl = std::process::Command::new(&host.kubectl);
            let output =
                kubectl.args(["--kubeconfig", &file, "get", "namespace", "default", "--output=name"]).output()?;
            ensure!(output.stdout == b"namespace/default\n", "{server}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        })?;
    }
    Ok(())
}

/// Exposes the pod, and compares the Services of both sides; other pods find it by name.
async fn services(host: &Host) -> Result<()> {
    let on_host = async |name: &str| -> Result<String> {
        let service = host.cluster.get(&format!("/api/v1/namespaces/{NAME}/services/{name}")).await?;
        let address = service.with_context(|| format!("no Service {name}"))?["spec"]["clusterIP"].clone();
        Ok(address.as_str().unwrap_or_default().to_owned())
    };
    let inside = |name: &str, namespace: &str| {
        host.inside(&["get", "service", name, "-n", namespace, "--output=jsonpath={.spec.clusterIP}"])
    };
    host.inside(&["expose", "pod", "nginx", "--port=80"])?;
    assert_eq!(inside("nginx", "default")?, on_host(&format!("nginx-x-default-x-{NAME}")).await?);
    assert_eq!(inside("kube-dns", "kube-system")?, on_host(&format!("kube-dns-x-kube-system-x-{NAME}")).await?);
    assert_eq!(inside("kubernetes", "default")?, on_host(NAME).await?);
    let nodes = host.inside(&["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"])?;
    for node in nodes.split(' ') {
        ensure!(!on_host(&format!("{NAME}-node-{node}")).await?.is_empty(), "{node}");
    }
    // A static busybox cannot look up a name in its clients, but with nslookup.
    let find =
        "nslookup nginx.default.svc.cluster.local | sed -n 's/^Address[ 0-9]*: *\\([0-9.]*\\).*/\\1/p' | tail -n 1";
    let ask = r"printf 'GET /page HTTP/1.0\r\n\r\n' | nc -w 2";
    run(host, "asks", &["sh", "-c", &format!("until {ask} $({find}) 80 | grep hello; do sleep 0.2; done")])?;
    host.inside(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asks", "--timeout=60s"])?;
    host.inside(&["delete", "pod/asks", "service/nginx"]).map(drop)
}

/// Runs a StatefulSet with a claim, whose data outlives its pod.
fn keeps_data(host: &Host) -> Result<()> {
    let labels = json!({"app": "db"});
    let container = json!({
        "name": "db", "image": RealNode::IMAGE, "command": SLEEPS,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }],
        },
    });
    let file = host.machines.dir().join("db.json");
    fs::write(&file, set.to_string())?;
    host.inside(&["apply", "-f", &file.to_string_lossy()])?;
    let rolled = ["rollout", "status", "statefulset/db", "--timeout=60s"];
    host.inside(&rolled)?;
    host.inside(&["exec", "db-0", "--", "sh", "-c", "echo kept > /data/file"])?;
    host.inside(&["delete", "pod", "db-0"])?;
    host.inside(&["wait", "--for=create", "pod/db-0", "--timeout=60s"])?;
    host.inside(&["wait", "--for=condition=Ready", "pod/db-0", "--timeout=60s"])?;
    assert_eq!(host.inside(&["exec", "db-0", "--", "cat", "/data/file"])?, "kept\n");
    host.inside(&["delete", "statefulset/db", "persistentvolumeclaim/data-db-0"]).map(drop)
}

fn run_pod(host: &Host, name: &str) -> Result<()> {
    // The ServiceAccount appears a second or two after the control plane is ready.
    until_ok(Duration::from_secs(20), || host.inside(&["get", "serviceaccount", "default"]))?;
    run(host, name, &SERVES)?;
    host.inside(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]).map(drop)
}

fn run(host: &Host, name: &str, command: &[&str]) -> Result<()> {
    let image = format!("--image={}", RealNode::IMAGE);
    host.inside(&[&["run", name, &image, "--restart=OnFailure", "--command", "--"], command].concat()).map(drop)
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
async fn tell_containers(host: &Host, containers: &[&str]) {
    let pod = host.cluster.get(&format!("/api/v1/namespaces/{NAME}/pods/{NAME}-0")).await;
    println!("{}", pod.ok().flatten().unwrap_or_default()["status"]);
    for container in containers {
        println!("--- {container}\n{}", log(&host.kubectl, host.machines.kubeconfig(), container));
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

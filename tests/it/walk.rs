//! Walk of a user on a host with two nodes that run containers: create, connect, run, pause, delete.

mod faults;
mod host;
mod usage;
mod workloads;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::{DistroProgram, RealNode};
use tokio::sync::Mutex;

use crate::cluster;
use crate::harness::{new_namespace, skipped};
use crate::install::everything;
use faults::{kill_control_plane, outlives, take_host_api_away};
use host::{Host, tell_containers};
use workloads::{NODE_PORT, SLEEPS, keeps_data, run_pod, services, through_node_port, until_dns_answers, until_ok};

const NAME: &str = "vcluster-1";
/// Two hosts at a time would take too much of the machine.
static TURN: Mutex<()> = Mutex::const_new(());

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

fn names_of(containers: &[Value]) -> Vec<&str> {
    containers.iter().map(|container| container["name"].as_str().unwrap_or_default()).collect()
}

fn names(objects: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = objects.iter().map(cluster::name).collect();
    names.sort_unstable();
    names
}

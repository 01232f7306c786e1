//! Life of a playground on real components: it starts, pods run in it, and nothing is left at the end.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tenet_playground::{Component, Options, Patience, Playground, Progress, TimedOut};

const PATIENCE: Duration = Duration::from_secs(30);

async fn start(options: Options) -> Playground {
    let started = Instant::now();
    let options = Options { progress: Progress::stderr(), ..options };
    let playground = Playground::start(options).await.expect("a playground");
    println!("started in {:.1} s", started.elapsed().as_secs_f64());
    playground
}

async fn call(client: &kube::Client, method: &str, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(if body.is_null() { Vec::new() } else { body.to_string().into_bytes() })
        .expect("a request");
    client.request(request).await
}

async fn until(what: &str, look: impl AsyncFnMut() -> Result<bool, TimedOut>) {
    Patience::new(PATIENCE).until(what, look).await.expect(what);
}

async fn until_phase(client: &kube::Client, name: &str, phase: &str) -> Value {
    let path = format!("/api/v1/namespaces/default/pods/{name}");
    until(&format!("pod {name} {phase}"), async || {
        let pod = call(client, "GET", &path, &Value::Null).await.expect("the pod");
        Ok(pod["status"]["phase"] == phase)
    })
    .await;
    call(client, "GET", &path, &Value::Null).await.expect("the pod")
}

fn pod(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "nginx"}]},
    })
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
        && !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(") Z ")
}

async fn until_dead(pids: &[u32]) {
    until("the end of all processes", async || Ok(!pids.iter().any(|pid| is_alive(*pid)))).await;
}

#[tokio::test]
async fn pods_run_on_the_host_and_nothing_is_left_behind() {
    let playground = start(Options::default()).await;
    let client = playground.host_plane().client();
    let pods = "/api/v1/namespaces/default/pods";
    for pod in [
        pod("plain", &json!({})),
        pod("exits", &json!({"playground/exit-code": "3"})),
        pod("job", &json!({"batch.kubernetes.io/job-name": "job"})),
    ] {
        call(&client, "POST", pods, &pod).await.expect("a pod");
    }
    let running = until_phase(&client, "plain", "Running").await;
    assert_eq!(running["status"]["hostIP"], "127.0.0.1");
    let failed = until_phase(&client, "exits", "Failed").await;
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    until_phase(&client, "job", "Succeeded").await;

    // A virtual cluster has no scheduler and no node.
    let inside = playground.virtual_plane().client();
    call(&inside, "POST", pods, &pod("plain", &json!({}))).await.expect("a pod");
    let waiting = call(&inside, "GET", &format!("{pods}/plain"), &Value::Null).await.expect("the pod");
    assert_eq!(waiting["status"]["phase"], "Pending");

    // A restarted API server has the same port and data.
    playground.host_plane().restart(Component::ApiServer).await.expect("the API server comes back");
    call(&client, "GET", &format!("{pods}/plain"), &Value::Null).await.expect("the pod is still there");
    assert!(playground.died().is_none());

    // Kubelets that start again run the pods that were there, and end the one that was deleted.
    playground.restart_kubelets().await.expect("the kubelets come back");
    call(&client, "DELETE", &format!("{pods}/plain"), &Value::Null).await.expect("a delete");
    until("the end of pod plain", async || {
        Ok(call(&client, "GET", &format!("{pods}/plain"), &Value::Null).await.is_err())
    })
    .await;
    assert!(playground.died().is_none());

    let dir = playground.dir().to_owned();
    let audit = fs::read_to_string(playground.host_plane().audit_log()).expect("an audit log");
    assert!(audit.contains(r#""verb":"create""#));
    let processes: Vec<u32> = Component::ALL
        .into_iter()
        .flat_map(|component| [playground.host_plane().pid(component), playground.virtual_plane().pid(component)])
        .flatten()
        .collect();
    assert_eq!(processes.len(), 7);
    drop(playground);
    until_dead(&processes).await;
    assert!(!dir.exists());
}

const RIGHTS: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pods}
rules:
- {apiGroups: [''], resources: [pods], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nodes}
rules:
- {apiGroups: [''], resources: [nodes], verbs: [list]}
";

#[tokio::test]
async fn the_syncer_may_do_on_the_host_what_it_is_given_and_no_more() {
    let playground = start(Options::default()).await;
    playground.give_rights(RIGHTS).await.expect("its rights");
    let kubeconfig = kube::config::Kubeconfig::read_from(playground.syncer_host_kubeconfig()).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default())
        .await
        .expect("a configuration");
    let syncer = kube::Client::try_from(config).expect("a client");
    let inside = format!("/api/v1/namespaces/{}/pods", playground.namespace());
    call(&syncer, "POST", &inside, &pod("plain", &json!({}))).await.expect("a pod in its namespace");
    for path in ["/api/v1/namespaces/default/pods", "/api/v1/nodes/node-1/status", "/api/v1/namespaces"] {
        let error = call(&syncer, "GET", path, &Value::Null).await.expect_err(path);
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{path}: {error}");
    }
    call(&syncer, "GET", "/api/v1/nodes", &Value::Null).await.expect("the nodes");
    playground.shutdown().await;
}

/// Runs as a process of its own in the next test, and is killed there.
#[tokio::test]
async fn victim() {
    if std::env::var_os("TENET_PLAYGROUND_VICTIM").is_none() {
        return;
    }
    let playground = start(Options::default()).await;
    println!("dir {}", playground.dir().display());
    for plane in [playground.host_plane(), playground.virtual_plane()] {
        for component in Component::ALL {
            if let Some(pid) = plane.pid(component) {
                println!("pid {pid}");
            }
        }
    }
    println!("ready");
    tokio::time::sleep(Duration::from_secs(600)).await;
}

#[tokio::test]
async fn a_killed_parent_takes_everything_with_it() {
    let mut parent = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "victim", "--nocapture"])
        .env("TENET_PLAYGROUND_VICTIM", "yes")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a parent");
    let lines = BufReader::new(parent.stdout.take().expect("its output")).lines();
    let said: Vec<String> = lines.map(|line| line.expect("a line")).take_while(|line| line != "ready").collect();
    let about = |word: &str| said.iter().filter_map(|line| line.strip_prefix(word)).collect::<Vec<_>>();
    let pids: Vec<u32> = about("pid ").iter().filter_map(|pid| pid.parse().ok()).collect();
    let dir = about("dir ")[0];
    assert_eq!(pids.len(), 7);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    parent.kill().expect("SIGKILL");
    parent.wait().expect("its end");
    until_dead(&pids).await;
    until("the end of its folder", async || Ok(!Path::new(dir).exists())).await;
}

//! Services between real nodes with network namespaces of their own.

use std::{io::Write as _, process::Command, time::Duration};

use serde_json::{Value, json};
use tenet_playground::{
    ClusterNetwork, Components, ControlPlane, Patience, PlaneOptions, Progress, RealNode, RealNodeError, Role, TimedOut,
};

const PATIENCE: Duration = Duration::from_secs(60);
const ADDRESS: &str = "10.96.7.7";

/// Prints why the test is skipped, past the capture of its output.
fn skip(why: &str) {
    let line = format!("skipped: no nodes with Services, because {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

async fn create(client: &kube::Client, path: &str, object: &Value) {
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes()).expect("a request");
    client.request::<Value>(request).await.expect(path);
}

fn pod(name: &str, node: &str, script: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "restartPolicy": "Never", "nodeName": node, "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": RealNode::IMAGE, "command": ["sh", "-c", script]}]}})
}

fn links() -> String {
    let output = Command::new("ip").args(["-brief", "link"]).output().expect("ip");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_service_leads_to_a_pod_of_another_node_and_nothing_is_left() {
    let network = match ClusterNetwork::create() {
        Err(RealNodeError::Machine(why)) => return skip(&why),
        network => network.expect("a network"),
    };
    let bridge = network.bridge().to_owned();
    let (dir, progress) = (tempfile::tempdir().expect("a folder"), Progress::stderr());
    let components = Components::locate_or_build(&progress).await.expect("the components");
    let options = PlaneOptions::new("host", Role::Host, dir.path());
    let plane = ControlPlane::start(&components, options).await.expect("a control plane");
    plane.until_pods_are_admitted("default").await.expect("a ServiceAccount");
    let near = RealNode::start_in(&network, "near", &plane, &progress).await.expect("a node");
    let far = RealNode::start_in(&network, "far", &plane, &progress).await.expect("another node");

    let client = plane.client();
    let service = json!({"metadata": {"name": "web"},
        "spec": {"clusterIP": ADDRESS, "selector": {"app": "web"}, "ports": [{"port": 80}]}});
    create(&client, "/api/v1/namespaces/default/services", &service).await;
    let serve = "mkdir /www && echo hello > /www/page && httpd -f -p 80 -h /www";
    create(&client, "/api/v1/namespaces/default/pods", &pod("web", "far", serve)).await;
    // The wget of a static busybox ends with a fault of its C library.
    let request = r"printf 'GET /page HTTP/1.0\r\n\r\n'";
    let ask = format!("until {request} | nc -w 2 {ADDRESS} 80 | grep hello; do sleep 0.2; done");
    create(&client, "/api/v1/namespaces/default/pods", &pod("asks", "near", &ask)).await;
    let asks = "/api/v1/namespaces/default/pods/asks";
    let answered = Patience::new(PATIENCE).until("an answer", async || {
        let pod = plane.get(asks).await.expect("the pod").expect("the pod");
        Ok::<_, TimedOut>(pod["status"]["phase"] == "Succeeded")
    });
    let answered = answered.await;
    let shown = plane.get("/api/v1/namespaces/default/pods/web").await.expect("the pod").expect("the pod");
    answered.unwrap_or_else(|error| panic!("{error}: {}", shown["status"]));

    assert!(links().contains(&bridge));
    drop((near, far));
    drop(network);
    assert!(!links().contains(&format!("{bridge}n")) && !links().contains(&format!("{bridge} ")), "{}", links());
}

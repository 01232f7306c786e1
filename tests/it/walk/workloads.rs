//! Workloads of a walk, and the ways to them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tenet_playground::RealNode;

use super::NAME;
use super::host::Host;

/// Port of every node at which the user exposes the API server.
pub(super) const NODE_PORT: u16 = 30443;

/// Command that ends at once when it is told to.
pub(super) const SLEEPS: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"];
/// Command of a web server that ends at once when it is told to.
const SERVES: [&str; 3] =
    ["sh", "-c", "trap 'exit 0' TERM; mkdir /www; echo hello > /www/page; httpd -p 80 -h /www; sleep 3600 & wait"];

/// Repeats an attempt until it succeeds, or returns its last error when the time is over.
pub(super) fn until_ok<T>(limit: Duration, attempt: impl Fn() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match attempt() {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(200)),
            ended => return ended,
        }
    }
}

pub(super) fn until_dns_answers(host: &Host) -> Result<()> {
    let deployment = ["deployment/coredns", "-n", "kube-system", "--timeout=120s"];
    host.inside(&[&["wait", "--for=condition=Available"], &deployment[..]].concat()).map(drop)
}

/// Writes a kubeconfig for the node port that the user has made, and uses it at each node.
pub(super) fn through_node_port(host: &Host) -> Result<()> {
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
pub(super) async fn services(host: &Host) -> Result<()> {
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
pub(super) fn keeps_data(host: &Host) -> Result<()> {
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

pub(super) fn run_pod(host: &Host, name: &str) -> Result<()> {
    // The ServiceAccount appears a second or two after the control plane is ready.
    until_ok(Duration::from_secs(20), || host.inside(&["get", "serviceaccount", "default"]))?;
    run(host, name, &SERVES)?;
    host.inside(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]).map(drop)
}

pub(super) fn run(host: &Host, name: &str, command: &[&str]) -> Result<()> {
    let image = format!("--image={}", RealNode::IMAGE);
    host.inside(&[&["run", name, &image, "--restart=OnFailure", "--command", "--"], command].concat()).map(drop)
}

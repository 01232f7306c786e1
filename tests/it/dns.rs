//! CoreDNS inside, and the nameserver of pods.

mod query;
mod server;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::Options;

use server::Server;

use crate::cluster::phase;
use crate::harness::{Harness, Separate, configured, in_folder, new_namespace, passed};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
const SERVICE: &str = "/api/v1/namespaces/kube-system/services/kube-dns";
const COREFILE: &str = "/api/v1/namespaces/kube-system/configmaps/coredns";
const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:coredns";

fn options(name: &str) -> Options {
    Options { syncer_settings: "coredns: { enabled: true }\n".to_owned(), ..in_folder(name) }
}

fn image(deployment: &Value) -> &str {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

/// Returns the resource versions of all objects that the syncer deploys.
async fn versions(harness: &Separate) -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for path in [
        COREFILE,
        BINDING,
        SERVICE,
        "/api/v1/namespaces/kube-system/serviceaccounts/coredns",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns",
    ] {
        let object = harness.virt.get(path).await?.with_context(|| path.to_owned())?;
        versions.push(object["metadata"]["resourceVersion"].to_string());
    }
    let deployment = harness.virt.get(DEPLOYMENT).await?.context("the Deployment")?;
    versions.push(deployment["metadata"]["generation"].to_string());
    Ok(versions)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_syncer_deploys_coredns_and_pods_use_it() -> Result<()> {
    let harness = Separate::new(options("dns")).await?;
    // A pod that comes before the DNS server waits for its address.
    new_namespace(&harness.virt, "shop").await?;
    let pod = |name: &str| json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    harness.virt.create("/api/v1/namespaces/shop/pods", pod("early")).await?;
    let command = configured(&harness.playground);
    harness.playground.give_declared_rights(&command).await?;
    // It is killed while it deploys, and starts again.
    harness.playground.launch_syncer(&command)?;
    harness.virt.until("/api/v1/namespaces/kube-system/serviceaccounts/coredns", "made", Value::is_object).await?;
    harness.playground.kill_syncer();
    harness.playground.start_syncer(&command).await?;

    let is_ready = |deployment: &Value| deployment["status"]["readyReplicas"] == 1;
    harness.virt.until(DEPLOYMENT, "ready", is_ready).await?;
    let service = harness.virt.get(SERVICE).await?.context("the Service")?;
    let address = service["spec"]["clusterIP"].as_str().context("an address")?.to_owned();
    let copy = harness.host.get(&harness.on_host("services/kube-dns-x-kube-system-x-vc-1")).await?;
    assert_eq!(copy.context("the Service of the host")?["spec"]["clusterIP"], address.as_str());
    let host_pods = harness.host.list(&harness.on_host("pods?labelSelector=k8s-app%3Dkube-dns")).await?;
    let [server] = &host_pods[..] else { panic!("one pod of CoreDNS, not {}", host_pods.len()) };
    assert_eq!(server["spec"]["dnsPolicy"], "Default");
    harness.virt.create("/api/v1/namespaces/shop/pods", pod("late")).await?;
    for name in ["early", "late"] {
        let path = format!("/api/v1/namespaces/shop/pods/{name}");
        harness.virt.until(&path, "running", |pod| phase(pod) == "Running").await?;
        let copy = harness.host.get(&harness.on_host(&format!("pods/{name}-x-shop-x-vc-1"))).await?;
        let spec = &copy.context("the pod of the host")?["spec"];
        assert_eq!(spec["dnsConfig"]["nameservers"], json!([address]), "{name}");
    }

    // Changes of the tenant stay, and a change of the configuration is applied over them.
    harness.virt.patch(DEPLOYMENT, json!({"spec": {"replicas": 2}})).await?;
    let own = json!({"Corefile": ".:1053 {\n    whoami\n    ready\n    health\n}\n"});
    harness.virt.patch(COREFILE, json!({ "data": own })).await?;
    let file = harness.playground.syncer_config();
    let text = std::fs::read_to_string(file)?;
    let other = "registry.example.com/coredns:other";
    std::fs::write(file, text.replace("coredns: { enabled: true }", &format!("coredns: {{ image: \"{other}\" }}")))?;
    let changed = harness.virt.until(DEPLOYMENT, "changed", |deployment| image(deployment) == other).await?;
    assert_eq!(changed["spec"]["replicas"], 2);
    assert_eq!(harness.virt.get(COREFILE).await?.context("the Corefile")?["data"], own);

    // A deleted Deployment is made again.
    harness.virt.delete(DEPLOYMENT, json!({})).await?;
    let is_new =
        |deployment: &Value| deployment["metadata"]["uid"] != changed["metadata"]["uid"] && is_ready(deployment);
    harness.virt.until(DEPLOYMENT, "made again", is_new).await?;

    // A restart writes nothing.
    let before = versions(&harness).await?;
    harness.playground.stop_syncer().await;
    harness.playground.start_syncer(&command).await?;
    harness.virt.create("/api/v1/namespaces/shop/pods", pod("last")).await?;
    harness.virt.until("/api/v1/namespaces/shop/pods/last", "running", |pod| phase(pod) == "Running").await?;
    assert_eq!(versions(&harness).await?, before);
    passed(harness.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_server_that_is_there_already_stays_the_only_one() -> Result<()> {
    let harness = Separate::new(options("dns-foreign")).await?;
    let ports = json!([{"name": "dns", "protocol": "UDP", "port": 53}]);
    let service = json!({"metadata": {"name": "kube-dns"}, "spec": {"selector": {"app": "own-dns"}, "ports": ports}});
    harness.virt.create("/api/v1/namespaces/kube-system/services", service).await?;
    harness.playground.start_syncer(&configured(&harness.playground)).await?;
    new_namespace(&harness.virt, "shop").await?;
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    harness.virt.create("/api/v1/namespaces/shop/pods", pod).await?;
    harness.virt.until("/api/v1/namespaces/shop/pods/web", "running", |pod| phase(pod) == "Running").await?;
    assert_eq!(harness.virt.get(DEPLOYMENT).await?, None);
    assert_eq!(harness.virt.get(COREFILE).await?, None);
    passed(harness.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostname_with_dots_is_what_a_container_sees() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let containers = json!([{"name": "c", "image": "i"}]);
    let long = json!({"hostname": "web-0", "subdomain": "web", "setHostnameAsFQDN": true, "containers": containers});
    let dotted = json!({ "containers": containers });
    let name = format!("web-0.web.{namespace}.svc.cluster.local");
    for (pod, spec, expected) in [("long", long, name.as_str()), ("web.1", dotted, "web.1")] {
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        harness.virt.create(&pods, json!({"metadata": {"name": pod}, "spec": spec})).await?;
        harness.virt.until(&format!("{pods}/{pod}"), "running", |pod| phase(pod) == "Running").await?;
        let copy = harness.host.get(&harness.on_host(&format!("pods/{pod}-x-{namespace}-x-vc-1"))).await?;
        assert_eq!(copy.context("the pod of the host")?["spec"]["hostnameOverride"], expected, "{pod}");
    }
    Ok(())
}

/// The Corefile and the rights that the syncer deploys are enough for CoreDNS itself: it runs as a process of this
/// machine, because the nodes of a playground run no containers.
#[tokio::test(flavor = "multi_thread")]
async fn coredns_answers_with_what_the_syncer_deploys() -> Result<()> {
    let harness = Separate::start(options("dns-names")).await?;
    let virt = &harness.virt;
    virt.until(DEPLOYMENT, "made", Value::is_object).await?;
    new_namespace(virt, "shop").await?;
    let ports = json!([{"port": 80}]);
    let headless = json!({"metadata": {"name": "web"},
                          "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": ports}});
    let plain = json!({"metadata": {"name": "front"}, "spec": {"selector": {"app": "web"}, "ports": ports}});
    for service in [headless, plain] {
        virt.create("/api/v1/namespaces/shop/services", service).await?;
    }
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let set = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 1, "serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "template": template,
    }});
    virt.create("/apis/apps/v1/namespaces/shop/statefulsets", set).await?;
    let pod = virt.until("/api/v1/namespaces/shop/pods/web-0", "running", |pod| phase(pod) == "Running").await?;
    let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let of_pod = text(&pod, "/status/podIP").context("an address of the pod")?;
    let front = virt.get("/api/v1/namespaces/shop/services/front").await?.context("the Service")?;
    let of_front = text(&front, "/spec/clusterIP").context("an address of the Service")?;
    let api = virt.get("/api/v1/namespaces/default/services/kubernetes").await?.context("the Service")?;
    let of_api = text(&api, "/spec/clusterIP").context("an address of the API server")?;

    let server = Server::start(&harness).await?;
    for (name, address) in [
        ("web-0.web.shop.svc.cluster.local", of_pod.as_str()),
        ("web.shop.svc.cluster.local", &of_pod),
        ("front.shop.svc.cluster.local", &of_front),
        ("kubernetes.default.svc.cluster.local", &of_api),
        ("example.com", query::UPSTREAM),
    ] {
        server.until_resolves(name, address).await?;
    }
    drop(server);
    passed(harness.playground).await
}

//! Endpoints that the tenant writes itself: the host Service leads to them.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::{name, phase};
use crate::harness::{Harness, Separate, cluster, in_folder, new_namespace, passed};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces";

/// Returns the addresses that the host's EndpointSlices give a Service, in order.
fn addresses(slices: &[Value], service: &str) -> Vec<String> {
    let of_service = slices.iter().filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service);
    let endpoints = of_service.filter_map(|slice| slice["endpoints"].as_array()).flatten();
    let all = endpoints.filter_map(|endpoint| endpoint["addresses"].as_array()).flatten();
    let mut all: Vec<_> = all.filter_map(Value::as_str).map(str::to_owned).collect();
    all.sort();
    all
}

async fn service_without_selector(harness: &Harness, namespace: &str, name: &str) -> Result<()> {
    let ports = json!([{"name": "pg", "protocol": "TCP", "port": 5432, "targetPort": 5432}]);
    let service = json!({"metadata": {"name": name}, "spec": {"ports": ports}});
    harness.virt.create(&format!("/api/v1/namespaces/{namespace}/services"), service).await.map(drop)
}

/// Waits until the host's EndpointSlices give a Service exactly these addresses.
async fn until_leads_to(harness: &Harness, service: &str, expected: &[&str]) -> Result<Vec<Value>> {
    let slices = format!("{SLICES}/{}/endpointslices", harness.playground.namespace());
    let what = format!("leading {service} to {expected:?}");
    harness.host.until_list(&slices, &what, |slices| addresses(slices, service) == expected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_selector_leads_to_the_addresses_of_its_slice() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let slices = format!("{SLICES}/{namespace}/endpointslices");
    service_without_selector(&harness, &namespace, "legacy-db").await?;
    let slice = json!({
        "metadata": {"name": "legacy-db-1", "labels": {"kubernetes.io/service-name": "legacy-db"}},
        "addressType": "IPv4",
        "ports": [{"name": "pg", "protocol": "TCP", "port": 5432}],
        "endpoints": [{"addresses": ["10.40.0.9"], "conditions": {"ready": true}}],
    });
    harness.virt.create(&slices, slice).await?;
    let service = format!("legacy-db-x-{namespace}-x-vc-1");
    let found = until_leads_to(&harness, &service, &["10.40.0.9"]).await?;
    let copy = found.iter().find(|slice| name(slice) == format!("legacy-db-1-x-{namespace}-x-vc-1")).expect("a copy");
    assert_eq!(copy["ports"], json!([{"name": "pg", "protocol": "TCP", "port": 5432}]));

    // An address in the service range is left out, and the Service says so.
    let endpoints = json!([{"addresses": ["10.40.0.10"]}, {"addresses": ["10.96.0.1"]}]);
    harness.virt.patch(&format!("{slices}/legacy-db-1"), json!({ "endpoints": endpoints })).await?;
    until_leads_to(&harness, &service, &["10.40.0.10"]).await?;
    let is_told = |events: &[Value]| {
        let told = events.iter().filter(|event| event["involvedObject"]["kind"] == "Service");
        told.filter_map(|event| event["message"].as_str()).any(|message| message.contains("10.96.0.1 is left out"))
    };
    harness.virt.until_list(&format!("/api/v1/namespaces/{namespace}/events"), "an event", is_told).await?;

    // With a selector the host makes the endpoints itself.
    let at = format!("/api/v1/namespaces/{namespace}/services/legacy-db");
    harness.virt.patch(&at, json!({"spec": {"selector": {"app": "nobody"}}})).await?;
    until_leads_to(&harness, &service, &[]).await?;
    harness.virt.delete(&at, json!({})).await
}

/// Patroni and Knative write the Endpoints of a Service themselves, and move them from pod to pod.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_move_from_pod_to_pod_move_on_the_host() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let at = |rest: &str| format!("/api/v1/namespaces/{namespace}/{rest}");
    service_without_selector(&harness, &namespace, "pg-main").await?;
    let mut addresses = Vec::new();
    for pod in ["pg-0", "pg-1"] {
        let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": "pg", "image": "busybox"}]});
        harness.virt.create(&at("pods"), json!({"metadata": {"name": pod}, "spec": spec})).await?;
        let running = |pod: &Value| phase(pod) == "Running" && pod["status"]["podIP"].is_string();
        let pod = harness.virt.until(&at(&format!("pods/{pod}")), "running", running).await?;
        addresses.push(pod["status"]["podIP"].as_str().unwrap_or_default().to_owned());
    }
    let subsets = |pod: usize| {
        let target = json!({"kind": "Pod", "namespace": namespace, "name": format!("pg-{pod}")});
        let address = json!({"ip": addresses[pod], "targetRef": target});
        json!([{"addresses": [address], "ports": [{"name": "pg", "port": 5432, "protocol": "TCP"}]}])
    };
    let service = format!("pg-main-x-{namespace}-x-vc-1");
    harness.virt.create(&at("endpoints"), json!({"metadata": {"name": "pg-main"}, "subsets": subsets(0)})).await?;
    until_leads_to(&harness, &service, &[&addresses[0]]).await?;
    harness.virt.patch(&at("endpoints/pg-main"), json!({"subsets": subsets(1)})).await?;
    let found = until_leads_to(&harness, &service, &[&addresses[1]]).await?;
    let of_service = found.iter().find(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service);
    let target = &of_service.expect("the slice")["endpoints"][0]["targetRef"];
    assert_eq!(target["name"], format!("pg-1-x-{namespace}-x-vc-1"));
    for path in ["services/pg-main", "endpoints/pg-main", "pods/pg-0", "pods/pg-1"] {
        harness.virt.delete(&at(path), json!({})).await?;
    }
    until_leads_to(&harness, &service, &[]).await.map(drop)
}

/// The `admin` of a namespace may read EndpointSlices and not write them, so it cannot grant that either.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_write_slices_the_service_says_so_and_all_else_works() -> Result<()> {
    let own = Separate::start(in_folder("endpoints")).await?;
    let of_syncer =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles/tenet-syncer-vc-1", own.playground.namespace());
    let granted = own.host.get(&of_syncer).await?.expect("the Role")["rules"].clone();
    let mut reduced = granted.clone();
    for rule in reduced.as_array_mut().into_iter().flatten() {
        if rule["resources"] == json!(["endpointslices"]) {
            rule["verbs"] = json!(["get", "list", "watch"]);
        }
    }
    assert_ne!(reduced, granted);
    own.host.patch(&of_syncer, json!({"rules": reduced})).await?;
    let syncer = cluster("host", own.playground.syncer_host_kubeconfig()).await?;
    let create = json!({"verb": "create", "group": "discovery.k8s.io", "resource": "endpointslices",
                        "namespace": own.playground.namespace()});
    let is_allowed = || async {
        let review = json!({"spec": {"resourceAttributes": create}});
        let review = syncer.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).await?;
        anyhow::Ok(review["status"]["allowed"] == true)
    };
    while is_allowed().await? {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    new_namespace(&own.virt, "shop").await?;
    let service = json!({"metadata": {"name": "db"}, "spec": {"ports": [{"port": 5432}]}});
    let service = own.virt.create("/api/v1/namespaces/shop/services", service).await?;
    let slice = json!({
        "metadata": {"name": "db-1", "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4", "ports": [{"port": 5432}], "endpoints": [{"addresses": ["10.40.0.9"]}],
    });
    own.virt.create(&format!("{SLICES}/shop/endpointslices"), slice).await?;
    let is_told = |events: &[Value]| {
        let told = events.iter().filter(|event| event["involvedObject"]["uid"] == service["metadata"]["uid"]);
        told.filter_map(|event| event["message"].as_str()).any(|message| message.contains("endpointslices"))
    };
    own.virt.until_list("/api/v1/namespaces/shop/events", "an event on the Service", is_told).await?;
    let copy = own.on_host("services/db-x-shop-x-vc-1");
    let same = |copy: &Value| copy["spec"]["clusterIP"] == service["spec"]["clusterIP"];
    own.host.until(&copy, "at the same address", same).await?;
    passed(own.playground).await
}

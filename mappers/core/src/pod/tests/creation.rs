use serde_json::{Value, json};
use tenet_mapper::translate::env::Variable;
use tenet_mapper::{Dependency, MapError, Side, VirtualKey, kinds};

use super::lab::{Lab, expected_host};
use crate::pod::{Dns, Pods};

/// The host pod after a change of the virtual one.
fn created(change: impl FnOnce(&mut Lab)) -> Value {
    let mut lab = Lab::fresh();
    change(&mut lab);
    lab.converge();
    lab.host().unwrap().value().clone()
}

fn with(pointer: &str, value: Value) -> Value {
    created(|lab| lab.edit(pointer, value))
}

fn variables(container: &Value) -> Vec<Variable> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    container["env"].as_array().unwrap().iter().map(|env| (text(&env["name"]), text(&env["value"]))).collect()
}

#[test]
fn the_pod_of_a_deployment_crosses_and_believes_that_it_is_inside() {
    let mut lab = Lab::fresh();
    assert_eq!(lab.converge(), ["mint Secret", "apply Pod"]);
    let mut host = lab.host().unwrap().value().clone();
    let followed: Value =
        serde_json::from_str(host["metadata"]["annotations"]["tenet.sh/followed"].as_str().unwrap()).unwrap();
    let mut expected = expected_host(followed["tolerations"].as_str().unwrap());
    for object in [&mut host, &mut expected] {
        for made_up in ["uid", "resourceVersion"] {
            object["metadata"].as_object_mut().unwrap().remove(made_up);
        }
    }
    assert_eq!(host, expected);
    assert_eq!(lab.converge(), [""; 0], "the second look writes nothing");
}

#[test]
fn the_host_never_mints_a_token() {
    let host = created(|_| {});
    assert!(!host.to_string().contains("serviceAccountToken"));
    assert_eq!(host["spec"]["automountServiceAccountToken"], false);
    assert_eq!(host["spec"].get("serviceAccount"), None);
    let mut lab = Lab::fresh().section(Pods { service_account: "powerless".to_owned(), ..Pods::default() });
    lab.edit("/spec/serviceAccountName", json!("admin"));
    lab.converge();
    assert_eq!(lab.host().unwrap().str_at("/spec/serviceAccountName"), Some("powerless"));
}

#[test]
fn a_pod_waits_until_what_it_mounts_is_on_the_host_as_it_is_inside() {
    let place = "kube-root-ca.crt-x-shop-x-vc-1";
    let copy = |source: &str| {
        format!(
            "kind: ConfigMap\nmetadata: {{name: {place}, namespace: team-a, annotations: {{tenet.sh/source: {source}}}}}"
        )
    };
    for (source, waits) in [("cm-1/2/x/-", true), ("cm-0/3/x/-", true), ("cm-1/33/x/-", true), ("cm-1/3/x/-", false)] {
        let mut lab = Lab::fresh().with(Side::Host, &copy(source));
        let outcome = lab.reconcile().unwrap();
        let host = tenet_mapper::HostKey::new("team-a", place);
        let expected = waits.then(|| Dependency::host(kinds::CONFIG_MAP, &host));
        assert_eq!(outcome.wait, expected.into_iter().collect(), "{source}");
        assert_eq!(outcome.stages.is_empty(), waits, "{source}");
    }
}

#[test]
fn what_does_not_exist_inside_holds_no_pod_back() {
    let source = json!([{"secretRef": {"name": "later", "optional": true}}]);
    let host = with("/spec/containers/0/envFrom", source);
    assert_eq!(host["spec"]["containers"][0]["envFrom"][0]["secretRef"]["name"], "later-x-shop-x-vc-1");
}

#[test]
fn env_from_wins_over_services() {
    let mut lab = Lab::fresh()
        .with(Side::Virtual, "kind: Secret\nmetadata: {name: e, namespace: shop, uid: s, resourceVersion: '1'}\ndata: {SERVICE_HOST: aQ==, WEB_PORT: aQ==}")
        .with(Side::Host, "kind: Secret\nmetadata: {name: e-x-shop-x-vc-1, namespace: team-a, annotations: {tenet.sh/source: s/1/x}}");
    lab.edit(
        "/spec/containers/0/envFrom",
        json!([{"prefix": "WEB_", "secretRef": {"name": "e"}}, {"secretRef": {"name": "e"}}]),
    );
    lab.converge();
    let names: Vec<_> =
        variables(&lab.host().unwrap().value()["spec"]["containers"][0]).into_iter().map(|v| v.0).collect();
    assert!(!names.contains(&"WEB_SERVICE_HOST".to_owned()) && !names.contains(&"WEB_PORT".to_owned()), "{names:?}");
    assert!(names.contains(&"WEB_SERVICE_PORT".to_owned()));
}

#[test]
fn service_links_can_be_declined_and_the_api_server_stays() {
    let env = variables(&with("/spec/enableServiceLinks", json!(false))["spec"]["containers"][0]);
    assert_eq!(env.len(), 8);
    assert_eq!(env[0], ("KUBERNETES_SERVICE_HOST".to_owned(), "10.96.0.20".to_owned()));
}

#[test]
fn the_api_server_is_where_the_host_says_and_else_where_it_says_itself() {
    let host = |spec: &str| format!("kind: Service\nmetadata: {{name: vc-1, namespace: team-a}}\nspec: {spec}");
    let inside = "kind: Service\nmetadata: {name: kubernetes, namespace: default}\nspec: {}";
    let first = |lab: &mut Lab| {
        lab.converge();
        variables(&lab.host().unwrap().value()["spec"]["containers"][0])[0].1.clone()
    };
    let mut lab = Lab::fresh().with(Side::Host, &host("{clusterIP: None}"));
    assert_eq!(first(&mut lab), "10.0.0.1");
    let mut lab = Lab::fresh()
        .facts(|facts| facts.api_service = "door".to_owned())
        .with(Side::Host, "kind: Service\nmetadata: {name: door, namespace: team-a}\nspec: {clusterIP: 10.96.0.30, ports: [{port: 6443}]}");
    assert_eq!(first(&mut lab), "10.96.0.30");
    let mut lab = Lab::fresh().with(Side::Host, &host("{}")).with(Side::Virtual, inside);
    let outcome = lab.reconcile().unwrap();
    assert!(outcome.stages.is_empty(), "it is known nowhere");
    assert_eq!(outcome.wait.iter().map(ToString::to_string).collect::<Vec<_>>(), ["host Service team-a/vc-1"]);
}

#[test]
fn names_are_resolved_by_the_virtual_cluster() {
    let dns = |lab: Lab, policy: &str| {
        let mut lab = lab;
        lab.edit("/spec/dnsPolicy", json!(policy));
        lab.converge();
        let spec = lab.host().unwrap().value()["spec"].clone();
        (spec["dnsPolicy"].clone(), spec["dnsConfig"]["nameservers"].clone(), lab.events.len())
    };
    let headless = "kind: Service\nmetadata: {name: kube-dns, namespace: kube-system}\nspec: {clusterIP: None}";
    let elsewhere = Dns {
        cluster_domain: "x.y".to_owned(),
        service: "a/b".parse().unwrap(),
        address: Some("192.0.2.53".parse().unwrap()),
    };
    assert_eq!(dns(Lab::fresh(), "ClusterFirst"), (json!("None"), json!(["10.96.0.10"]), 0));
    assert_eq!(dns(Lab::fresh(), "Default"), (json!("Default"), json!(null), 0));
    assert_eq!(dns(Lab::fresh().section(elsewhere), "ClusterFirst").1, json!(["192.0.2.53"]));
    assert_eq!(dns(Lab::fresh().with(Side::Virtual, headless), "ClusterFirst"), (json!("Default"), json!(null), 1));
}

#[test]
fn identity_is_that_of_the_virtual_pod() {
    let field = |path: &str| json!([{"name": "F", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}]);
    for (path, turned, annotation, value) in [
        ("metadata.name", "metadata.annotations['tenet.sh/name']", "tenet.sh/name", super::lab::NAME),
        ("metadata.uid", "metadata.annotations['tenet.sh/uid']", "tenet.sh/uid", "u-1"),
        (
            "spec.serviceAccountName",
            "metadata.annotations['tenet.sh/service-account']",
            "tenet.sh/service-account",
            "default",
        ),
        ("metadata.labels['app']", "metadata.labels['app']", "tenet.sh/kind", "Pod"),
        ("status.podIP", "status.podIP", "tenet.sh/kind", "Pod"),
    ] {
        let host = with("/spec/containers/0/env", field(path));
        let env = host["spec"]["containers"][0]["env"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(env["valueFrom"]["fieldRef"]["fieldPath"], turned, "{path}");
        assert_eq!(host["metadata"]["annotations"][annotation], value, "{path}");
    }
    assert_eq!(with("/spec/hostname", json!("own"))["spec"]["hostname"], "own");
    assert_eq!(with("/spec/subdomain", json!("sub"))["spec"].get("subdomain"), None);
}

#[test]
fn selectors_see_the_virtual_cluster_only() {
    let term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}});
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let node = json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]});
    let affinity = json!({"nodeAffinity": {required: node}, "podAntiAffinity": {required: [term]}});
    let host = with("/spec/affinity", affinity);
    assert_eq!(host["spec"]["affinity"]["nodeAffinity"][required], node);
    let narrowed = host["spec"]["affinity"]["podAntiAffinity"][required][0]["labelSelector"].to_string();
    assert!(narrowed.contains("tenet.sh/managed-by") && narrowed.contains("shop"), "{narrowed}");
    let spread =
        json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}]);
    let host = with("/spec/topologySpreadConstraints", spread);
    assert!(host["spec"]["topologySpreadConstraints"][0]["labelSelector"].to_string().contains("tenet.sh/namespace"));
}

#[test]
fn what_security_lets_pass_crosses_unchanged() {
    let context = json!({
        "capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"], "drop": ["ALL"]}, "procMount": "Default",
        "seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}, "appArmorProfile": {"type": "RuntimeDefault"},
        "seLinuxOptions": {"type": "container_t", "user": "", "role": "", "level": "s0"}, "runAsUser": 7,
    });
    assert_eq!(
        with("/spec/containers/0/securityContext", context.clone())["spec"]["containers"][0]["securityContext"],
        context
    );
    let context = json!({"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1 2 3"}], "fsGroup": 5});
    assert_eq!(with("/spec/securityContext", context.clone())["spec"]["securityContext"], context);
}

#[test]
fn containers_to_debug_with_come_after_the_pod() {
    let mut lab = Lab::fresh();
    lab.edit(
        "/spec/ephemeralContainers",
        json!([{"name": "debug", "image": "busybox", "targetContainerName": "nginx"}]),
    );
    assert_eq!(lab.converge(), ["mint Secret", "apply Pod", "patch host ephemeralcontainers"]);
    let host = lab.host().unwrap().value().clone();
    assert_eq!(host["spec"]["ephemeralContainers"][0]["targetContainerName"], "nginx");
    assert_eq!(variables(&host["spec"]["ephemeralContainers"][0])[0].0, "KUBERNETES_SERVICE_HOST");
}

#[test]
fn a_pod_is_created_when_its_gates_are_open_with_the_placement_that_it_was_given_until_then() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/schedulingGates", json!([{"name": "example.com/wait"}]));
    lab.edit("/status/conditions", json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]));
    assert_eq!(lab.converge(), [""; 0]);
    lab.edit("/spec/nodeSelector", json!({"pool": "spot"}));
    lab.edit("/spec/schedulingGates", Value::Null);
    assert_eq!(lab.converge(), ["mint Secret", "apply Pod"]);
    assert_eq!(lab.host().unwrap().at("/spec/nodeSelector"), Some(&json!({"pool": "spot"})));
}

/// The API server makes every port of such a pod one of the node.
#[test]
fn where_the_network_of_the_node_is_permitted_so_are_the_ports_that_come_with_it() {
    let lab = |port: i64| {
        let mut lab = Lab::fresh().facts(|facts| facts.policies.permit(kinds::POD, "spec.hostNetwork"));
        lab.edit("/spec/hostNetwork", json!(true));
        lab.edit("/spec/containers/0/ports", json!([{"containerPort": 9100, "hostPort": port}]));
        lab
    };
    let mut allowed = lab(9100);
    allowed.converge();
    assert_eq!(allowed.host().unwrap().at("/spec/containers/0/ports"), Some(&json!([{"containerPort": 9100}])));
    assert!(matches!(lab(80).reconcile(), Err(MapError::Refused(_))), "a port of its own choice");
}

#[test]
fn a_finished_or_deleted_pod_is_not_created() {
    for phase in ["Succeeded", "Failed"] {
        let mut lab = Lab::fresh();
        lab.edit("/status/phase", json!(phase));
        assert_eq!(lab.converge(), [""; 0]);
        assert!(lab.virt().is_some(), "it stays as history");
    }
    let mut lab = Lab::fresh();
    lab.delete(Side::Virtual, 30);
    assert_eq!(lab.planned(), ["delete virtual Pod 0"]);
}

#[test]
fn a_crash_between_two_writes_changes_nothing() {
    let whole = Lab::fresh().effects();
    assert_eq!(whole.len(), 2);
    // Both are sent at once: either may have arrived.
    for done in [&[][..], &[0], &[1], &[0, 1]] {
        let mut lab = Lab::fresh();
        for index in done {
            lab.perform(whole[*index].clone());
        }
        // A restart knows nothing but the two clusters.
        let mut written = lab.converge();
        written.sort_unstable();
        assert_eq!(written, ["apply Pod", "mint Secret"], "after {done:?}");
        assert!(lab.secret().is_some() && lab.host().is_some());
    }
}

#[test]
fn a_foreign_pod_under_our_name_is_left_alone() {
    let foreign = format!("kind: Pod\nmetadata: {{name: {}, namespace: team-a}}", super::lab::HOST_NAME);
    let mut lab = Lab::fresh().with(Side::Host, &foreign);
    assert!(matches!(lab.reconcile(), Err(MapError::Foreign { .. })));
    lab.clusters.put(Side::Virtual, json!({"kind": "Pod", "metadata": {"name": "other", "namespace": "shop"}}));
    assert!(lab.clusters.reconcile(&crate::PodMapper::new(), "shop", "other").is_ok());
}

#[test]
fn a_pod_is_bound_when_its_node_is_there() {
    let mut lab = Lab::created();
    lab.runs();
    lab.edit_host("/spec/nodeName", json!("node-2"));
    let outcome = lab.reconcile().unwrap();
    assert_eq!(outcome.wait, [Dependency::virt(kinds::NODE, &VirtualKey::new("", "node-2"))].into());
    assert!(outcome.stages.is_empty());
    lab.clusters.put(Side::Virtual, json!({"kind": "Node", "metadata": {"name": "node-2"}}));
    assert_eq!(lab.converge(), ["bind node-2", "patch virtual status"]);
    assert_eq!(lab.virt().unwrap().str_at("/status/podIP"), Some("10.1.0.7"));
}

use serde_json::{Value, json};
use tenet_mapper::translate::env::Variable;
use tenet_mapper::{Dependency, HostKey, MapError, Side, VirtualKey, kinds};

use super::lab::{Lab, expected_host};
use crate::pod::{Dns, Operator, Pods, Toleration, Tolerations};

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

/// The variables of the first container from Services.
fn variables(lab: &mut Lab) -> Vec<Variable> {
    lab.converge();
    lab.variables(lab.host().unwrap().at("/spec/containers/0").unwrap())
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
    let host_name = "kube-root-ca.crt-x-shop-x-vc-1";
    let copy = |source: &str| {
        format!(
            "kind: ConfigMap\nmetadata: {{name: {host_name}, namespace: team-a, annotations: {{tenet.sh/source: {source}}}}}"
        )
    };
    for (source, waits) in [("cm-1/2/x/-", true), ("cm-0/3/x/-", true), ("cm-1/33/x/-", true), ("cm-1/3/x/-", false)] {
        let mut lab = Lab::fresh().with(Side::Host, &copy(source));
        let outcome = lab.reconcile().unwrap();
        let host = tenet_mapper::HostKey::new("team-a", host_name);
        let expected = waits.then(|| Dependency::host(kinds::CONFIG_MAP, &host));
        assert_eq!(outcome.wait, expected.into_iter().collect(), "{source}");
        assert_eq!(outcome.stages.is_empty(), waits, "{source}");
        let late = "the ConfigMap kube-root-ca.crt is not on the host as it is inside; its events say why";
        assert_eq!(outcome.lasting, if waits { vec![late] } else { vec![] }, "{source}");
    }
}

#[test]
fn what_does_not_exist_inside_holds_no_pod_back() {
    let source = json!([{"secretRef": {"name": "later", "optional": true}}]);
    let host = with("/spec/containers/0/envFrom", source);
    assert_eq!(host["spec"]["containers"][0]["envFrom"][2]["secretRef"]["name"], "later-x-shop-x-vc-1");
}

/// The kubelet of the host would give it to the pod.
#[test]
fn a_foreign_object_with_the_name_of_content_that_is_missing_inside_blocks_the_pod() {
    let foreign = "kind: Secret\nmetadata: {name: later-x-shop-x-vc-1, namespace: team-a}";
    for optional in [true, false] {
        let mut lab = Lab::fresh().with(Side::Host, foreign);
        let source = json!([{"secretRef": {"name": "later", "optional": optional}}]);
        lab.edit("/spec/containers/0/envFrom", source);
        let Err(MapError::Foreign { object, .. }) = lab.reconcile() else { panic!("optional: {optional}") };
        assert_eq!(object, "Secret team-a/later-x-shop-x-vc-1 on the host");
        lab.clusters.vanish(kinds::SECRET, &HostKey::new("team-a", "later-x-shop-x-vc-1"));
        assert_eq!(lab.converge(), ["mint Secret", "apply Pod"]);
        let container = json!({"name": "debug", "image": "i", "envFrom": [{"secretRef": {"name": "later"}}]});
        let mut lab = Lab::running().with(Side::Host, foreign);
        lab.edit("/spec/ephemeralContainers", json!([container]));
        assert!(matches!(lab.reconcile(), Err(MapError::Foreign { .. })), "a container to debug with");
    }
}

#[test]
fn what_a_container_defines_comes_after_the_variables_of_services() {
    let mut lab = Lab::fresh()
        .with(
            Side::Virtual,
            "kind: Secret\nmetadata: {name: e, namespace: shop, uid: s, resourceVersion: '1'}\ndata: {WEB_PORT: aQ==}",
        )
        .with(
            Side::Host,
            "kind: Secret\nmetadata: {name: e-x-shop-x-vc-1, namespace: team-a, annotations: {tenet.sh/source: s/1/x}}",
        );
    let own =
        json!([{"name": "WEB_SERVICE_HOST", "value": "mine"}, {"name": "URL", "value": "http://$(WEB_SERVICE_HOST)"}]);
    lab.edit("/spec/containers/0/env", own.clone());
    lab.edit("/spec/containers/0/envFrom", json!([{"secretRef": {"name": "e"}}]));
    lab.converge();
    let names = lab.clusters.look(|cx| cx.facts().names.clone());
    let container = lab.host().unwrap().at("/spec/containers/0").unwrap();
    let of_services = |name: String| json!({"configMapRef": {"name": name, "optional": false}});
    assert_eq!(
        container["envFrom"],
        json!([
            of_services(names.api_env_name()),
            of_services(names.service_env_name("shop", 0)),
            {"secretRef": {"name": "e-x-shop-x-vc-1"}},
        ]),
        "a later source hides an earlier one"
    );
    assert_eq!(container["env"], own, "env hides both");
}

/// With `enableServiceLinks: true` a kubelet sets about 500 bytes for each Service, in each container.
#[test]
fn a_pod_does_not_grow_with_the_services_of_its_namespace() {
    let size = |services: usize| {
        let mut lab = Lab::fresh();
        for number in 0..services {
            let metadata = json!({"name": format!("svc-{number}"), "namespace": "shop"});
            let spec = json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80, "protocol": "TCP"}]});
            lab.clusters.put(Side::Virtual, json!({"kind": "Service", "metadata": metadata, "spec": spec}));
        }
        let containers: Vec<_> = (0..10).map(|n| json!({"name": format!("c{n}"), "image": "busybox"})).collect();
        lab.edit("/spec/containers", json!(containers));
        let found = variables(&mut lab);
        assert_eq!(found.iter().filter(|(name, _)| name.ends_with("_SERVICE_HOST")).count(), services + 2);
        lab.host().unwrap().value().to_string().len()
    };
    assert_eq!(size(0), size(400));
}

#[test]
fn the_first_pod_of_a_namespace_brings_the_variables_of_its_services() {
    let names = Lab::empty().clusters.look(|cx| cx.facts().names.clone());
    let mut lab = Lab::fresh();
    let pod = lab.virt().unwrap().value().clone();
    lab.clusters.put(Side::Virtual, json!({"kind": "Namespace", "metadata": {"name": "new", "uid": "ns-new"}}));
    for (key, value) in [
        ("/metadata/namespace", json!("new")),
        ("/spec/volumes", json!([])),
        ("/spec/containers/0/volumeMounts", json!([])),
    ] {
        let mut pod = lab
            .clusters
            .object(Side::Virtual, kinds::POD, "new", super::lab::NAME)
            .map_or_else(|| pod.clone(), |pod| pod.value().clone());
        tenet_mapper::pointer::set(&mut pod, key, value);
        lab.clusters.put(Side::Virtual, pod);
    }
    let outcome = lab.clusters.reconcile(&crate::PodMapper::new(), "new", super::lab::NAME).unwrap();
    let targets: Vec<_> = outcome.stages.iter().map(|stage| stage.0[0].effect.target().to_string()).collect();
    let map = format!("host ConfigMap team-a/{}", names.service_env_name("new", 0));
    assert_eq!(targets.len(), 2, "{targets:?}");
    assert_eq!(targets[0], map, "the pod comes after it");
}

#[test]
fn service_links_can_be_declined_and_the_api_server_stays() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/enableServiceLinks", json!(false));
    let env = variables(&mut lab);
    assert_eq!(env.len(), 8);
    assert!(env.contains(&("KUBERNETES_SERVICE_HOST".to_owned(), "10.96.0.20".to_owned())), "{env:?}");
}

#[test]
fn a_service_named_kubernetes_hides_the_api_server_from_its_namespace() {
    let own = "{kind: Service, metadata: {name: kubernetes, namespace: shop}, spec: {clusterIP: 10.9.9.9, ports: [{port: 80}]}}";
    let hosts = |lab: &mut Lab| {
        let found = variables(lab).into_iter().filter(|(name, _)| name == "KUBERNETES_SERVICE_HOST");
        found.map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&mut Lab::fresh().with(Side::Virtual, own)), ["10.9.9.9"]);
    let headless = own.replace("10.9.9.9", "None");
    assert_eq!(hosts(&mut Lab::fresh().with(Side::Virtual, &headless)), ["10.96.0.20"]);
    let mut declined = Lab::fresh().with(Side::Virtual, own);
    declined.edit("/spec/enableServiceLinks", json!(false));
    assert_eq!(hosts(&mut declined), ["10.96.0.20"]);
}

#[test]
fn the_api_server_is_where_the_host_says_and_else_where_it_says_itself() {
    let host = |spec: &str| format!("kind: Service\nmetadata: {{name: vc-1, namespace: team-a}}\nspec: {spec}");
    let inside = "kind: Service\nmetadata: {name: kubernetes, namespace: default}\nspec: {}";
    let address = |lab: &mut Lab| {
        let found = variables(lab).into_iter().find(|(name, _)| name == "KUBERNETES_SERVICE_HOST");
        found.unwrap().1
    };
    let mut lab = Lab::fresh().with(Side::Host, &host("{clusterIP: None}"));
    assert_eq!(address(&mut lab), "10.0.0.1");
    let mut lab = Lab::fresh()
        .facts(|facts| facts.api_service = "door".to_owned())
        .with(Side::Host, "kind: Service\nmetadata: {name: door, namespace: team-a}\nspec: {clusterIP: 10.96.0.30, ports: [{port: 6443}]}");
    assert_eq!(address(&mut lab), "10.96.0.30");
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

/// Argo CD prunes what carries its label, and an injector changes pods with its own.
#[test]
fn a_label_that_controllers_of_the_host_act_on_crosses_under_another_name_in_selectors_too() {
    const KEY: &str = "app.kubernetes.io/instance";
    const ON_HOST: &str = "labels.tenet/app.kubernetes.io_instance";
    let mut lab = Lab::fresh();
    lab.edit("/metadata/labels", json!({"app": "web", KEY: "prod", "sidecar.istio.io/inject": "true"}));
    let labels = json!({"matchLabels": {KEY: "prod"}, "matchExpressions": [{"key": KEY, "operator": "Exists"}]});
    let term = json!({"topologyKey": "zone", "labelSelector": labels, "matchLabelKeys": [KEY]});
    let spread =
        json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": labels}]);
    lab.edit("/spec/affinity", json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}));
    lab.edit("/spec/topologySpreadConstraints", spread);
    let field = |path: &str| json!([{"name": "F", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}]);
    lab.edit("/spec/containers/0/env", field(&format!("metadata.labels['{KEY}']")));
    lab.converge();
    let host = lab.host().unwrap();
    assert_eq!((host.label(KEY), host.label(ON_HOST)), (None, Some("prod")));
    assert_eq!((host.label("sidecar.istio.io/inject"), host.label("app")), (None, Some("web")));
    let spec = host.at("/spec").unwrap();
    let affinity = &spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    for selector in [&affinity["labelSelector"], &spec["topologySpreadConstraints"][0]["labelSelector"]] {
        assert_eq!(selector["matchLabels"], json!({ON_HOST: "prod"}));
        assert_eq!(selector["matchExpressions"][0]["key"], ON_HOST);
        assert!(!selector.to_string().contains(&format!("\"{KEY}\"")), "{selector}");
    }
    let path = &spec["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(path, &json!(format!("metadata.labels['{ON_HOST}']")));
    assert_eq!(lab.converge(), [""; 0]);
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
    let container = lab.host().unwrap().at("/spec/ephemeralContainers/0").unwrap();
    assert_eq!(container["targetContainerName"], "nginx");
    let variables = lab.variables(container);
    assert!(variables.iter().any(|(name, _)| name == "KUBERNETES_SERVICE_HOST"), "{variables:?}");
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
    assert_eq!(lab.converge(), ["bind node-2", "patch virtual status", "mint Secret"]);
    assert_eq!(lab.virt().unwrap().str_at("/status/podIP"), Some("10.1.0.7"));
}

/// Returns what the tenant is told about a pod after this change.
fn degraded(lab: &mut Lab) -> Vec<String> {
    assert_eq!(lab.converge()[..2], ["mint Secret", "apply Pod"]);
    lab.events.iter().map(|event| format!("{} {}", event.reason.as_str(), event.message)).collect()
}

#[test]
fn a_toleration_of_reserved_nodes_is_left_out_and_told() {
    let mut lab = Lab::fresh();
    let mut tolerations = lab.virt().unwrap().at("/spec/tolerations").unwrap().clone();
    let usual = tolerations.clone();
    let reserved =
        json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule", "operator": "Exists"});
    tolerations.as_array_mut().unwrap().push(reserved);
    lab.edit("/spec/tolerations", tolerations);
    let told = degraded(&mut lab);
    assert_eq!(lab.host().unwrap().at("/spec/tolerations"), Some(&usual));
    assert!(
        told[0].starts_with("SyncDegraded spec.tolerations: node-role.kubernetes.io/control-plane:NoSchedule"),
        "{told:?}"
    );
    assert_eq!(lab.converge(), [""; 0]);
}

#[test]
fn the_nodes_of_the_installation_are_those_of_every_pod() {
    let added = Toleration { key: Some("tenants".to_owned()), operator: Operator::Exists, ..Toleration::default() };
    let mut lab = Lab::fresh().section(Pods {
        tolerations: Tolerations { add: vec![added], ..Tolerations::default() },
        node_selector: [("pool".to_owned(), "tenants".to_owned())].into(),
        ..Pods::default()
    });
    lab.edit("/spec/tolerations", Value::Null);
    lab.edit("/spec/nodeSelector", json!({"pool": "reserved", "disk": "ssd"}));
    let told = degraded(&mut lab);
    let spec = &lab.host().unwrap().value()["spec"];
    assert_eq!(spec["tolerations"], json!([{"key": "tenants", "operator": "Exists"}]));
    assert_eq!(spec["nodeSelector"], json!({"pool": "tenants", "disk": "ssd"}));
    assert_eq!(told, ["SyncDegraded spec.nodeSelector: pool is tenants on the host, not reserved"]);
}

#[test]
fn no_pod_takes_longer_to_end_than_the_host_allows() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/terminationGracePeriodSeconds", json!(86_400));
    lab.edit("/spec/containers/0/lifecycle", json!({"preStop": {"sleep": {"seconds": 7200}}}));
    let told = degraded(&mut lab);
    let spec = &lab.host().unwrap().value()["spec"];
    assert_eq!(spec["terminationGracePeriodSeconds"], 3600);
    assert_eq!(spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 3600);
    assert_eq!(
        told,
        ["SyncDegraded spec.terminationGracePeriodSeconds: 86400 is 3600 on the host, \
          spec.containers[0].lifecycle.preStop.sleep.seconds: 7200 is 3600 on the host, \
          which is the longest grace period that pods.maxTerminationGracePeriod allows"]
    );
}

use serde_json::{Value, json};

use super::*;
use crate::bootstrap;
use crate::names::{INSTANCE, PART, PART_OF};
use crate::values::{Distro, ServiceType, StoreType};

fn rights() -> Rights {
    Rights::read(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: tenet-syncer-vc-1, namespace: \"team-a\" }
rules:
  - apiGroups: [\"\"]
    resources: [secrets]
    verbs: [get, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: \"tenet-syncer:team-a:vc-1\" }
rules:
  - apiGroups: [\"\"]
    resources: [nodes]
    verbs: [list]
",
    )
    .unwrap()
}

fn all(change: impl FnOnce(&mut Values)) -> Vec<Value> {
    let mut values = Values::default();
    change(&mut values);
    objects(&Installation { name: "vc-1", namespace: "team-a", values: &values, rights: &rights() })
}

fn of<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn containers(objects: &[Value]) -> Vec<Value> {
    let pod = &of(objects, "StatefulSet")[0]["spec"]["template"]["spec"];
    let lists = ["initContainers", "containers"].map(|field| pod[field].as_array().cloned().unwrap_or_default());
    lists.concat()
}

#[test]
fn every_object_carries_the_labels_of_the_installation() {
    for object in all(|values| values.rbac.cluster_role = true) {
        assert_eq!(object["metadata"]["labels"], json!({INSTANCE: "vc-1", PART_OF: PART}), "{object:#}");
        let is_namespaced = !object["kind"].as_str().unwrap().starts_with("Cluster");
        assert_eq!(object["metadata"]["namespace"].is_string(), is_namespaced, "{object:#}");
    }
}

#[test]
fn the_rights_of_the_syncer_hold_those_of_the_bootstrap() {
    let role = of(&all(|_| {}), "Role")[0].clone();
    assert_eq!(
        role["rules"],
        json!([
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "patch"]},
            {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "create"]},
        ])
    );
}

#[test]
fn rights_beyond_the_namespace_are_granted_only_on_demand() {
    assert_eq!(of(&all(|_| {}), "ClusterRole").len(), 0);
    let wide = all(|values| values.rbac.cluster_role = true);
    let binding = of(&wide, "ClusterRoleBinding")[0];
    assert_eq!(binding["roleRef"]["name"], "tenet-syncer:team-a:vc-1");
    assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": "vc-vc-1", "namespace": "team-a"}]));
}

#[test]
fn what_is_read_in_another_namespace_is_granted_there() {
    let elsewhere = "---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: 'tenet-syncer:team-a:vc-1', namespace: shared }
rules:
  - apiGroups: ['']
    resources: [services]
    verbs: [get, list, watch]
";
    let own = "apiVersion: v1\nkind: Role\nmetadata: {name: tenet-syncer-vc-1, namespace: team-a}\nrules: []\n";
    let rights = Rights::read(&format!("{own}{elsewhere}")).unwrap();
    let values = Values::default();
    let all = objects(&Installation { name: "vc-1", namespace: "team-a", values: &values, rights: &rights });
    let (roles, bindings) = (of(&all, "Role"), of(&all, "RoleBinding"));
    let places: Vec<_> = roles.iter().map(|role| role["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(places, ["team-a", "shared"]);
    assert_eq!(roles[1]["rules"][0]["verbs"], json!(["get", "list", "watch"]), "nothing of the bootstrap");
    assert_eq!(roles[1]["metadata"]["labels"]["tenet.sh/control-plane-namespace"], "team-a");
    assert_eq!(bindings[1]["metadata"], roles[1]["metadata"]);
    assert_eq!(bindings[1]["roleRef"]["name"], "tenet-syncer:team-a:vc-1");
    assert_eq!(bindings[1]["subjects"][0]["namespace"], "team-a");
}

#[test]
fn only_two_containers_have_the_token_of_the_host() {
    let with_token: Vec<Value> = containers(&all(|_| {}))
        .iter()
        .filter(|container| container["volumeMounts"].to_string().contains("host-token"))
        .map(|container| container["name"].clone())
        .collect();
    assert_eq!(with_token, ["bootstrap", "syncer"]);
}

#[test]
fn the_programs_start_in_the_order_in_which_they_need_each_other() {
    let containers = containers(&all(|_| {}));
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    assert_eq!(names, ["bootstrap", "kine", "kube-apiserver", "kube-controller-manager", "syncer"]);
    let sidecars: Vec<bool> = containers.iter().map(|container| container["restartPolicy"] == "Always").collect();
    assert_eq!(sidecars, [false, true, true, false, false]);
}

#[test]
fn no_container_can_gain_rights() {
    let of_store = [StoreType::Sqlite, StoreType::Etcd, StoreType::Sql, StoreType::External]
        .map(|store| all(|values| values.store.r#type = store));
    let of_distro = [Distro::K3s, Distro::K0s].map(|distro| all(|values| values.distro = distro));
    for objects in of_store.into_iter().chain(of_distro) {
        for container in containers(&objects) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{container:#}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{container:#}");
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{container:#}");
        }
    }
}

#[test]
fn a_store_has_its_program_and_a_volume_only_when_it_keeps_data() {
    for (store, program, volumes) in
        [(StoreType::Sqlite, "kine", 1), (StoreType::Etcd, "etcd", 1), (StoreType::Sql, "kine", 0)]
    {
        let objects = all(|values| values.store.r#type = store);
        assert_eq!(containers(&objects)[1]["name"], program);
        let templates = &of(&objects, "StatefulSet")[0]["spec"]["volumeClaimTemplates"];
        assert_eq!(templates.as_array().map_or(0, Vec::len), volumes, "{store:?}");
    }
}

#[test]
fn an_etcd_that_exists_has_no_program_in_the_pod_and_gives_its_certificates_to_the_api_server() {
    let objects = all(|values| {
        values.store.r#type = StoreType::External;
        values.store.external.endpoints = vec!["https://a:2379".to_owned(), "https://b:2379".to_owned()];
        "etcd".clone_into(&mut values.store.external.secret);
    });
    let containers = containers(&objects);
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    assert_eq!(names, ["bootstrap", "kube-apiserver", "kube-controller-manager", "syncer"]);
    let command = containers[1]["command"].to_string();
    for flag in [
        "--etcd-servers=https://a:2379,https://b:2379",
        "--etcd-prefix=/tenet/team-a/vc-1",
        "--etcd-cafile=/etc/store/ca.crt",
    ] {
        assert!(command.contains(flag), "{flag}: {command}");
    }
    let mounted = |container: &&Value| container["volumeMounts"].to_string().contains("/etc/store");
    assert_eq!(containers.iter().filter(mounted).count(), 1);
    assert!(of(&objects, "StatefulSet")[0]["spec"]["volumeClaimTemplates"].is_null());
}

#[test]
fn a_distro_of_one_program_replaces_store_api_server_and_controllers() {
    for (distro, name) in [(Distro::K3s, "k3s"), (Distro::K0s, "k0s")] {
        for (store, claims) in [(StoreType::Sqlite, 1), (StoreType::Sql, 0)] {
            let objects = all(|values| {
                values.distro = distro;
                values.store.r#type = store;
            });
            let containers = containers(&objects);
            let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
            assert_eq!(names, ["bootstrap", name, "syncer"]);
            assert_eq!(containers[1]["ports"][0]["containerPort"], 8443);
            assert_eq!(containers[1]["restartPolicy"], "Always");
            let arguments = containers[0]["args"].to_string();
            assert!(arguments.contains(&format!("--distro={name}")), "{arguments}");
            let set = of(&objects, "StatefulSet")[0];
            assert_eq!(set["spec"]["volumeClaimTemplates"].as_array().map_or(0, Vec::len), claims);
            // Either the claim or an empty folder.
            let volumes = set["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
            assert_eq!(volumes.iter().filter(|volume| volume["name"] == "data").count(), 1 - claims);
            let file = format!("{name}.yaml");
            assert!(objects.iter().any(|object| object["data"][&file].is_string()), "{file}");
        }
    }
}

#[test]
fn a_node_port_is_set_only_on_a_service_that_has_one() {
    let service = |r#type| {
        let objects = all(|values| {
            values.expose.r#type = r#type;
            values.expose.node_port = Some(30443);
        });
        of(&objects, "Service")[0].clone()
    };
    assert_eq!(service(ServiceType::NodePort)["spec"]["ports"][0]["nodePort"], 30443);
    assert!(service(ServiceType::ClusterIP)["spec"]["ports"][0]["nodePort"].is_null());
}

#[test]
fn names_of_the_api_server_reach_the_bootstrap_and_the_syncer() {
    let objects =
        all(|values| values.syncer.extra_args = vec!["--tls-san=a,b".to_owned(), "--log-level=debug".to_owned()]);
    let containers = containers(&objects);
    let has = |name: &str, flag: &str| {
        let container = containers.iter().find(|container| container["name"] == name).unwrap();
        container["args"].as_array().unwrap().iter().any(|arg| arg == flag)
    };
    assert!(has("bootstrap", "--tls-san=a,b") && has("syncer", "--tls-san=a,b") && has("syncer", "--log-level=debug"));
    assert!(!has("bootstrap", "--log-level=debug"), "the bootstrap has no such flag");
}

#[test]
fn the_configuration_of_the_syncer_holds_what_the_installation_adds() {
    let mut values = Values::default();
    values.syncer.config.insert("unknownFields".to_owned(), json!("drop"));
    let config: Value = serde_saphyr::from_str(&syncer_config("vc-1", "team-a", &values)).unwrap();
    assert_eq!(config["host"]["namespace"], "team-a");
    assert_eq!(config["unknownFields"], "drop");
}

#[test]
fn metrics_are_reachable_only_when_they_are_scraped_and_only_for_the_scraper() {
    let reachable = |objects: &[Value]| {
        let policy = of(objects, "NetworkPolicy")[0].clone();
        policy["spec"]["ingress"].as_array().unwrap().iter().find(|rule| rule["ports"][0]["port"] == 9090).cloned()
    };
    assert_eq!(reachable(&all(|_| {})), None);
    let scraped = all(|values| values.monitoring.service_monitor = true);
    let namespace = json!({"kubernetes.io/metadata.name": "monitoring"});
    assert_eq!(reachable(&scraped).unwrap()["from"], json!([{"namespaceSelector": {"matchLabels": namespace}}]));
    let ports = |objects: &[Value], name: &str| {
        let service = of(objects, "Service").into_iter().find(|it| it["metadata"]["name"] == name).unwrap().clone();
        service["spec"]["ports"].as_array().unwrap().iter().filter(|port| port["name"] == "metrics").count()
    };
    assert_eq!((ports(&scraped, "vc-1"), ports(&scraped, "vc-1-headless")), (0, 1));
    assert_eq!(of(&scraped, "ServiceMonitor")[0]["spec"]["endpoints"], json!([{"port": "metrics"}]));
}

#[test]
fn alerts_and_dashboard_are_those_of_the_virtual_cluster() {
    let objects = all(|values| {
        values.monitoring.rules = true;
        values.monitoring.dashboard = true;
        values.monitoring.labels.insert("release".to_owned(), "prometheus".to_owned());
        values.monitoring.labels.insert(PART_OF.to_owned(), "other".to_owned());
    });
    let rules = of(&objects, "PrometheusRule")[0];
    let alerts = rules["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert!(alerts.len() > 10, "{rules:#}");
    for alert in alerts {
        let query = alert["expr"].as_str().unwrap();
        assert!(query.contains(r#"{namespace="team-a",service="vc-1-headless"}"#), "{query}");
        assert!(alert["annotations"]["description"].as_str().is_some_and(|text| text.len() > 40), "{alert:#}");
    }
    assert_eq!(rules["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(rules["metadata"]["labels"][PART_OF], PART, "labels of the installation win");
    let map = objects.iter().find(|object| object["metadata"]["name"] == "vc-1-dashboard").unwrap();
    let dashboard: Value = serde_json::from_str(map["data"]["tenet-vc-1.json"].as_str().unwrap()).unwrap();
    assert_eq!(dashboard["title"], "Tenet team-a/vc-1");
    assert!(!dashboard.to_string().contains('@') && !rules.to_string().contains('@'));
}

#[test]
fn workloads_elsewhere_get_a_role_and_a_service_of_their_own() {
    let objects = all(|values| {
        values.workload_namespace = Some("tenant".to_owned());
        values.rbac.cluster_role = true;
    });
    let there: Vec<String> = objects
        .iter()
        .filter(|object| object["metadata"]["namespace"] == "tenant")
        .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', ""))
        .collect();
    assert_eq!(there, ["Role tenet-syncer-vc-1", "RoleBinding tenet-syncer-vc-1", "Service vc-1"]);
    for binding in of(&objects, "RoleBinding").into_iter().chain(of(&objects, "ClusterRoleBinding")) {
        let account = json!([{"kind": "ServiceAccount", "name": "vc-vc-1", "namespace": "team-a"}]);
        assert_eq!(binding["subjects"], account, "{binding:#}");
    }
    let of_namespace = |kind: &str, namespace: &str| {
        of(&objects, kind).into_iter().find(|it| it["metadata"]["namespace"] == namespace).unwrap().clone()
    };
    assert_eq!(of_namespace("Role", "team-a")["rules"].as_array().map(Vec::len), Some(bootstrap::RIGHTS.len()));
    let service = of_namespace("Service", "tenant");
    assert!(service["spec"]["selector"].is_null(), "{service:#}");
    assert_eq!(service["metadata"]["labels"][CONTROL_PLANE_NAMESPACE], "team-a");
    let values = Values { workload_namespace: Some("tenant".to_owned()), ..Values::default() };
    let config: Value = serde_saphyr::from_str(&syncer_config("vc-1", "team-a", &values)).unwrap();
    assert_eq!((&config["host"]["namespace"], &config["kubelet"]["addresses"]), (&json!("tenant"), &json!("loopback")));
    for container in
        containers(&objects).iter().filter(|it| ["bootstrap", "syncer"].contains(&it["name"].as_str().unwrap()))
    {
        let args = container["args"].to_string();
        assert!(args.contains("--host-namespace=tenant\",\"--control-plane-namespace=team-a"), "{args}");
        assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "status.podIPs");
    }
}

#[test]
fn the_namespace_of_the_control_plane_is_no_other_one() {
    assert_eq!(all(|values| values.workload_namespace = Some("team-a".to_owned())), all(|_| {}));
}

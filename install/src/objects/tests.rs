use serde_json::{Value, json};

use super::*;
use crate::names::{INSTANCE, PART, PART_OF};
use crate::values::{ServiceType, StoreType};

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
    for store in [StoreType::Sqlite, StoreType::Etcd, StoreType::Sql] {
        for container in containers(&all(|values| values.store.r#type = store)) {
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

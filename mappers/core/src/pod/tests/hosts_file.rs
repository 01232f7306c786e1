use serde_json::{Value, json};

use super::lab::Lab;
use crate::pod::level;
use crate::{HostsFile, Pods};

const NAME: &str = "tenet-hosts";

/// A pod with a long name, in an installation that writes it.
fn named() -> Lab {
    let mut lab = Lab::fresh().section(Pods { hosts_file: Some(HostsFile::default()), ..Pods::default() });
    lab.edit("/spec/hostname", json!("web-0"));
    lab.edit("/spec/subdomain", json!("web"));
    lab
}

/// The host pod, and whether it has the container.
fn host(lab: &mut Lab) -> (Value, bool) {
    lab.converge();
    let host = lab.host().unwrap().value().clone();
    let has = host.pointer("/spec/initContainers/0/name").is_some_and(|name| name == NAME);
    (host, has)
}

#[test]
fn a_container_puts_the_long_name_into_the_file_that_all_others_mount() {
    let mut lab = named();
    lab.edit("/spec/initContainers", json!([{"name": "first", "image": "i"}]));
    let (host, has) = host(&mut lab);
    assert!(has, "{host:#}");
    let first = &host["spec"]["initContainers"][0];
    assert_eq!(
        first["env"],
        json!([{"name": "SHORT", "value": "web-0"}, {"name": "LONG", "value": "web-0.web.shop.svc.cluster.local"}])
    );
    assert_eq!(first["volumeMounts"], json!([{"name": NAME, "mountPath": "/tenet"}]));
    let mount = json!({"name": NAME, "mountPath": "/etc/hosts", "subPath": "hosts"});
    for container in [&host["spec"]["initContainers"][1], &host["spec"]["containers"][0]] {
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.last(), Some(&mount), "{}", container["name"]);
        assert_eq!(container["envFrom"].as_array().map(Vec::len), Some(2), "it has its variables as well");
    }
    assert_eq!(host["spec"]["volumes"][0], json!({"name": NAME, "emptyDir": {"sizeLimit": "1Mi"}}));
    assert_eq!(level::restricted(&json!({"spec": {"initContainers": [first]}})), []);
    assert_eq!(first["securityContext"]["runAsUser"], 65534);
    assert_eq!(lab.converge(), [""; 0]);
}

#[test]
fn the_container_needs_what_the_pod_needs() {
    let mut lab = named();
    let resources = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
    lab.edit("/spec/containers/0/resources", resources.clone());
    lab.edit("/spec/securityContext", json!({"runAsUser": 1000}));
    let (host, _) = host(&mut lab);
    let first = &host["spec"]["initContainers"][0];
    assert_eq!(first["resources"], resources, "a guaranteed pod stays one");
    assert_eq!(first["securityContext"]["runAsUser"], 1000);
}

#[test]
fn a_pod_without_another_long_name_or_with_its_own_file_stays_as_it_is() {
    let mut off = named().section(Pods::default());
    assert!(!host(&mut off).1, "it is off by default");
    for (field, value) in [
        ("subdomain", Value::Null),
        ("setHostnameAsFQDN", json!(true)),
        ("hostnameOverride", json!("other")),
        ("os", json!({"name": "windows"})),
    ] {
        let mut lab = named();
        lab.edit(&format!("/spec/{field}"), value);
        assert!(!host(&mut lab).1, "{field}");
    }
    let mut own = named();
    let mounts = json!([{"name": "kube-api-access-zx9tq", "mountPath": "/etc/hosts"}]);
    own.edit("/spec/containers/0/volumeMounts", mounts.clone());
    assert_eq!(host(&mut own).0["spec"]["containers"][0]["volumeMounts"], mounts);
}

#[test]
fn a_pod_that_uses_the_name_of_the_container_is_told() {
    let mut lab = named();
    lab.edit("/spec/initContainers", json!([{"name": NAME, "image": "i"}]));
    let (host, _) = host(&mut lab);
    assert_eq!(host["spec"]["initContainers"].as_array().map(Vec::len), Some(1));
    let told: Vec<_> = lab.events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(told, ["spec.subdomain: the pod uses the name tenet-hosts, so /etc/hosts has the short name alone"]);
}

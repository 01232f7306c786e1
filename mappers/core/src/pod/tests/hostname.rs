//! Hostnames, as a container sees them.

use serde_json::{Value, json};
use tenet_mapper::{MapError, Side, VirtualKey, kinds};

use super::lab::Lab;
use crate::PodMapper;

/// Returns `hostname`, `hostnameOverride` and `setHostnameAsFQDN` of the host pod of a pod with this name and spec.
fn names(name: &str, spec: &Value) -> Result<[Value; 3], MapError> {
    let mut lab = Lab::empty();
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (field, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    lab.clusters.put(Side::Virtual, pod);
    lab.clusters.converge(&PodMapper::new(), "shop", name)?;
    let key = lab.clusters.look(|cx| cx.host_key(kinds::POD, &VirtualKey::new("shop", name)));
    let host = lab.clusters.object(Side::Host, kinds::POD, key.namespace(), key.name()).unwrap().value();
    Ok(["hostname", "hostnameOverride", "setHostnameAsFQDN"].map(|field| host["spec"][field].clone()))
}

#[test]
fn a_hostname_with_dots_crosses_as_an_override() {
    let long = json!({"hostname": "web-0", "subdomain": "web", "setHostnameAsFQDN": true});
    for (name, spec, expected) in [
        ("web", json!({}), [json!("web"), Value::Null, Value::Null]),
        ("web.1", json!({}), [json!("web-1"), json!("web.1"), Value::Null]),
        ("web.1", json!({"hostname": "own"}), [json!("own"), Value::Null, Value::Null]),
        ("web", json!({"hostnameOverride": "a.b"}), [json!("web"), json!("a.b"), Value::Null]),
        ("x", long, [json!("web-0"), json!("web-0.web.shop.svc.cluster.local"), Value::Null]),
        ("web", json!({"setHostnameAsFQDN": true}), [json!("web"), Value::Null, Value::Null]),
        ("web", json!({"setHostnameAsFQDN": false, "subdomain": "s"}), [json!("web"), Value::Null, Value::Null]),
    ] {
        assert_eq!(names(name, &spec).unwrap(), expected, "{name} {spec}");
    }
}

/// An API server removes fields that it does not serve.
#[test]
fn a_hostname_that_the_host_does_not_serve_is_told() {
    for (spec, is_served, is_told) in [
        (json!({"setHostnameAsFQDN": true, "subdomain": "s", "hostname": "web"}), false, true),
        (json!({"setHostnameAsFQDN": true, "subdomain": "s", "hostname": "web"}), true, false),
        (json!({"hostnameOverride": "other"}), false, true),
        (json!({}), false, false),
    ] {
        let mut lab = Lab::fresh();
        for (field, value) in spec.as_object().into_iter().flatten() {
            lab.edit(&format!("/spec/{field}"), value.clone());
        }
        lab.converge();
        if !is_served {
            lab.edit_host("/spec/hostnameOverride", Value::Null);
        }
        lab.events.clear();
        lab.runs();
        lab.converge();
        let told = lab.events.iter().filter(|event| event.message.starts_with("spec.hostnameOverride")).count();
        assert_eq!(told, usize::from(is_told), "{spec} {is_served}");
    }
}

#[test]
fn a_long_name_that_no_node_can_set_is_refused() {
    let spec = json!({"subdomain": "s".repeat(40), "setHostnameAsFQDN": true});
    let error = names("web", &spec).unwrap_err().to_string();
    assert!(error.contains("spec.setHostnameAsFQDN") && error.contains("more than 64 characters"), "{error}");
}

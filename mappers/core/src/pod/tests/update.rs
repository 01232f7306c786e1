use serde_json::{Value, json};
use tenet_mapper::{Effect, EventReason, MapError};

use super::lab::Lab;
use crate::pod::{Pods, Tolerations};

/// A running pod on a host that lets tenants tolerate this taint.
fn tolerant(key: &str) -> Lab {
    let tolerations = Tolerations { allow: vec![key.to_owned()], ..Tolerations::default() };
    Lab::running().section(Pods { tolerations, ..Pods::default() })
}

/// The bodies that a reconcile sends to the host.
fn patches(lab: &mut Lab) -> Vec<(Option<&'static str>, Value)> {
    let effects = lab.effects().into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::PatchHost(patch) => Some((patch.subresource, patch.body)),
            _ => None,
        })
        .collect()
}

fn spec(lab: &mut Lab) -> Value {
    patches(lab).first().map(|(_, body)| body["spec"].clone()).unwrap_or_default()
}

#[test]
fn labels_and_annotations_follow_and_those_of_others_stay() {
    let mut lab = Lab::running();
    lab.edit_host("/metadata/labels/mesh", json!("on"));
    lab.edit("/metadata/labels", json!({"app": "web", "tier": "front"}));
    assert_eq!(lab.converge(), ["patch host pod"]);
    let labels = lab.host().unwrap().labels();
    assert_eq!(labels.get("tier").map(String::as_str), Some("front"));
    assert_eq!(labels.get("mesh").map(String::as_str), Some("on"));
    assert_eq!(labels.get("pod-template-hash"), None);
    assert_eq!(labels.get("tenet.sh/managed-by").map(String::as_str), Some("vc-1"));
}

#[test]
fn what_the_downward_api_shows_follows() {
    let mut lab = Lab::fresh();
    let item = |path: &str, field: &str| json!({"path": path, "fieldRef": {"fieldPath": field}});
    let items = json!([item("all", "metadata.annotations"), item("one", "metadata.annotations['note']")]);
    lab.edit("/spec/volumes", json!([{"name": "v", "downwardAPI": {"items": items}}]));
    lab.edit("/metadata/annotations", json!({"note": "a"}));
    lab.converge();
    let value = |lab: &Lab| {
        let annotations = lab.host().unwrap().annotations();
        let one =
            annotations.iter().find(|(key, _)| key.starts_with("tenet.sh/value-")).map(|(_, value)| value.clone());
        (annotations["tenet.sh/annotations"].clone(), one)
    };
    assert_eq!(value(&lab), ("note=\"a\"".to_owned(), Some("a".to_owned())));
    lab.edit("/metadata/annotations", json!({"note": "b"}));
    assert_eq!(lab.converge(), ["patch host pod"]);
    assert_eq!(value(&lab), ("note=\"b\"".to_owned(), Some("b".to_owned())));
    lab.edit("/metadata/annotations", json!({}));
    assert_eq!(lab.converge(), ["patch host pod"]);
    assert_eq!(value(&lab), (String::new(), None));
}

#[test]
fn an_image_that_the_tenant_changes_follows() {
    let mut lab = Lab::running();
    lab.edit("/spec/containers/0/image", json!("nginx:1.28"));
    assert_eq!(spec(&mut lab), json!({"containers": [{"name": "nginx", "image": "nginx:1.28"}]}));
    assert_eq!(lab.converge(), ["patch host pod"]);
    assert_eq!(lab.host().unwrap().str_at("/spec/containers/0/image"), Some("nginx:1.28"));
}

#[test]
fn what_the_host_makes_of_a_pod_is_not_fought() {
    let mut lab = tolerant("mine");
    lab.edit_host("/spec/containers/0/image", json!("mirror/nginx:1.27"));
    lab.edit_host("/spec/containers/0/resources", json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}));
    lab.edit_host("/spec/activeDeadlineSeconds", json!(60));
    lab.edit_host("/spec/schedulingGates", json!([{"name": "queue.example/admission"}]));
    lab.edit_host("/spec/tolerations", json!([{"key": "added", "operator": "Exists"}]));
    assert_eq!(lab.converge(), [""; 0]);
    // A change inside carries what has changed, and nothing else.
    lab.edit("/spec/tolerations", json!([{"key": "mine", "operator": "Exists"}]));
    let expected = json!([{"key": "added", "operator": "Exists"}, {"key": "mine", "operator": "Exists"}]);
    assert_eq!(spec(&mut lab), json!({"tolerations": expected}));
    assert_eq!(lab.converge(), ["patch host pod"]);
}

#[test]
fn tolerations_are_added_or_given_another_time() {
    let mut lab = tolerant("spot");
    let mut wanted = lab.virt().unwrap().at("/spec/tolerations").unwrap().clone();
    wanted[0]["tolerationSeconds"] = json!(5);
    wanted.as_array_mut().unwrap().push(json!({"key": "spot", "operator": "Exists"}));
    lab.edit("/spec/tolerations", wanted.clone());
    lab.converge();
    assert_eq!(lab.host().unwrap().at("/spec/tolerations"), Some(&wanted));
}

#[test]
fn a_toleration_that_is_added_later_is_judged_like_that_of_a_new_pod() {
    let mut lab = tolerant("spot");
    let mut wanted = lab.virt().unwrap().at("/spec/tolerations").unwrap().clone();
    let crossing = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoSchedule"});
    let added = ["dedicated", "node.kubernetes.io/not-ready"].map(crossing);
    wanted.as_array_mut().unwrap().extend(added);
    lab.edit("/spec/tolerations", wanted.clone());
    assert_eq!(lab.converge(), ["patch host pod", "SyncDegraded"]);
    wanted.as_array_mut().unwrap().remove(2);
    assert_eq!(lab.host().unwrap().at("/spec/tolerations"), Some(&wanted));
    let told = &lab.events[0].message;
    assert!(told.starts_with("spec.tolerations: dedicated:NoSchedule left out: "), "{told}");
}

#[test]
fn a_deadline_comes_nearer() {
    for (host, virt, expected) in [
        (Value::Null, json!(60), json!({"activeDeadlineSeconds": 60})),
        (json!(90), json!(60), json!({"activeDeadlineSeconds": 60})),
        (json!(30), json!(60), Value::Null),
    ] {
        let mut lab = Lab::running();
        if !host.is_null() {
            lab.edit_host("/spec/activeDeadlineSeconds", host);
        }
        lab.edit("/spec/activeDeadlineSeconds", virt);
        assert_eq!(spec(&mut lab), expected);
    }
}

#[test]
fn a_resize_follows_and_what_the_host_filled_in_stays() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/containers/0/resources", json!({"requests": {"cpu": "100m"}}));
    lab.converge();
    lab.edit_host("/spec/containers/0/resources", json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}));
    assert_eq!(lab.converge(), [""; 0]);
    lab.edit("/spec/containers/0/resources", json!({"requests": {"cpu": "200m"}}));
    let resized = json!({"spec": {"containers": [{"name": "nginx", "resources": {"requests": {"cpu": "200m"}}}]}});
    assert_eq!(patches(&mut lab), [(Some("resize"), resized)]);
    assert_eq!(lab.converge(), ["patch host resize", "patch host pod"], "recorded when it is done");
    assert_eq!(
        lab.host().unwrap().at("/spec/containers/0/resources"),
        Some(&json!({"requests": {"cpu": "200m"}, "limits": {"cpu": "1"}}))
    );
    lab.edit("/spec/resources", json!({"limits": {"memory": "1Gi"}}));
    assert_eq!(lab.converge(), ["patch host resize", "patch host pod"]);
}

#[test]
fn a_resize_that_the_host_rejects_holds_nothing_else_back() {
    let mut lab = Lab::running();
    lab.edit("/spec/containers/0/resources", json!({"requests": {"cpu": "64"}}));
    lab.edit("/metadata/labels/tier", json!("front"));
    assert_eq!(lab.planned(), ["patch host pod", "patch host resize"]);
    let patch = patches(&mut lab).remove(0).1;
    assert!(!patch.to_string().contains("resources"), "it will be tried again: {patch}");
}

#[test]
fn containers_to_debug_with_are_added_and_looked_at() {
    let mut lab = Lab::running();
    lab.edit("/spec/ephemeralContainers", json!([{"name": "debug", "image": "busybox"}]));
    assert_eq!(lab.converge(), ["patch host ephemeralcontainers"]);
    let two = json!([{"name": "debug", "image": "busybox"},
                     {"name": "root", "image": "busybox", "securityContext": {"privileged": true}}]);
    lab.edit("/spec/ephemeralContainers", two);
    lab.edit_host("/status/podIP", json!("10.1.0.8"));
    let outcome = lab.reconcile().unwrap();
    let effects = outcome.effects();
    let [Effect::PatchVirtual(_)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(
        MapError::Refused(outcome.refused).to_string(),
        "spec.ephemeralContainers[1].securityContext.privileged: gives the container every right on the node"
    );
}

/// A refused container stays in the virtual pod forever, and a field that was permitted once may be
/// refused by now: neither stands in the way of another container.
#[test]
fn a_container_to_debug_with_is_judged_alone() {
    let mut lab = Lab::running();
    lab.edit("/spec/hostPID", json!(true));
    let refused = json!({"name": "root", "image": "busybox", "securityContext": {"privileged": true}});
    let fine = json!({"name": "debug", "image": "busybox", "envFrom": [{"secretRef": {"name": "s"}}]});
    lab.edit("/spec/ephemeralContainers", json!([refused, fine]));
    let planned = lab.planned();
    assert_eq!(planned, ["patch host ephemeralcontainers", EventReason::Refused.as_str()]);
    let added = patches(&mut lab).remove(0).1["spec"]["ephemeralContainers"].clone();
    assert_eq!(added.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&added[0]["name"], &added[0]["envFrom"][2]["secretRef"]["name"]),
        (&json!("debug"), &json!("s-x-shop-x-vc-1"))
    );
}

#[test]
fn a_change_of_what_is_refused_now_is_no_reason_to_stop_what_runs() {
    let mut lab = Lab::running();
    lab.edit("/spec/hostPID", json!(true));
    assert_eq!(lab.converge(), [""; 0]);
}

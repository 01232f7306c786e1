use serde_json::{Value, json};
use tenet_mapper::{Dependency, EventReason, Kind, MapError, Next, Side};

use super::lab::{Lab, SECRET_NAME};

const KIND: Kind = Kind::of("certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles").cluster_scoped();
const NOTHING: &str = "";

fn pem(body: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn bundle(name: &str, signer: &str, labels: &Value, body: &str) -> Value {
    json!({"apiVersion": "certificates.k8s.io/v1", "kind": KIND.kind, "metadata": {"name": name, "labels": labels},
        "spec": {"signerName": signer, "trustBundle": pem(body)}})
}

/// A fresh pod with these sources, in place of its token.
fn with_sources(sources: Value) -> Lab {
    let mut lab = Lab::fresh();
    lab.edit("/spec/volumes/0/projected/sources", sources);
    lab
}

fn root(lab: &mut Lab, body: &str) {
    lab.clusters.put(Side::Virtual, bundle("root", "", &json!({}), body));
}

/// The files in the Secret beside the pod, by their keys.
fn files(lab: &Lab) -> Vec<(String, String)> {
    use base64::Engine as _;
    let data = lab.secret().unwrap().at("/data").and_then(Value::as_object).unwrap().clone();
    let decode = |value: &Value| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    data.iter().map(|(key, value)| (key.clone(), decode(value))).collect()
}

#[test]
fn a_bundle_is_a_file_in_the_secret_of_the_pod_and_follows_changes() {
    let mut lab = with_sources(json!([{"clusterTrustBundle": {"name": "root", "path": "ca.pem"}}]));
    root(&mut lab, "QUE=");
    lab.converge();
    let key = "kube-api-access-zx9tq.0";
    let source = json!({"secret": {"name": SECRET_NAME, "items": [{"key": key, "path": "ca.pem", "mode": 0o644}]}});
    assert_eq!(lab.host().unwrap().at("/spec/volumes/0/projected/sources/0"), Some(&source));
    assert_eq!(files(&lab), [(key.to_owned(), pem("QUE="))]);

    lab.runs();
    lab.converge();
    let rest = lab.reconcile().unwrap();
    assert!(rest.effects().is_empty() && rest.next == Next::Done, "a bundle does not expire: {rest:?}");
    assert!(rest.wait.contains(&Dependency::Any(Side::Virtual, KIND)), "{:?}", rest.wait);
    root(&mut lab, "QkI=");
    assert_eq!(lab.converge(), ["mint Secret"]);
    assert_eq!(files(&lab), [(key.to_owned(), pem("QkI="))]);
    assert_eq!(lab.planned(), [NOTHING; 0]);
}

#[test]
fn bundles_of_a_signer_are_joined() {
    let signer = "example.com/mesh";
    let selector = json!({"matchLabels": {"stage": "live"}});
    let mut lab = with_sources(
        json!([{"clusterTrustBundle": {"signerName": signer, "labelSelector": selector, "path": "ca.pem"}}]),
    );
    for (name, signer, stage, body) in [
        ("example.com:mesh:a", signer, "live", "QUE="),
        ("example.com:mesh:b", signer, "live", "QkI="),
        ("example.com:mesh:c", signer, "test", "Q0M="),
        ("example.com:other:d", "example.com/other", "live", "REQ="),
    ] {
        lab.clusters.put(Side::Virtual, bundle(name, signer, &json!({"stage": stage}), body));
    }
    lab.converge();
    assert_eq!(files(&lab)[0].1, format!("{}{}", pem("QUE="), pem("QkI=")));
}

#[test]
fn the_containers_of_a_pod_wait_for_a_bundle_unless_it_is_optional() {
    let source =
        |optional: bool| json!([{"clusterTrustBundle": {"name": "root", "path": "ca.pem", "optional": optional}}]);
    let mut lab = with_sources(source(false));
    for effect in lab.effects() {
        lab.perform(effect);
    }
    assert_eq!(std::mem::take(&mut lab.written), ["mint Secret", "apply Pod", "SyncDegraded"]);
    let told = "the ClusterTrustBundle root does not exist; the containers of the pod wait for it";
    assert_eq!((lab.events[0].reason, lab.events[0].message.as_str()), (EventReason::Degraded, told));
    assert_eq!(files(&lab), [], "the kubelet waits for the content");
    let waiting = lab.reconcile().unwrap();
    assert!(waiting.wait.contains(&Dependency::Any(Side::Virtual, KIND)), "{:?}", waiting.wait);
    root(&mut lab, "QUE=");
    assert_eq!(lab.converge(), ["mint Secret"]);
    assert_eq!(files(&lab)[0].1, pem("QUE="));

    let mut lab = with_sources(source(true));
    lab.converge();
    assert_eq!(files(&lab)[0].1, NOTHING, "the file is there, and empty");
    assert_eq!(lab.events.len(), 0);
}

#[test]
fn a_pod_keeps_the_certificates_of_a_bundle_that_goes_and_gets_fresh_tokens() {
    let selector = json!({"matchLabels": {"stage": "live"}});
    let mut lab = with_sources(json!([
        {"clusterTrustBundle": {"signerName": "a.b/c", "labelSelector": selector, "path": "ca.pem"}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
    ]));
    lab.clusters.put(Side::Virtual, bundle("a.b:c:d", "a.b/c", &json!({"stage": "live"}), "QUE="));
    lab.converge();
    lab.runs();
    lab.converge();
    let before = files(&lab);
    assert_eq!(before.len(), 2);
    lab.clusters.put(Side::Virtual, bundle("a.b:c:d", "a.b/c", &json!({}), "QUE="));
    assert_eq!(lab.planned(), ["SyncDegraded"]);
    let Next::At(due) = lab.reconcile().unwrap().next else { panic!("the token is renewed") };
    let mut lab = lab.at(due);
    let effects = lab.effects();
    for effect in effects {
        lab.perform(effect);
    }
    assert_eq!(lab.written[lab.written.len() - 2..], ["mint Secret", "SyncDegraded"]);
    assert_eq!(files(&lab), before, "the file is still there");
    assert_eq!(lab.planned(), ["SyncDegraded"]);
}

#[test]
fn a_cluster_without_bundles_says_so() {
    let mut lab = with_sources(json!([{"clusterTrustBundle": {"name": "root", "path": "ca.pem", "optional": true}}]));
    lab.clusters = lab.clusters.unreadable(Side::Virtual, KIND);
    let refused = match lab.reconcile() {
        Err(MapError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused[0].field, "spec.volumes[0].projected.sources[0].clusterTrustBundle");
    assert!(refused[0].why.contains("does not serve ClusterTrustBundles"), "{}", refused[0].why);
}

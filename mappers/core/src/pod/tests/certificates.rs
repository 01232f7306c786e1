use serde_json::{Value, json};
use tenet_mapper::{Effect, EventReason, MapError, Next, Object, Side, kinds};

use super::lab::{Lab, NAME, NOW, SECRET_NAME};

/// Stand-in of the kit for a private key.
const PRIVATE_KEY: &str = "a2V5";
const REFRESH: &str = "2027-01-15T09:00:00Z";
/// The same, an hour after the start.
const REFRESH_AT: i64 = NOW + 3600;

fn pem(body: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A fresh pod that asks for a certificate in two files, in place of its token.
fn fresh() -> Lab {
    let mut lab = Lab::fresh();
    let certificate = json!({"signerName": "a.b/c", "keyType": "ED25519", "maxExpirationSeconds": 86400,
        "credentialBundlePath": "all.pem", "certificateChainPath": "chain.pem"});
    lab.edit("/spec/volumes/0/projected/sources", json!([{"podCertificate": certificate}]));
    lab
}

/// The same pod on a node, where it waits for its volume.
fn bound() -> Lab {
    let mut lab = fresh();
    lab.converge();
    lab.runs();
    lab.converge();
    lab
}

fn requests(lab: &mut Lab) -> Vec<Object> {
    let effects = lab.effects();
    let requests = effects.into_iter().filter_map(|effect| match effect {
        Effect::RequestCertificate(request) => Some(Object::new(request.desired)),
        _ => None,
    });
    requests.collect()
}

/// The signer answers a request.
fn answer(lab: &mut Lab, name: &str, status: Value) {
    let found = lab.clusters.object(Side::Virtual, kinds::POD_CERTIFICATE_REQUEST, "shop", name);
    let mut request = found.expect("the request").value().clone();
    request["status"] = status;
    lab.clusters.put(Side::Virtual, request);
}

fn issued(body: &str) -> Value {
    json!({"conditions": [{"type": "Issued", "status": "True"}], "certificateChain": pem(body),
        "beginRefreshAt": REFRESH, "notAfter": "2027-01-16T09:00:00Z"})
}

/// The request that the pod has made last.
fn made(lab: &Lab, names: &[String]) -> Vec<String> {
    let all = lab.clusters.look(|cx| cx.list(Side::Virtual, kinds::POD_CERTIFICATE_REQUEST, "shop"));
    all.iter().map(|request| request.name().to_owned()).filter(|name| !names.contains(name)).collect()
}

fn data(lab: &Lab, key: &str) -> Value {
    lab.secret().unwrap().at("/data").unwrap().get(key).cloned().unwrap_or_default()
}

#[test]
fn the_private_key_is_on_the_host_before_the_pod_and_the_request_follows_the_binding() {
    let mut lab = fresh();
    assert_eq!(lab.converge(), ["mint Secret", "apply Pod"]);
    let item =
        |key: &str, path: &str| json!({"key": format!("kube-api-access-zx9tq.0.{key}"), "path": path, "mode": 420});
    let source = json!({"secret": {"name": SECRET_NAME, "items": [item("pem", "all.pem"), item("crt", "chain.pem")]}});
    assert_eq!(lab.host().unwrap().at("/spec/volumes/0/projected/sources/0"), Some(&source));
    assert_eq!(data(&lab, "kube-api-access-zx9tq.0.key"), PRIVATE_KEY);
    assert_eq!(data(&lab, "kube-api-access-zx9tq.0.pem"), Value::Null, "the kubelet waits for it");

    lab.runs();
    let written = lab.converge();
    assert_eq!(written.iter().filter(|write| *write == "request certificate").count(), 1, "{written:?}");
    let names = made(&lab, &[]);
    let found = lab.clusters.object(Side::Virtual, kinds::POD_CERTIFICATE_REQUEST, "shop", &names[0]).unwrap();
    let node = lab.clusters.object(Side::Virtual, kinds::NODE, "", "node-1").unwrap();
    assert_eq!(
        found.at("/spec"),
        Some(&json!({"signerName": "a.b/c", "podName": NAME, "podUID": "u-1", "serviceAccountName": "default",
            "nodeName": "node-1", "nodeUID": node.uid(), "maxExpirationSeconds": 86400}))
    );
    assert_eq!(lab.planned(), [""; 0], "it is requested once");
}

#[test]
fn a_certificate_is_stored_beside_its_key_and_renewed_when_the_signer_says() {
    let mut lab = bound();
    let first = made(&lab, &[]);
    answer(&mut lab, &first[0], issued("QUE="));
    assert_eq!(lab.converge(), ["mint Secret"]);
    assert_eq!(data(&lab, "kube-api-access-zx9tq.0.crt"), base64(&pem("QUE=")));
    let all = format!("{PRIVATE_KEY}{}", base64(&pem("QUE=")));
    assert_eq!(data(&lab, "kube-api-access-zx9tq.0.pem"), all);
    assert_eq!(lab.reconcile().unwrap().next, Next::At(REFRESH_AT));

    let mut lab = lab.at(REFRESH_AT);
    assert_eq!(lab.converge(), ["request certificate"]);
    let second = made(&lab, &first);
    assert_eq!(second.len(), 1);
    answer(&mut lab, &second[0], issued("QkI="));
    assert_eq!(lab.converge()[0], "mint Secret");
    assert_eq!(data(&lab, "kube-api-access-zx9tq.0.crt"), base64(&pem("QkI=")));
    assert_eq!(data(&lab, "kube-api-access-zx9tq.0.key"), PRIVATE_KEY);
}

#[test]
fn a_certificate_for_a_lost_key_is_not_taken_for_one_of_the_next() {
    let mut lab = bound();
    let first = made(&lab, &[]);
    answer(&mut lab, &first[0], issued("QUE="));
    let secret = lab.secret().unwrap().value().clone();
    let mut lab = lab.at(NOW + 60);
    let mut lost = secret;
    lost["metadata"]["annotations"].as_object_mut().unwrap().remove("tenet.sh/certificates");
    lost["data"] = json!({});
    lab.clusters.put(Side::Host, lost);
    assert_eq!(lab.converge(), ["mint Secret", "request certificate"]);
    assert_eq!(made(&lab, &first).len(), 1, "it is another request");
    assert_eq!(data(&lab, "kube-api-access-zx9tq.0.crt"), Value::Null);
}

#[test]
fn a_request_that_is_denied_is_told_and_not_repeated() {
    let mut lab = bound();
    let name = made(&lab, &[]).remove(0);
    let denied = json!({"conditions": [{"type": "Denied", "status": "True", "reason": "No", "message": "not here"}]});
    answer(&mut lab, &name, denied);
    let effects = lab.effects();
    let [Effect::Emit(event)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(event.reason, EventReason::Degraded);
    assert_eq!(event.message, format!("the PodCertificateRequest {name} was denied: No: not here"));
    assert!(requests(&mut lab).is_empty());
}

#[test]
fn a_cluster_without_the_api_refuses_the_source() {
    let mut lab = fresh();
    lab.clusters = lab.clusters.unreadable(Side::Virtual, kinds::POD_CERTIFICATE_REQUEST);
    let refused = match lab.reconcile() {
        Err(MapError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused[0].field, "spec.volumes[0].projected.sources[0].podCertificate");
    assert!(refused[0].why.contains("does not serve PodCertificateRequests"), "{}", refused[0].why);
}

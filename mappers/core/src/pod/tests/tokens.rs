use std::time::Duration;

use serde_json::json;
use tenet_mapper::translate::token::refresh_at;
use tenet_mapper::{Effect, Next, Side, TokenRequest, VirtualKey};

use super::lab::{Lab, NAME, NOW, SECRET_NAME};

const KEY: &str = "kube-api-access-zx9tq.0";

fn minted(effect: &Effect) -> Vec<TokenRequest> {
    match effect {
        Effect::MintTokens(mint) => mint.tokens.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_are_asked_for_as_the_pod_asks_and_bound_to_it() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/serviceAccountName", json!("robot"));
    let more = json!([{"serviceAccountToken": {"path": "t", "audience": "vault", "expirationSeconds": 900}}]);
    lab.edit("/spec/volumes/0/projected/sources", more);
    let effects = lab.effects();
    let expected = TokenRequest {
        data_key: KEY.to_owned(),
        service_account: "robot".to_owned(),
        audiences: vec!["vault".to_owned()],
        expiration_seconds: 900,
        pod: VirtualKey::new("shop", NAME),
        pod_uid: "u-1".to_owned(),
    };
    assert_eq!(minted(&effects[0]), [expected]);
    let Effect::MintTokens(secret) = &effects[0] else { panic!() };
    assert_eq!(secret.key.name(), SECRET_NAME);
    assert_eq!(
        secret.desired["metadata"]["labels"],
        json!({"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"})
    );
    assert!(secret.desired.get("data").is_none());
}

#[test]
fn a_pod_without_tokens_has_no_secret() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/volumes", json!([]));
    assert_eq!(lab.converge(), ["apply Pod"]);
    assert_eq!(lab.reconcile().unwrap().next, Next::Done);
}

#[test]
fn a_token_is_renewed_when_it_is_due_and_not_before() {
    let due = refresh_at(NOW, NOW + 3607, "u-1");
    let mut lab = Lab::running();
    assert_eq!(lab.reconcile().unwrap().next, Next::At(due));
    let mut lab = lab.at(due - 1);
    assert_eq!(lab.planned(), [""; 0]);
    let mut lab = lab.at(due);
    assert_eq!(lab.planned(), ["mint Secret"]);
    lab.edit_host("/status/phase", json!("Failed"));
    lab.edit("/status/phase", json!("Failed"));
    assert_eq!(lab.planned(), [""; 0], "nobody reads it any more");
}

#[test]
fn a_secret_that_is_lost_or_lacks_a_token_is_made_again() {
    let running = Lab::running();
    for (annotation, expected) in [
        (json!(format!("{{\"{KEY}\":[{NOW},{}]}}", NOW + 3600)), vec![]),
        (json!("{\"other.0\":[1,2]}"), vec!["mint Secret"]),
        (json!("nonsense"), vec!["mint Secret"]),
    ] {
        let mut secret = running.secret().unwrap().value().clone();
        secret["metadata"]["annotations"]["tenet.sh/tokens"] = annotation.clone();
        let mut lab = Lab::running();
        lab.clusters.put(Side::Host, secret);
        assert_eq!(lab.planned(), expected, "{annotation}");
    }
}

#[test]
fn the_file_of_a_token_is_as_readable_as_a_kubelet_makes_it() {
    let mut lab = Lab::fresh();
    lab.edit("/spec/securityContext", json!({"fsGroup": 5}));
    lab.converge();
    let item = "/spec/volumes/0/projected/sources/0/secret/items/0";
    assert_eq!(lab.host().unwrap().at(item), Some(&json!({"key": KEY, "path": "token", "mode": 0o600})));
}

#[test]
fn the_copy_of_a_tenants_secret_is_never_taken_for_a_secret_of_tokens() {
    let copy = format!("kind: Secret\nmetadata: {{name: {SECRET_NAME}, namespace: team-a}}");
    let mut lab = Lab::empty().with(Side::Host, &copy);
    assert_eq!(lab.planned(), [""; 0]);
}

#[test]
fn tokens_name_the_node_once_the_pod_is_bound_to_it() {
    let mut lab = Lab::created();
    assert_eq!(lab.secret().unwrap().annotation("tenet.sh/tokens-node"), None);
    lab.runs();
    let bound = lab.reconcile().unwrap();
    assert!(matches!(bound.next, Next::After(soon) if soon < Duration::from_millis(100)), "{:?}", bound.next);
    let written = lab.converge();
    let position = |write: &str| written.iter().position(|written| written == write);
    let (bind, status, mint) = (position("bind node-1"), position("patch virtual status"), position("mint Secret"));
    assert!(bind == Some(0) && status < mint && status.is_some(), "the status does not wait for tokens: {written:?}");
    assert_eq!(lab.secret().unwrap().annotation("tenet.sh/tokens-node"), Some("node-1"));
    assert_eq!(lab.planned(), [""; 0], "they are not issued again");

    let mut placed = Lab::fresh();
    placed.edit("/spec/nodeName", json!("node-1"));
    placed.converge();
    assert_eq!(placed.secret().unwrap().annotation("tenet.sh/tokens-node"), Some("node-1"), "it is known at once");
}

use serde_json::json;
use tenet_mapper::testing::Picture;
use tenet_mapper::{DIGEST_KEY, Mapper};

use super::*;

fn secret(kind: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Secret
metadata:
  name: key
  namespace: shop
  uid: u-1
  annotations: {{kubernetes.io/service-account.name: builder}}
data: {{token: c2VjcmV0}}
type: {kind}"
    )
}

fn picture(kind: &str) -> Picture {
    Picture::default().with(Side::Virtual, &secret(kind)).referenced(kinds::SECRET, "shop", "key")
}

fn settle(picture: &mut Picture) -> usize {
    picture.settle(&mapper(), "shop", "key").unwrap()
}

fn host(picture: &Picture) -> Option<&Object> {
    picture.object(Side::Host, kinds::SECRET, "team-a", "key-x-shop-x-vc-1")
}

#[test]
fn its_type_crosses_except_that_of_a_token() {
    for (kind, expected) in [
        ("Opaque", "Opaque"),
        ("kubernetes.io/tls", "kubernetes.io/tls"),
        ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockerconfigjson"),
        ("bootstrap.kubernetes.io/token", "bootstrap.kubernetes.io/token"),
        ("example.com/own", "example.com/own"),
        ("kubernetes.io/service-account-token", "Opaque"),
    ] {
        let mut picture = picture(kind);
        assert_eq!(settle(&mut picture), 1, "{kind}");
        let copy = host(&picture).unwrap();
        assert_eq!(copy.str_at("/type"), Some(expected));
        assert_eq!(copy.at("/data"), Some(&json!({"token": "c2VjcmV0"})));
        assert_eq!(copy.annotation("kubernetes.io/service-account.name"), None);
        assert_eq!(settle(&mut picture), 0, "{kind}");
    }
}

#[test]
fn it_is_on_the_host_while_something_refers_to_it() {
    let mut alone = Picture::default().with(Side::Virtual, &secret("Opaque"));
    assert_eq!(settle(&mut alone), 0);
    let mut picture = picture("Opaque");
    settle(&mut picture);
    alone.put(Side::Host, host(&picture).unwrap().value().clone());
    assert_eq!(settle(&mut alone), 1);
    assert!(host(&alone).is_none());
}

#[test]
fn another_type_on_the_host_is_no_reason_to_write() {
    let mut picture = picture("kubernetes.io/service-account-token");
    settle(&mut picture);
    let mut copy = host(&picture).unwrap().value().clone();
    copy["type"] = json!("example.com/other");
    picture.put(Side::Host, copy);
    assert_eq!(settle(&mut picture), 0, "the API server lets nobody change it");
}

#[test]
fn content_is_not_kept_in_memory() {
    let spec = mapper().spec().clone();
    let cut = |side| {
        let input = spec.inputs.iter().find(|input| input.side == side).unwrap();
        input.projection.cut(json!({"metadata": {"name": "x"}, "data": {"k": "c2VjcmV0"}, "type": "Opaque"}))
    };
    assert_eq!(cut(Side::Virtual), json!({"metadata": {"name": "x"}}));
    assert!(cut(Side::Host)["data"][DIGEST_KEY].is_string());
}

//! The Secret beside a host pod: tokens and files are written, and what stands under other keys stays.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenet_mapper::keys::TOKENS;
use tenet_mapper::plan::{MintedToken, Payload, PlanContext, Write, plan};
use tenet_mapper::{Effect, MintTokens, Object, Projection, TokenRequest, VirtualKey};

use super::{PLACE, facts, host_key, owner};

/// A Secret is cached without its content.
const DIGEST: Projection = Projection::Digest(&["data"]);

fn secret() -> Value {
    json!({"metadata": {"namespace": PLACE.0, "name": PLACE.1,
        "labels": owner().labels("vc-1"), "annotations": owner().annotations(PLACE.0, PLACE.1)}})
}

/// Plans to put one token and one file into a Secret that holds `data`.
fn planned(data: Option<&Value>) -> Vec<Write> {
    let cached = data.map(|data| {
        let mut cached = secret();
        if !data.is_null() {
            cached["data"] = data.clone();
        }
        Object::new(DIGEST.cut(cached))
    });
    let token = TokenRequest {
        data_key: "v.0".to_owned(),
        service_account: "default".to_owned(),
        audiences: Vec::new(),
        expiration_seconds: 1,
        pod: VirtualKey::new("shop", "web"),
        pod_uid: "u".to_owned(),
    };
    let files = BTreeMap::from([("v.1".to_owned(), "ZmlsZQ==".to_owned())]);
    let mint =
        MintTokens { key: host_key(), owner: owner(), desired: secret(), tokens: vec![token], files, keys: Vec::new() };
    let minted = [MintedToken { data: "dG9rZW4=".to_owned(), issued: 1, expires: 2 }];
    let cx = PlanContext { facts: &facts(), projection: &DIGEST, minted: &minted };
    plan(&Effect::MintTokens(Box::new(mint)), cached.as_ref(), &cx).expect("the Secret is ours")
}

/// The operations of the patch on the content of a Secret that holds `data`.
fn operations(data: &Value) -> Vec<(Value, Value)> {
    let writes = planned(Some(data));
    let ops = writes.iter().filter_map(|write| match &write.payload {
        Payload::Json(ops) => Some(ops),
        _ => None,
    });
    let of_data = ops.flatten().filter(|op| op["path"].as_str().is_some_and(|path| path.starts_with("/data")));
    of_data.map(|op| (op["path"].clone(), op["value"].clone())).collect()
}

#[test]
fn content_under_other_keys_of_a_secret_stays() {
    let whole = json!({"v.0": "dG9rZW4=", "v.1": "ZmlsZQ=="});
    let created = planned(None);
    let [Write { payload: Payload::Create { object, .. }, .. }] = &created[..] else { panic!("{created:?}") };
    assert_eq!(object["data"], whole);
    assert_eq!(object["metadata"]["annotations"][TOKENS], "{\"v.0\":[1,2]}");
    let each = [(json!("/data/v.0"), json!("dG9rZW4=")), (json!("/data/v.1"), json!("ZmlsZQ=="))];
    assert_eq!(operations(&json!({"v.0": "b2xk", "v.2": "b3RoZXI="})), each);
    assert_eq!(operations(&Value::Null), [(json!("/data"), whole)], "an empty Secret has no content to add to");
}

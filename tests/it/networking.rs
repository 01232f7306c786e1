//! NetworkPolicies, Ingresses and IngressClasses, enabled by the configuration.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_playground::Options;

use crate::harness::{Harness, Separate, configured, in_folder, new_namespace, passed, until_told};

const GROUP: &str = "/apis/networking.k8s.io/v1";
const SETTINGS: &str = "kinds: { enable: [network-policy, ingress, ingress-class] }
ingresses: { hosts: [\"*.shop.example\"] }
annotations: { allow: [\"nginx.ingress.kubernetes.io/*\"] }
";

/// Annotation that names a Secret.
const LOGIN: &str = "nginx.ingress.kubernetes.io/auth-secret";

fn policy(namespaces: &Value) -> Value {
    json!({"metadata": {"name": "web"}, "spec": {
        "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"namespaceSelector": namespaces}]}],
    }})
}

fn ingress(host: &str) -> Value {
    let backend = json!({"service": {"name": "front", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    json!({"metadata": {"name": "web", "annotations": {LOGIN: "shop/login"}}, "spec": {
        "tls": [{"hosts": [host], "secretName": "cert"}], "rules": [{"host": host, "http": {"paths": paths}}],
    }})
}

/// Returns the virtual namespaces that the first peer of a policy on the host selects.
fn selected(copy: &Value) -> Vec<&str> {
    let pods = &copy["spec"]["ingress"][0]["from"][0]["podSelector"];
    let all = pods["matchExpressions"].as_array().into_iter().flatten();
    let by_namespace = all.filter(|requirement| requirement["key"] == "tenet.sh/namespace");
    by_namespace.filter_map(|it| it["values"].as_array()).flatten().filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn network_policies_and_ingresses_cross_when_they_are_enabled() -> Result<()> {
    let options = Options { syncer_settings: SETTINGS.to_owned(), node_access: true, ..in_folder("networking") };
    let harness = Separate::start(options).await?;
    let Separate { playground, host, virt } = &harness;
    new_namespace(virt, "shop").await?;
    let inside = |kind: &str| format!("{GROUP}/namespaces/shop/{kind}");
    let outside = |kind: &str| format!("{GROUP}/namespaces/{}/{kind}/web-x-shop-x-vc-1", playground.namespace());

    // A policy follows the labels of namespaces.
    virt.create(&inside("networkpolicies"), policy(&json!({"matchLabels": {"team": "a"}}))).await?;
    let copy = outside("networkpolicies");
    let made = host.until(&copy, "there", Value::is_object).await?;
    let own = json!({"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"});
    assert_eq!((&made["spec"]["podSelector"]["matchLabels"], selected(&made)), (&own, vec![""]));
    let labelled = json!({"metadata": {"name": "front", "labels": {"team": "a"}}});
    virt.create("/api/v1/namespaces", labelled).await?;
    host.until(&copy, "with the namespace", |copy| selected(copy) == ["front"]).await?;
    let wide = json!({"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}});
    virt.patch(&format!("{}/web", inside("networkpolicies")), wide).await?;
    until_told(virt, "shop", "SyncRefused", "web", "ipBlock").await?;
    assert_eq!(selected(&host.get(&copy).await?.context("the copy")?), ["front"], "it stays as it was accepted");

    // The classes of the host are shown, and the default class is the default inside.
    let class = json!({
        "metadata": {"name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    });
    host.create(&format!("{GROUP}/ingressclasses"), class).await?;
    virt.until(&format!("{GROUP}/ingressclasses/nginx"), "shown", Value::is_object).await?;
    let data = json!({"tls.crt": "", "tls.key": ""});
    let secret = json!({"metadata": {"name": "cert"}, "type": "kubernetes.io/tls", "data": data});
    virt.create("/api/v1/namespaces/shop/secrets", secret).await?;
    virt.create("/api/v1/namespaces/shop/secrets", json!({"metadata": {"name": "login"}})).await?;
    virt.create(&inside("ingresses"), ingress("a.shop.example")).await?;
    let copy = outside("ingresses");
    let made = host.until(&copy, "there", Value::is_object).await?;
    assert_eq!(made["spec"]["ingressClassName"], "nginx");
    let service = &made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!(service["name"], "front-x-shop-x-vc-1");
    assert_eq!(made["metadata"]["annotations"][LOGIN], format!("{}/login-x-shop-x-vc-1", playground.namespace()));
    for secret in ["cert", "login"] {
        let copy = harness.on_host(&format!("secrets/{secret}-x-shop-x-vc-1"));
        host.until(&copy, "copied", Value::is_object).await?;
    }
    let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    host.patch(&format!("{copy}/status"), json!({"status": status})).await?;
    let web = format!("{}/web", inside("ingresses"));
    virt.until(&web, "with the status of the host", |ingress| ingress["status"] == status).await?;

    // A killed syncer finds all as it was, and a host that is not the tenant's is refused.
    playground.kill_syncer();
    virt.patch(&web, json!({"spec": ingress("bank.example")["spec"]})).await?;
    let before = host.get(&copy).await?;
    playground.start_syncer(&configured(playground)).await?;
    until_told(virt, "shop", "SyncRefused", "web", "spec.rules[0].host").await?;
    assert_eq!(host.get(&copy).await?, before);

    for kind in ["networkpolicies", "ingresses"] {
        virt.delete(&format!("{}/web", inside(kind)), json!({})).await?;
        host.until_gone(&outside(kind)).await?;
    }
    for secret in ["cert", "login"] {
        host.until_gone(&harness.on_host(&format!("secrets/{secret}-x-shop-x-vc-1"))).await?;
    }
    passed(harness.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_says_that_nothing_enforces_the_policies_of_a_namespace() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    for name in ["one", "two"] {
        let mut policy = policy(&json!({}));
        policy["metadata"]["name"] = json!(name);
        harness.virt.create(&format!("{GROUP}/namespaces/{namespace}/networkpolicies"), policy).await?;
    }
    let about = |events: &[Value]| {
        let events = events.iter().filter(|event| event["reason"] == "SyncDegraded");
        events.map(|event| event["involvedObject"]["name"].clone()).collect::<Vec<_>>()
    };
    let events = format!("/api/v1/namespaces/{namespace}/events");
    let found = harness.virt.until_list(&events, "told", |events| !events.is_empty()).await?;
    assert!(!about(&found).is_empty(), "{found:?}");
    let copies = format!("{GROUP}/namespaces/{}/networkpolicies", harness.playground.namespace());
    assert!(harness.host.list(&copies).await?.is_empty());
    Ok(())
}

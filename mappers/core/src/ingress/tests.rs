use serde_json::json;
use tenet_mapper::Side;
use tenet_mapper::testing::Clusters;

use super::*;

const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example.com], secretName: cert}]
  rules:
    - host: shop.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: front, port: {number: 80}}}}
          - {path: /api, pathType: Exact, backend: {service: {name: api, port: {name: http}}}}";

fn section(hosts: &[&str]) -> Ingresses {
    Ingresses { hosts: hosts.iter().map(|&host| host.to_owned()).collect(), ..Ingresses::default() }
}

fn clusters(spec: &Value) -> Clusters {
    let mut clusters = Clusters::default().section(section(&["*.example.com"]));
    let metadata = json!({"name": "web", "namespace": "shop"});
    let ingress = json!({"apiVersion": KIND.api_version(), "kind": "Ingress", "metadata": metadata, "spec": spec});
    clusters.put(Side::Virtual, ingress);
    clusters
}

fn converge(clusters: &mut Clusters) -> Result<usize, MapError> {
    clusters.converge(&mapper(), "shop", "web")
}

fn host(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Host, KIND, "team-a", "web-x-shop-x-vc-1")
}

#[test]
fn an_ingress_crosses_with_the_names_of_its_services_and_secrets_translated() {
    let mut clusters = Clusters::default().section(section(&["*.example.com"])).with(Side::Virtual, INGRESS);
    assert_eq!(converge(&mut clusters), Ok(1));
    assert_eq!(
        host(&clusters).unwrap().at("/spec"),
        Some(&json!({
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["shop.example.com"], "secretName": "cert-x-shop-x-vc-1"}],
            "rules": [{"host": "shop.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix",
                 "backend": {"service": {"name": "front-x-shop-x-vc-1", "port": {"number": 80}}}},
                {"path": "/api", "pathType": "Exact",
                 "backend": {"service": {"name": "api-x-shop-x-vc-1", "port": {"name": "http"}}}},
            ]}}],
        }))
    );
    assert_eq!(converge(&mut clusters), Ok(0), "the second look writes nothing");
}

#[test]
fn the_secret_of_a_certificate_is_needed_on_the_host() {
    let table = mapper().spec().table.clone().unwrap();
    let spec = json!({"spec": {"tls": [{"secretName": "cert"}, {"hosts": ["a"]}]}});
    let names: Vec<_> = table.references(&spec).into_iter().map(|reference| reference.name).collect();
    assert_eq!(names, ["cert"]);
}

#[test]
fn a_change_follows_and_the_status_comes_up() {
    let mut clusters = Clusters::default().section(section(&["*.example.com"])).with(Side::Virtual, INGRESS);
    converge(&mut clusters).unwrap();
    let changed =
        INGRESS.replace("  tls: [{hosts: [shop.example.com], secretName: cert}]\n", "").replace("/api", "/v2");
    let mut clusters = clusters.with(Side::Virtual, &changed);
    assert_eq!(converge(&mut clusters), Ok(1));
    let mut copy = host(&clusters).unwrap().value().clone();
    assert_eq!(copy["spec"].get("tls"), None);
    assert_eq!(copy["spec"]["rules"][0]["http"]["paths"][1]["path"], "/v2");

    let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    copy["status"] = status.clone();
    clusters.put(Side::Host, copy);
    assert_eq!(converge(&mut clusters), Ok(1));
    let shown = clusters.object(Side::Virtual, KIND, "shop", "web").unwrap();
    assert_eq!(shown.at("/status"), Some(&status));
    assert_eq!(converge(&mut clusters), Ok(0));
}

#[test]
fn an_ingress_claims_only_what_the_section_permits() {
    let rule = |host: Value| json!({"rules": [{"host": host, "http": {"paths": []}}]});
    let tls = |hosts: Value| json!({"rules": [{"host": "a.example.com"}], "tls": [{"hosts": hosts}]});
    let backend = json!({"service": {"name": "front", "port": {"number": 80}}});
    for (spec, field) in [
        (rule(json!("shop.example.org")), "spec.rules[0].host: matches none"),
        (rule(json!("example.com")), "spec.rules[0].host: matches none"),
        (rule(json!(null)), "spec.rules[0].host: is not set"),
        (tls(json!(["a.example.com", "*.example.org"])), "spec.tls[0].hosts[1]: matches none"),
        (tls(json!([])), "spec.tls[0].hosts: is not set"),
        (json!({"defaultBackend": backend}), "spec.defaultBackend: takes the requests"),
        (json!({"defaultBackend": {"resource": {"kind": "Bucket", "name": "b"}}}), "spec.defaultBackend.resource: "),
    ] {
        let refusal = converge(&mut clusters(&spec)).unwrap_err().to_string();
        assert!(refusal.starts_with(field), "{spec}: {refusal}");
    }
    let open = Ingresses { allow_any_host: true, allow_default_backend: true, ..section(&["*.example.com"]) };
    let mut permitted = clusters(&json!({"defaultBackend": backend, "rules": [{"http": {"paths": []}}]})).section(open);
    assert_eq!(converge(&mut permitted), Ok(1));
    let name = "/spec/defaultBackend/service/name";
    assert_eq!(host(&permitted).unwrap().at(name), Some(&json!("front-x-shop-x-vc-1")));
}

#[test]
fn classes_can_be_limited() {
    let classes = |classes: &[&str]| classes.iter().map(|&class| class.to_owned()).collect();
    for (allowed, expected) in [(&[][..], true), (&["nginx"], true), (&["ng*"], true), (&["traefik"], false)] {
        let section = Ingresses { classes: classes(allowed), ..section(&["*.example.com"]) };
        let mut clusters = Clusters::default().section(section).with(Side::Virtual, INGRESS);
        assert_eq!(converge(&mut clusters).is_ok(), expected, "{allowed:?}");
    }
}

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

/// An Ingress with these annotations, where those of `allow` cross.
fn annotated(annotations: &Value, allow: &[&str]) -> Clusters {
    let backend = |name: &str, port: Value| json!({"path": "/", "backend": {"service": {"name": name, "port": port}}});
    let paths =
        json!([backend("front", json!({"number": 80})), backend("redirect", json!({"name": "use-annotation"}))]);
    let mut clusters = Clusters::default()
        .section(section(&["*.example.com"]))
        .facts(|facts| facts.annotations = Globs::new(allow))
        .with(Side::Virtual, "{apiVersion: v1, kind: Service, metadata: {name: front, namespace: shop}, spec: {}}");
    clusters.put(
        Side::Virtual,
        json!({
            "apiVersion": KIND.api_version(), "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
            "spec": {"rules": [{"host": "a.example.com", "http": {"paths": paths}}]},
        }),
    );
    clusters
}

/// The messages of the events of a reconcile.
fn told(clusters: &mut Clusters) -> Vec<String> {
    let outcome = clusters.reconcile(&mapper(), "shop", "web").unwrap();
    let steps = outcome.stages.into_iter().flat_map(|stage| stage.0);
    let events =
        steps.filter_map(|step| if let Effect::Emit(event) = step.effect { Some(event.message) } else { None });
    events.collect()
}

#[test]
fn what_annotations_name_are_copies_on_the_host() {
    let annotations = json!({
        "nginx.ingress.kubernetes.io/auth-secret": "basic",
        "nginx.ingress.kubernetes.io/auth-tls-secret": "shop/ca",
        "nginx.ingress.kubernetes.io/custom-headers": "shop/headers",
        "nginx.ingress.kubernetes.io/default-backend": "front",
        "nginx.ingress.kubernetes.io/auth-realm": "shop/ca",
    });
    let mut clusters = annotated(&annotations, &["nginx.ingress.kubernetes.io/*"]);
    converge(&mut clusters).unwrap();
    let copy = host(&clusters).unwrap();
    for (key, expected) in [
        ("auth-secret", "basic-x-shop-x-vc-1"),
        ("auth-tls-secret", "team-a/ca-x-shop-x-vc-1"),
        ("custom-headers", "team-a/headers-x-shop-x-vc-1"),
        ("default-backend", "front-x-shop-x-vc-1"),
        ("auth-realm", "shop/ca"),
    ] {
        assert_eq!(copy.annotation(&format!("nginx.ingress.kubernetes.io/{key}")), Some(expected), "{key}");
    }
    assert_eq!(converge(&mut clusters), Ok(0), "the second look writes nothing");

    let virt = clusters.object(Side::Virtual, KIND, "shop", "web").unwrap();
    let of = |kind: Kind| {
        let references = mapper().spec().references(virt).into_iter();
        references.filter(|it| it.kind == kind.group_kind()).map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!((of(kinds::SECRET), of(kinds::CONFIG_MAP)), (vec!["basic".into(), "ca".into()], vec!["headers".into()]));
    assert!(mapper().spec().refers_to(kinds::CONFIG_MAP.group_kind()));
}

#[test]
fn an_annotation_names_nothing_but_objects_of_its_namespace() {
    for value in ["kube-system/ca", "team-a/vc-1-certs", "shop/../x", "a b", "", "shop/"] {
        let annotations = json!({"nginx.ingress.kubernetes.io/auth-tls-secret": value});
        let refusal = converge(&mut annotated(&annotations, &["*"])).unwrap_err().to_string();
        assert!(refusal.starts_with("metadata.annotations[nginx.ingress.kubernetes.io/auth-tls-secret]"), "{refusal}");
    }
}

#[test]
fn an_ingress_is_not_served_without_the_annotations_that_keep_requests_out() {
    for (key, is_refused) in [
        ("nginx.ingress.kubernetes.io/auth-url", true),
        ("nginx.ingress.kubernetes.io/whitelist-source-range", true),
        ("nginx.ingress.kubernetes.io/proxy-ssl-secret", true),
        ("traefik.ingress.kubernetes.io/router.middlewares", true),
        ("alb.ingress.kubernetes.io/scheme", true),
        ("haproxy.org/allow-list", true),
        ("nginx.ingress.kubernetes.io/rewrite-target", false),
        ("cert-manager.io/cluster-issuer", false),
        ("example.com/auth-url", false),
    ] {
        let crossed = converge(&mut annotated(&json!({key: "x"}), &[]));
        assert_eq!(crossed.is_err(), is_refused, "{key}");
        if let Err(error) = crossed {
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}

#[test]
fn annotations_that_are_left_out_and_backends_without_a_copy_are_told() {
    let annotations = json!({"nginx.ingress.kubernetes.io/rewrite-target": "/", "example.com/a": "b"});
    let mut clusters = annotated(&annotations, &[]);
    let message =
        "metadata.annotations: controllers of the host do not see nginx.ingress.kubernetes.io/rewrite-target; ";
    let messages = told(&mut clusters);
    assert!(messages.len() == 1 && messages[0].starts_with(message), "{messages:?}");
    let external =
        "{apiVersion: v1, kind: Service, metadata: {name: front, namespace: shop}, spec: {type: ExternalName}}";
    let mut clusters = annotated(&json!({}), &[]).with(Side::Virtual, external);
    let messages = told(&mut clusters);
    assert!(messages.len() == 1 && messages[0].contains("Service front get no answer"), "{messages:?}");
    assert!(told(&mut annotated(&json!({}), &[])).is_empty());
}

#[test]
fn the_class_of_an_annotation_is_that_of_the_copy() {
    let annotations = json!({"kubernetes.io/ingress.class": "internal"});
    let with_classes = |allow: &[&str], classes: &[&str]| {
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        annotated(&annotations, allow).section(Ingresses { classes, ..section(&["*.example.com"]) })
    };
    let mut clusters = with_classes(&[], &["internal"]);
    converge(&mut clusters).unwrap();
    assert_eq!(host(&clusters).unwrap().str_at("/spec/ingressClassName"), Some("internal"));
    let mut clusters = with_classes(&["*"], &["internal"]);
    converge(&mut clusters).unwrap();
    let copy = host(&clusters).unwrap();
    assert_eq!(
        (copy.str_at("/spec/ingressClassName"), copy.annotation("kubernetes.io/ingress.class")),
        (None, Some("internal"))
    );
    for allow in [&[][..], &["*"]] {
        assert!(converge(&mut with_classes(allow, &["nginx", ""])).is_err(), "{allow:?}");
    }
}

#[test]
fn a_backend_that_is_an_annotation_of_the_aws_controller_keeps_its_name() {
    let group = json!({"Type": "forward", "forwardConfig": {"targetGroups": [{"serviceName": "front", "weight": 1}]}});
    let annotations = json!({
        "alb.ingress.kubernetes.io/actions.redirect": group.to_string(),
        "alb.ingress.kubernetes.io/conditions.front": "[]",
        "alb.ingress.kubernetes.io/auth-idp-oidc": json!({"secretName": "oidc", "issuer": "x"}).to_string(),
    });
    let mut clusters = annotated(&annotations, &["alb.ingress.kubernetes.io/*"]);
    converge(&mut clusters).unwrap();
    let copy = host(&clusters).unwrap();
    let backend = |index: usize| copy.str_at(&format!("/spec/rules/0/http/paths/{index}/backend/service/name"));
    assert_eq!((backend(0), backend(1)), (Some("front-x-shop-x-vc-1"), Some("redirect")));
    let action = copy.annotation("alb.ingress.kubernetes.io/actions.redirect").unwrap();
    assert!(action.contains(r#""serviceName":"front-x-shop-x-vc-1""#), "{action}");
    assert_eq!(copy.annotation("alb.ingress.kubernetes.io/conditions.front-x-shop-x-vc-1"), Some("[]"));
    let oidc = copy.annotation("alb.ingress.kubernetes.io/auth-idp-oidc").unwrap();
    assert!(oidc.contains(r#""secretName":"oidc-x-shop-x-vc-1""#), "{oidc}");
    let virt = clusters.object(Side::Virtual, KIND, "shop", "web").unwrap();
    assert!(mapper().spec().references(virt).iter().any(|reference| reference.name == "oidc"));

    // An annotation that the tenant removes goes, under the key that it has on the host.
    let changed = annotated(&json!({}), &["alb.ingress.kubernetes.io/*"]);
    let mut virt = changed.object(Side::Virtual, KIND, "shop", "web").unwrap().value().clone();
    virt["metadata"]["uid"] = clusters.object(Side::Virtual, KIND, "shop", "web").unwrap().uid().into();
    clusters.put(Side::Virtual, virt);
    converge(&mut clusters).unwrap();
    let copy = host(&clusters).unwrap();
    assert_eq!(copy.annotation("alb.ingress.kubernetes.io/conditions.front-x-shop-x-vc-1"), None);
    assert_eq!(copy.str_at("/spec/rules/0/http/paths/1/backend/service/name"), Some("redirect-x-shop-x-vc-1"));
    assert_eq!(converge(&mut clusters), Ok(0));

    let long = format!("alb.ingress.kubernetes.io/conditions.{}", "a".repeat(40));
    let refusal = converge(&mut annotated(&json!({long: "[]"}), &["*"])).unwrap_err().to_string();
    assert!(refusal.contains("is too long"), "{refusal}");
}

#[test]
fn a_default_backend_may_be_an_annotation_of_the_aws_controller_too() {
    let annotations = json!({
        "alb.ingress.kubernetes.io/actions.redirect": "{}",
        "alb.ingress.kubernetes.io/conditions.redirect": "[]",
    });
    for (port, expected) in [
        (json!({"name": "use-annotation"}), Ok("redirect")),
        (json!({"number": 80}), Err("redirect is the name of an action and of a Service")),
    ] {
        let open = Ingresses { allow_default_backend: true, ..section(&["*.example.com"]) };
        let mut clusters = annotated(&annotations, &["alb.ingress.kubernetes.io/*"]).section(open);
        let mut virt = clusters.object(Side::Virtual, KIND, "shop", "web").unwrap().value().clone();
        virt["spec"]["defaultBackend"] = json!({"service": {"name": "redirect", "port": port}});
        clusters.put(Side::Virtual, virt);
        let result = converge(&mut clusters).map_err(|error| error.to_string());
        match expected {
            Ok(name) => assert_eq!(host(&clusters).unwrap().str_at("/spec/defaultBackend/service/name"), Some(name)),
            Err(why) => assert!(result.unwrap_err().contains(why)),
        }
    }
}

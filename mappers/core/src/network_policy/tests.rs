use serde_json::json;
use tenet_mapper::Effect;
use tenet_mapper::testing::Clusters;

use super::*;

const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports: [{protocol: TCP, port: http}, {port: 8000, endPort: 8080}]
      from:
        - podSelector: {matchLabels: {app: front}}
        - namespaceSelector: {}
  egress:
    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {}}]";

fn clusters(spec: &Value) -> Clusters {
    let mut clusters = Clusters::default();
    let metadata = json!({"name": "web", "namespace": "shop"});
    clusters.put(
        Side::Virtual,
        json!({"apiVersion": KIND.api_version(), "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}),
    );
    clusters
}

fn converge(clusters: &mut Clusters) -> Result<usize, MapError> {
    clusters.converge(&mapper(), "shop", "web")
}

fn host(clusters: &Clusters) -> Option<&Value> {
    let copy = clusters.object(Side::Host, KIND, "team-a", "web-x-shop-x-vc-1");
    copy.and_then(|copy| copy.at("/spec"))
}

fn in_vc() -> Value {
    json!({"key": "tenet.sh/managed-by", "operator": "In", "values": ["vc-1"]})
}

fn in_namespaces(names: &[&str]) -> Value {
    json!({"key": "tenet.sh/namespace", "operator": "In", "values": names})
}

fn refused(clusters: &mut Clusters) -> String {
    converge(clusters).unwrap_err().to_string()
}

#[test]
fn every_selector_is_narrowed_to_what_the_tenant_meant() {
    let mut clusters = Clusters::default().with(Side::Virtual, POLICY);
    assert_eq!(converge(&mut clusters), Ok(1));
    let spec = host(&clusters).unwrap();
    let own = json!({"app": "web", "tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"});
    assert_eq!(spec["podSelector"]["matchLabels"], own);
    let front = json!({"matchLabels": {"app": "front"}, "matchExpressions": [in_vc(), in_namespaces(&["shop"])]});
    assert_eq!(
        spec["ingress"],
        json!([{
            "ports": [{"protocol": "TCP", "port": "http"}, {"port": 8000, "endPort": 8080}],
            "from": [{"podSelector": front}, {"podSelector": {"matchExpressions": [in_vc()]}}],
        }])
    );
    let dns = json!([{"to": [{"podSelector": {"matchExpressions": [in_vc(), in_namespaces(&["kube-system"])]}}]}]);
    assert_eq!(spec["egress"], dns);
    assert_eq!(converge(&mut clusters), Ok(0), "the second look writes nothing");
}

#[test]
fn a_policy_without_selector_selects_the_pods_of_its_namespace() {
    let labels = json!({"matchLabels": {"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"}});
    let expressions = json!({"matchExpressions": [in_vc(), in_namespaces(&["shop"])]});
    for (spec, own) in [(json!({"podSelector": {}}), labels), (json!({}), expressions)] {
        let mut clusters = clusters(&spec);
        converge(&mut clusters).unwrap();
        assert_eq!(host(&clusters).unwrap()["podSelector"], own);
    }
}

#[test]
fn the_lists_of_rules_follow_in_every_shape() {
    let from = |app: &str| json!({"from": [{"podSelector": {"matchLabels": {"app": app}}}]});
    let ports = json!({"ports": [{"port": 80}]});
    let shapes =
        [json!([]), json!([{}]), json!([{}, ports]), json!([from("a")]), json!([from("b"), from("a")]), json!([ports])];
    for before in &shapes {
        for after in &shapes {
            let spec = |ingress: &Value| json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress});
            let open = || NetworkPolicies { allow_any_peer: true, ..NetworkPolicies::default() };
            let mut updated = clusters(&spec(before)).section(open());
            converge(&mut updated).unwrap();
            let virt = clusters(&spec(after)).object(Side::Virtual, KIND, "shop", "web").unwrap().value().clone();
            updated.put(Side::Virtual, virt);
            converge(&mut updated).unwrap();
            let mut created = clusters(&spec(after)).section(open());
            converge(&mut created).unwrap();
            assert_eq!(host(&updated), host(&created), "{before} to {after}");
        }
    }
}

#[test]
fn what_is_wider_than_the_virtual_cluster_is_refused_unless_the_section_allows_it() {
    let block = json!([{"to": [{"ipBlock": {"cidr": "10.1.2.0/24", "except": ["10.1.2.3/32"]}}]}]);
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": block});
    assert!(refused(&mut clusters(&spec)).starts_with("spec.egress[0].to[0]: ipBlock"));
    let section = |range: &str| {
        let allow_ip_blocks = vec![range.parse().unwrap()];
        NetworkPolicies { allow_ip_blocks, ..NetworkPolicies::default() }
    };
    let mut narrow = clusters(&spec).section(section("10.1.3.0/24"));
    assert!(refused(&mut narrow).starts_with("spec.egress[0].to[0]: ipBlock"));
    let mut allowed = clusters(&spec).section(section("10.0.0.0/8"));
    assert_eq!(converge(&mut allowed), Ok(1));
    assert_eq!(host(&allowed).unwrap()["egress"], block);

    for rule in [json!({}), json!({"from": []}), json!({"ports": [{"port": 80}]})] {
        let spec = json!({"podSelector": {}, "ingress": [rule]});
        assert!(refused(&mut clusters(&spec)).starts_with("spec.ingress[0].from: no peers"), "{rule}");
    }
}

#[test]
fn a_missing_list_of_peers_means_all_addresses_as_an_empty_one_does() {
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in [json!({}), json!({peers: []}), json!({peers: null})] {
            let spec = json!({"podSelector": {}, rules: [rule]});
            let expected = format!("spec.{rules}[0].{peers}: no peers are all addresses");
            assert!(refused(&mut clusters(&spec)).starts_with(&expected), "{rule}");
            let open = NetworkPolicies { allow_any_peer: true, ..NetworkPolicies::default() };
            let mut allowed = clusters(&spec).section(open);
            assert_eq!(converge(&mut allowed), Ok(1), "{rule}");
            let found = host(&allowed).unwrap()[rules].as_array().unwrap();
            let is_of_all = |rule: &Value| rule.get(peers).is_none_or(|found| *found == json!([]));
            assert!(found.len() == 1 && is_of_all(&found[0]), "{rule}: {found:?}");
            assert_eq!(converge(&mut allowed), Ok(0), "{rule}: the second look writes nothing");
        }
        for none in [json!([]), Value::Null] {
            let mut denying = clusters(&json!({"podSelector": {}, rules: none}));
            converge(&mut denying).unwrap();
            let found = host(&denying).unwrap().get(rules);
            assert!(found.is_none_or(|found| *found == json!([])), "no rule permits nothing: {found:?}");
        }
    }
}

#[test]
fn a_peer_without_a_selector_means_nobody_and_one_with_an_empty_selector_all_that_it_selects_among() {
    for peer in [json!({}), json!(null), json!({"podSelector": null, "namespaceSelector": null, "ipBlock": null})] {
        let open = NetworkPolicies { allow_any_peer: true, ..NetworkPolicies::default() };
        let spec = json!({"podSelector": {}, "ingress": [{"from": [peer]}]});
        let refused = refused(&mut clusters(&spec).section(open));
        assert!(refused.starts_with("spec.ingress[0].from[0]: names no peer"), "{peer}: {refused}");
    }
    for (peer, expected) in [
        (json!({"podSelector": {}}), json!([in_vc(), in_namespaces(&["shop"])])),
        (json!({"namespaceSelector": {}}), json!([in_vc()])),
    ] {
        let mut clusters = clusters(&json!({"podSelector": {}, "ingress": [{"from": [peer]}]}));
        converge(&mut clusters).unwrap();
        let found = &host(&clusters).unwrap()["ingress"][0]["from"];
        assert_eq!(*found, json!([{"podSelector": {"matchExpressions": expected}}]), "{peer}");
    }
}

#[test]
fn labels_of_namespaces_become_the_namespaces_that_have_them() {
    let team = json!({"matchLabels": {"team": "a"}});
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": team}]}]});
    let namespace = |name: &str, team: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}});
    let mut clusters = clusters(&spec);
    let selected = |clusters: &Clusters| {
        host(clusters).unwrap()["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][1].clone()
    };
    converge(&mut clusters).unwrap();
    assert_eq!(selected(&clusters), in_namespaces(&[""]), "none has them");
    clusters.put(Side::Virtual, namespace("two", "a"));
    clusters.put(Side::Virtual, namespace("one", "a"));
    clusters.put(Side::Virtual, namespace("other", "b"));
    assert_eq!(converge(&mut clusters), Ok(1));
    assert_eq!(selected(&clusters), in_namespaces(&["one", "two"]));
    let outcome = clusters.reconcile(&mapper(), "shop", "web").unwrap();
    assert!(outcome.wait.contains(&Dependency::Any(Side::Virtual, kinds::NAMESPACE)));
}

#[test]
fn nobody_selects_by_our_labels() {
    let with = |peer: Value| json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}, peer]}]});
    let ours = with(json!({"podSelector": {"matchLabels": {"tenet.sh/namespace": "other"}}}));
    assert!(refused(&mut clusters(&ours)).starts_with("spec.ingress[0].from[1]: selects by the reserved label"));
    assert!(refused(&mut clusters(&with(json!({"serviceSelector": {}})))).contains("from[1].serviceSelector"));
}

#[test]
fn one_policy_of_a_namespace_says_that_nothing_enforces_them() {
    let mut clusters = clusters(&json!({"podSelector": {}})).with(Side::Virtual, &POLICY.replace("web", "api"));
    let mut told = |name: &str| clusters.reconcile(&NetworkPolicyNotice::new(), "shop", name).unwrap();
    assert!(
        matches!(&told("api").effects()[..], [Effect::Emit(event)] if event.message.starts_with("nothing enforces"))
    );
    assert!(told("web").effects().is_empty());
}

/// Rules for DNS, as the documentation of Kubernetes and most charts write them.
#[test]
fn a_rule_for_the_port_of_dns_lets_queries_reach_the_server_at_its_own_port() {
    let system = json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
    let dns = json!({"namespaceSelector": system, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}});
    let both = json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]);
    let server = json!({
        "matchLabels": {"k8s-app": "kube-dns"},
        "matchExpressions": [in_vc(), in_namespaces(&["kube-system"])],
    });
    let udp = json!({"protocol": "UDP", "port": 1053});
    let tcp = json!({"protocol": "TCP", "port": 1053});
    let all = json!([udp, tcp]);
    let cases = [
        (json!([dns]), both.clone(), Some(all.clone())),
        (json!([{"namespaceSelector": {}}]), both.clone(), Some(all)),
        (json!([{"namespaceSelector": system}]), json!([{"port": 53, "protocol": "UDP"}]), Some(json!([udp]))),
        (json!([dns]), json!([{"port": 1, "endPort": 100}]), Some(json!([tcp]))),
        (json!([dns]), json!([{"port": 53}, {"port": 1000, "endPort": 2000}]), None),
        (json!([dns]), json!([{"port": 443}, {"port": "dns", "protocol": "UDP"}]), None),
        (json!([{"podSelector": {}}]), both.clone(), None),
        (json!([{"namespaceSelector": system, "podSelector": {"matchLabels": {"app": "web"}}}]), both, None),
    ];
    for (to, ports, added) in cases {
        let mut clusters = clusters(&json!({"podSelector": {}, "egress": [{"to": to, "ports": ports}]}));
        converge(&mut clusters).unwrap();
        let rules = host(&clusters).unwrap()["egress"].as_array().unwrap();
        assert_eq!(rules[0]["ports"], ports);
        let added = added.map(|ports| json!({"to": [{"podSelector": server}], "ports": ports}));
        assert_eq!(rules.get(1), added.as_ref(), "{to} {ports}");
        assert_eq!(converge(&mut clusters), Ok(0), "the second look writes nothing");
    }
}

#[test]
fn a_policy_for_the_server_lets_queries_in_at_its_own_port() {
    let ports = |selector: Value| {
        let spec = json!({"podSelector": selector, "ingress": [{
            "from": [{"namespaceSelector": {}}],
            "ports": [{"port": 53, "protocol": "UDP"}],
        }]});
        let mut clusters = Clusters::default();
        let metadata = json!({"name": "web", "namespace": "kube-system"});
        clusters.put(
            Side::Virtual,
            json!({"apiVersion": KIND.api_version(), "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}),
        );
        clusters.converge(&mapper(), "kube-system", "web").unwrap();
        let copy = clusters.object(Side::Host, KIND, "team-a", "web-x-kube-system-x-vc-1").unwrap();
        copy.at("/spec/ingress/0/ports").unwrap().clone()
    };
    let asked = json!({"port": 53, "protocol": "UDP"});
    let more = json!([asked, {"protocol": "UDP", "port": 1053}]);
    assert_eq!(ports(json!({"matchLabels": {"k8s-app": "kube-dns"}})), more);
    assert_eq!(ports(json!({})), more);
    assert_eq!(ports(json!({"matchLabels": {"app": "web"}})), json!([asked]));
}

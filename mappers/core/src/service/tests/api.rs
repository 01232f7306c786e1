use tenet_mapper::{EventReason, KeysOf};

use super::*;

const KUBERNETES: &str = "
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default, labels: {component: apiserver, provider: kubernetes}}
spec:
  type: ClusterIP
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1]
  internalTrafficPolicy: Cluster
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  ports: [{name: https, port: 443, protocol: TCP, targetPort: 6443}]
  sessionAffinity: None
status: {loadBalancer: {}}";

const HOST: &str = "
apiVersion: v1
kind: Service
metadata: {name: vc-1, namespace: team-a}
spec: {type: LoadBalancer, clusterIP: 10.96.7.7, clusterIPs: [10.96.7.7], ports: [{port: 443, nodePort: 30443}]}";

fn clusters() -> Clusters {
    Clusters::default().with(Side::Virtual, KUBERNETES)
}

fn reconcile(clusters: &mut Clusters) -> Outcome {
    clusters.reconcile(&ServiceMapper::new(), "default", "kubernetes").unwrap()
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&ServiceMapper::new(), "default", "kubernetes").unwrap()
}

fn spec(clusters: &Clusters) -> &Value {
    clusters.object(Side::Virtual, kinds::SERVICE, "default", "kubernetes").unwrap().at("/spec").unwrap()
}

fn endpoints(clusters: &Clusters) -> Option<&Value> {
    clusters.object(Side::Virtual, kinds::ENDPOINTS, "default", "kubernetes")?.at("/subsets")
}

#[test]
fn the_kubernetes_service_has_the_address_of_the_host_service_that_leads_to_it() {
    let mut clusters = clusters().with(Side::Host, HOST);
    assert_eq!(converge(&mut clusters), 3, "two steps, and the Endpoints");
    let mut expected = spec(&self::clusters()).clone();
    expected["clusterIP"] = json!("10.96.7.7");
    expected["clusterIPs"] = json!(["10.96.7.7"]);
    assert_eq!(spec(&clusters), &expected, "all else is as the API server made it");
    assert_eq!(
        endpoints(&clusters),
        Some(
            &json!([{"addresses": [{"ip": "10.96.7.7"}], "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}])
        )
    );
    assert_eq!(converge(&mut clusters), 0);
    let copy = clusters.object(Side::Host, kinds::SERVICE, "team-a", "kubernetes-x-default-x-vc-1");
    assert!(copy.is_none(), "it has no copy");
}

#[test]
fn the_configuration_names_the_host_service() {
    let mut clusters = clusters().with(Side::Host, &HOST.replace("name: vc-1", "name: front-door"));
    clusters = clusters.facts(|facts| facts.api_service = "front-door".to_owned());
    assert_eq!(converge(&mut clusters), 3);
    assert_eq!(spec(&clusters)["clusterIP"], "10.96.7.7");
}

#[test]
fn without_the_host_service_the_tenant_is_told_and_the_address_stays() {
    for host in ["", &HOST.replace("10.96.7.7", "None")] {
        let outcome = reconcile(&mut clusters().with(Side::Host, host));
        let [Effect::Emit(event)] = &outcome.effects()[..] else { panic!("{:?}", outcome.stages) };
        assert_eq!(event.reason, EventReason::Degraded);
        assert!(event.message.contains("vc-1"), "{}", event.message);
        assert_eq!(outcome.wait.len(), 1, "it looks again when the Service comes");
    }
}

#[test]
fn a_change_that_was_begun_is_ended_also_without_the_host_service() {
    let mut clusters = clusters().with(Side::Host, HOST);
    let first = reconcile(&mut clusters).into_effects().swap_remove(0);
    assert_eq!(clusters.perform(first), 1);
    assert_eq!(spec(&clusters)["type"], "ExternalName");
    clusters.vanish(kinds::SERVICE, &HostKey::new("team-a", "vc-1"));
    let second = reconcile(&mut clusters).into_effects().swap_remove(0);
    assert_eq!(clusters.perform(second), 1);
    assert_eq!(spec(&clusters)["type"], "ClusterIP");
}

#[test]
fn endpoints_that_somebody_changed_are_repaired() {
    let mut clusters = clusters().with(Side::Host, HOST);
    converge(&mut clusters);
    clusters.put(
        Side::Virtual,
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "kubernetes", "namespace": "default"},
               "subsets": []}),
    );
    assert_eq!(converge(&mut clusters), 1);
    assert!(endpoints(&clusters).is_some_and(|subsets| subsets[0]["addresses"][0]["ip"] == "10.96.7.7"));
}

#[test]
fn a_host_service_without_the_right_port_is_told() {
    let mut clusters = clusters().with(Side::Host, &HOST.replace("port: 443", "port: 8443"));
    converge(&mut clusters);
    let outcome = reconcile(&mut clusters);
    assert!(matches!(&outcome.effects()[..], [Effect::Emit(event)] if event.message.contains("443")));
}

#[test]
fn only_the_service_of_the_virtual_api_server_wakes_it() {
    let mapper = ServiceMapper::new();
    let keys_of = |yaml: &str, name: &str| {
        let clusters = Clusters::default().with(Side::Host, yaml);
        let service = clusters.object(Side::Host, kinds::SERVICE, "team-a", name).unwrap();
        let keys = mapper.spec().inputs.iter().filter_map(|input| match input.keys {
            KeysOf::Configured(keys_of) => Some(clusters.look(|cx| keys_of(cx.facts(), service))),
            _ => None,
        });
        keys.flatten().collect::<Vec<_>>()
    };
    assert_eq!(keys_of(HOST, "vc-1"), [VirtualKey::new("default", "kubernetes")]);
    assert_eq!(keys_of(&HOST.replace("name: vc-1", "name: other"), "other"), []);
    assert_eq!(keys_of(CLUSTER_IP.host, HOST_NAME), []);
}

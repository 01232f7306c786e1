use tenet_mapper::translate::ServiceRef;

use super::*;

const WORLD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: data}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {type: ClusterIP, clusterIP: 10.96.7.7, clusterIPs: [10.96.7.7], ports: [{name: https, port: 443, protocol: TCP}]}";

const HOST: &str = "
apiVersion: v1
kind: Service
metadata: {name: vc-1, namespace: team-a}
spec: {clusterIP: 10.96.7.7, clusterIPs: [10.96.7.7], ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: postgres, namespace: team-a}
spec:
  clusterIP: 10.96.3.3
  clusterIPs: [10.96.3.3]
  selector: {app: postgres}
  ports: [{name: pg, port: 5432, protocol: TCP, targetPort: 15432, nodePort: 30001}]";

const OWN: &str = "{apiVersion: v1, kind: Service, metadata: {name: pg, namespace: data}, spec: {type: ExternalName}}";

const FOREIGN: &str = "{apiVersion: v1, kind: Service, metadata: {name: shop-web, namespace: team-a}, spec: {}}";

fn listed() -> ReplicateServices {
    let shown = FromHost { from: "postgres".to_owned(), to: ServiceRef::new("data", "pg") };
    let exposed = ToHost { from: ServiceRef::new("shop", "web"), to: "shop-web".to_owned() };
    ReplicateServices { from_host: vec![shown], to_host: vec![exposed] }
}

fn clusters() -> Clusters {
    Clusters::default().with(Side::Virtual, WORLD).with(Side::Host, HOST).section(listed())
}

/// Reconciles the key that every foreign Service of the host wakes.
fn converge_all(clusters: &mut Clusters) -> usize {
    clusters.converge(&ServiceMapper::new(), "default", "kubernetes").unwrap()
}

fn shown(clusters: &Clusters) -> Value {
    clusters.object(Side::Virtual, kinds::SERVICE, "data", "pg").unwrap().value().clone()
}

fn slice(clusters: &Clusters) -> Value {
    clusters.object(Side::Virtual, kinds::ENDPOINT_SLICE, "data", "pg-of-host-ipv4").unwrap().value().clone()
}

#[test]
fn a_service_of_the_host_is_shown_with_its_address_as_the_endpoint() {
    let mut clusters = clusters();
    assert_eq!(converge_all(&mut clusters), 3, "a Service, its slice, and the Endpoints of the API server");
    assert_eq!(converge_all(&mut clusters), 0);
    let service = shown(&clusters);
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["ports"], json!([{"name": "pg", "protocol": "TCP", "port": 5432, "targetPort": 5432}]));
    assert_eq!(service["spec"]["selector"], Value::Null);
    let endpoints = json!([{"addresses": ["10.96.3.3"], "conditions": {"ready": true}}]);
    assert_eq!(slice(&clusters)["endpoints"], endpoints);
    assert_eq!(slice(&clusters)["metadata"]["labels"]["kubernetes.io/service-name"], "pg");

    // Its own key heals what the tenant changes, and makes no copy on the host.
    let mut changed = shown(&clusters);
    changed["spec"]["selector"] = json!({"app": "own"});
    changed["spec"]["ports"] = json!([]);
    clusters.put(Side::Virtual, changed);
    assert_eq!(clusters.converge(&ServiceMapper::new(), "data", "pg").unwrap(), 1);
    assert_eq!(shown(&clusters)["spec"].get("selector"), None);
    assert!(clusters.object(Side::Host, kinds::SERVICE, "team-a", "pg-x-data-x-vc-1").is_none());
}

#[test]
fn what_is_gone_on_the_host_or_in_the_configuration_has_no_endpoints() {
    let mut clusters = clusters();
    converge_all(&mut clusters);
    clusters.vanish(kinds::SERVICE, &HostKey::new("team-a", "postgres"));
    assert_eq!(converge_all(&mut clusters), 1);
    assert_eq!(slice(&clusters)["endpoints"], json!([]));
    assert_eq!(shown(&clusters)["spec"]["clusterIP"], "None", "it is not deleted");
    assert_eq!(converge_all(&mut clusters), 0);

    let mut clusters = self::clusters();
    converge_all(&mut clusters);
    clusters = clusters.section(ReplicateServices::default());
    assert_eq!(clusters.converge(&ServiceMapper::new(), "data", "pg").unwrap(), 1);
    assert_eq!(slice(&clusters)["endpoints"], json!([]));
}

#[test]
fn a_service_of_the_tenant_under_that_name_is_left_alone() {
    let mut clusters = clusters().with(Side::Virtual, OWN);
    assert_eq!(converge_all(&mut clusters), 1, "the Endpoints of the API server");
    let mut without = Clusters::default().with(Side::Host, HOST).section(listed());
    without = without.with(Side::Virtual, WORLD.split("---").nth(1).unwrap());
    assert_eq!(converge_all(&mut without), 1, "its namespace does not exist yet");
}

#[test]
fn a_service_inside_has_a_further_name_on_the_host() {
    let mut clusters = CLUSTER_IP.virtual_only().section(listed());
    assert_eq!(converge(&mut clusters), 2);
    assert_eq!(converge(&mut clusters), 0);
    let further = |clusters: &Clusters| clusters.object(Side::Host, kinds::SERVICE, "team-a", "shop-web").cloned();
    let (copy, exposed) = (host(&clusters).unwrap().clone(), further(&clusters).unwrap());
    assert_eq!(exposed.at("/spec/selector"), copy.at("/spec/selector"));
    assert_eq!(exposed.at("/spec/clusterIP"), None, "the host gives it an address");
    assert_eq!(exposed.str_at("/spec/type"), Some("ClusterIP"));

    let mut without = CLUSTER_IP.virtual_only();
    for object in [copy, exposed] {
        without.put(Side::Host, object.value().clone());
    }
    let outcome = reconcile(&mut without).unwrap();
    let deletes: Vec<_> = outcome.effects().into_iter().filter(|effect| effect.verb() == "delete").collect();
    assert_eq!(deletes.iter().map(|it| it.target().name.to_string()).collect::<Vec<_>>(), ["shop-web"]);

    let mut taken = CLUSTER_IP.virtual_only().with(Side::Host, FOREIGN).section(listed());
    assert_eq!(converge(&mut taken), 1, "the copy");
    assert_eq!(further(&taken).unwrap().at("/spec"), Some(&json!({})));
}

#[test]
fn the_further_name_goes_with_the_service() {
    let mut clusters = CLUSTER_IP.virtual_only().section(listed());
    converge(&mut clusters);
    let mut gone = Clusters::default().section(listed());
    for name in [HOST_NAME, "shop-web"] {
        let object = clusters.object(Side::Host, kinds::SERVICE, "team-a", name).unwrap();
        gone.put(Side::Host, object.value().clone());
    }
    assert_eq!(converge(&mut gone), 2);
}

use serde_json::Value;
use tenet_mapper::testing::Clusters;

use super::*;

/// 2026-11-23T06:00:00Z.
const NOW: i64 = 1_795_413_600;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, uid: v}";

const HOST_POD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: web-x-shop-x-vc-1
  namespace: team-a
  uid: h
  labels: {tenet.sh/managed-by: vc-1, tenet.sh/namespace: shop}
  annotations:
    tenet.sh/cluster: 00000000-0000-0000-0000-00000000c1d0
    tenet.sh/host-name: team-a/web-x-shop-x-vc-1
    tenet.sh/kind: Pod
    tenet.sh/name: web
    tenet.sh/namespace: shop
    tenet.sh/uid: v";

/// As a kubelet writes it.
const COUNTED: &str = "
apiVersion: v1
kind: Event
metadata: {name: web-x-shop-x-vc-1.1, namespace: team-a, uid: e1, creationTimestamp: '2026-11-23T05:58:00Z'}
involvedObject:
  {apiVersion: v1, kind: Pod, namespace: team-a, name: web-x-shop-x-vc-1, uid: h, fieldPath: 'spec.containers{main}'}
reason: BackOff
message: Back-off restarting failed container main in pod web-x-shop-x-vc-1_team-a(h)
type: Warning
source: {component: kubelet, host: node-1}
reportingComponent: kubelet
reportingInstance: node-1
count: 3
firstTimestamp: '2026-11-23T05:58:00Z'
lastTimestamp: '2026-11-23T05:59:00Z'";

/// As a scheduler writes it.
const SERIES: &str = "
apiVersion: v1
kind: Event
metadata: {name: web-x-shop-x-vc-1.2, namespace: team-a, uid: e2, creationTimestamp: '2026-11-23T05:57:00Z'}
involvedObject: {apiVersion: v1, kind: Pod, namespace: team-a, name: web-x-shop-x-vc-1, uid: h}
reason: FailedScheduling
message: '0/1 nodes are available: volume of claim team-a/data-x-shop-x-vc-1 is not there'
type: Warning
action: Scheduling
eventTime: '2026-11-23T05:57:00.123456Z'
series: {count: 7, lastObservedTime: '2026-11-23T05:58:30.654321Z'}
reportingComponent: default-scheduler
reportingInstance: default-scheduler-host
source: {}
firstTimestamp: null
lastTimestamp: null";

fn clusters() -> Clusters {
    Clusters::default().at(NOW).with(Side::Virtual, PODS).with(Side::Host, HOST_POD)
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&EventMapper::new(), "Pod", "web-x-shop-x-vc-1").unwrap()
}

fn shown(clusters: &Clusters, uid: &str) -> Option<Value> {
    let name = format!("web.{}", digest::of_parts("event", &[uid]));
    clusters.object(Side::Virtual, kinds::EVENT, "shop", &name).map(|event| event.value().clone())
}

#[test]
fn an_event_of_the_host_is_shown_on_the_virtual_pod_in_its_names() {
    let mut clusters = clusters().with(Side::Host, COUNTED).with(Side::Host, SERIES);
    assert_eq!(converge(&mut clusters), 2);
    let event = shown(&clusters, "e1").unwrap();
    assert_eq!(event["message"], "Back-off restarting failed container main in pod web_shop(v)");
    let subject = json!({"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web", "uid": "v",
                         "fieldPath": "spec.containers{main}"});
    assert_eq!(event["involvedObject"], subject);
    assert_eq!((&event["source"], &event["count"]), (&json!({"component": "kubelet"}), &json!(3)));
    let series = shown(&clusters, "e2").unwrap();
    assert_eq!(series["message"], "0/1 nodes are available: volume of claim shop/data is not there");
    assert_eq!((&series["count"], &series["type"]), (&json!(7), &json!("Warning")));
    assert_eq!(series["firstTimestamp"], "2026-11-23T05:57:00Z");
    assert_eq!(series["lastTimestamp"], "2026-11-23T05:58:30Z");
    assert_eq!(series["source"], json!({"component": "default-scheduler"}));
    for event in [event, series] {
        let text = event.to_string();
        assert!(!text.contains("-x-") && !text.contains("team-a") && !text.contains("node-1"), "{text}");
    }
    assert_eq!(converge(&mut clusters), 0, "the second look writes nothing");
}

#[test]
fn a_count_that_grows_is_written_once_per_interval() {
    let mut clusters = clusters().with(Side::Host, COUNTED);
    converge(&mut clusters);
    let again = COUNTED.replace("count: 3", "count: 4").replace("05:59:00", "05:59:55");
    let mut clusters = clusters.with(Side::Host, &again);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(shown(&clusters, "e1").unwrap()["count"], 4);
    let more = COUNTED.replace("count: 3", "count: 5").replace("05:59:00", "05:59:58");
    let mut clusters = clusters.with(Side::Host, &more);
    let outcome = clusters.reconcile(&EventMapper::new(), "Pod", "web-x-shop-x-vc-1").unwrap();
    assert!(outcome.stages.is_empty() && outcome.next == Next::At(NOW + 5), "{outcome:?}");
    let mut clusters = clusters.at(NOW + 5);
    assert_eq!(converge(&mut clusters), 1);
    assert_eq!(shown(&clusters, "e1").unwrap()["count"], 5);
}

#[test]
fn events_about_what_is_not_ours_stay_outside() {
    let other = |from: &str, to: &str| COUNTED.replace(from, to);
    for (why, host, event) in [
        ("a foreign pod", HOST_POD.replace("00000000c1d0", "00000000beef"), COUNTED.to_owned()),
        ("another incarnation of the host pod", HOST_POD.to_owned(), other("uid: h,", "uid: g,")),
        ("another incarnation of the virtual pod", HOST_POD.replace("uid: v", "uid: w"), COUNTED.to_owned()),
        ("another kind", HOST_POD.to_owned(), other("kind: Pod, namespace", "kind: ReplicaSet, namespace")),
        ("a pod of another group", HOST_POD.to_owned(), other("{apiVersion: v1,", "{apiVersion: example.com/v1,")),
        ("an old one", HOST_POD.to_owned(), other("05:59:00", "05:14:00")),
    ] {
        let mut clusters =
            Clusters::default().at(NOW).with(Side::Virtual, PODS).with(Side::Host, &host).with(Side::Host, &event);
        assert_eq!(converge(&mut clusters), 0, "{why}");
    }
}

#[test]
fn an_event_that_comes_before_its_pod_waits_for_it() {
    let mut clusters = Clusters::default().at(NOW).with(Side::Virtual, PODS).with(Side::Host, COUNTED);
    let outcome = clusters.reconcile(&EventMapper::new(), "Pod", "web-x-shop-x-vc-1").unwrap();
    let pod = Dependency::host(kinds::POD, &HostKey::new("team-a", "web-x-shop-x-vc-1"));
    assert!(outcome.wait.contains(&pod), "{outcome:?}");
    let mut clusters = clusters.with(Side::Host, HOST_POD);
    assert_eq!(converge(&mut clusters), 1);
}

#[test]
fn of_many_events_of_one_object_the_latest_are_shown() {
    let mut clusters = clusters();
    for n in 0..60 {
        let event = COUNTED.replace("uid: e1", &format!("uid: n{n}")).replace("vc-1.1,", &format!("vc-1.n{n},"));
        clusters = clusters.with(Side::Host, &event.replace("05:59:00", &format!("05:59:{n:02}")));
    }
    assert_eq!(converge(&mut clusters), PER_OBJECT);
    assert!(shown(&clusters, "n59").is_some() && shown(&clusters, "n34").is_none());
    assert_eq!(converge(&mut clusters), 0);
}

/// Such a name is a digest on the host, so that only the pod says of what.
#[test]
fn a_long_name_that_the_pod_refers_to_is_told() {
    let secret = "s".repeat(60);
    let spec = format!("spec: {{volumes: [{{name: v, secret: {{secretName: {secret}}}}}]}}");
    let mut clusters = Clusters::default().at(NOW).with(Side::Virtual, &format!("{PODS}\n{spec}"));
    let host = clusters.look(|cx| cx.host_key(kinds::SECRET, &VirtualKey::new("shop", secret.as_str())));
    let message = format!("message: secret \"{}\" not found", host.name());
    let event = COUNTED.lines().map(|line| if line.starts_with("message:") { message.as_str() } else { line });
    let event = event.collect::<Vec<_>>().join("\n");
    clusters = clusters.with(Side::Host, HOST_POD).with(Side::Host, &event);
    converge(&mut clusters);
    assert_eq!(shown(&clusters, "e1").unwrap()["message"], format!("secret \"{secret}\" not found"));
}

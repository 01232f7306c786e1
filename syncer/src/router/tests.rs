//! The cache and what the router derives from it are written one after the other; the first tests
//! are the orders in which two threads may do so. The others count who is woken.

use futures::FutureExt;
use serde_json::{Value, json};
use tenet_mapper::keys::BOUND;
use tenet_mapper::rules::{Table, reference};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{Bind, CopyMapper, HostKey, Input, MapperSpec, Projection, kinds, plan};

use super::*;
use crate::cache::Change;
use crate::queue::Again;

/// A kind that shares its name with one of the core group.
const OTHER: Kind = Kind::of("other.example.com", "v1", "ConfigMap", "configmaps");

struct Rig {
    router: Router,
    pods: Cache,
}

impl Rig {
    fn new() -> Self {
        let node_of =
            |pod: &Object| pod.str_at("/spec/nodeName").map(|node| VirtualKey::new("", node)).into_iter().collect();
        let table = Table::new(&[("", &[reference("spec.configMap", kinds::CONFIG_MAP.group_kind())])]).unwrap();
        let spec = MapperSpec::both_sides("pod", kinds::POD, table).reads(Input::new(
            Side::Virtual,
            kinds::POD,
            Projection::Whole,
            KeysOf::With(node_of),
        ));
        let mappers = Mappers::new(vec![Box::new(CopyMapper::of_table(spec))]).unwrap();
        let router = Router::new(Arc::new(mappers), Arc::new(Queue::default()), "vc-1", "id");
        Self { router, pods: Cache::new(Side::Virtual, kinds::POD, Projection::Whole) }
    }

    /// Work of a thread that is interrupted before it notifies the router.
    fn stored(&self, pod: &Value) -> (Object, Sight) {
        match self.pods.store(pod.clone()) {
            Change::Stored(object, sight) => (object, sight),
            Change::None => panic!("not stored"),
        }
    }

    fn changed(&self, (object, sight): &(Object, Sight)) {
        self.router.changed(&self.pods, object, sight);
    }

    fn removed(&self, pod: &Value) -> Object {
        self.pods.remove(pod).expect("removed")
    }

    fn is_used(&self, config_map: &str) -> bool {
        self.router.is_mentioned(kinds::CONFIG_MAP, &VirtualKey::new("n", config_map))
    }

    fn on(&self, node: &str) -> usize {
        // The third input of the mapper.
        sources(&self.router, MapperId::new("pod"), 2, node).len()
    }
}

/// All objects that touch a node.
fn sources(router: &Router, mapper: MapperId, position: usize, node: &str) -> Vec<NamespacedName> {
    let mut all = Vec::new();
    router.visit_sources(mapper, position, &VirtualKey::new("", node), |place| {
        all.push(place.clone());
        true
    });
    all
}

fn pod(uid: &str, version: &str, config_map: &str, node: &str) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": "p", "uid": uid, "resourceVersion": version},
        "spec": {"configMap": config_map, "nodeName": node},
    })
}

fn copy_of(kind: Kind) -> Value {
    let owner = OwnerRecord {
        cluster: "id".to_owned(),
        kind: kind.group_kind(),
        namespace: "n".to_owned(),
        name: "c".to_owned(),
        uid: "u".to_owned(),
    };
    json!({"metadata": {
        "namespace": "team-a", "name": "c-x-n-x-vc-1", "uid": "1", "resourceVersion": "1",
        "labels": owner.labels("vc-1"), "annotations": owner.annotations("team-a", "c-x-n-x-vc-1"),
    }})
}

/// The mappers of the keys that are ready, in order of their ids.
fn drain(queue: &Queue) -> Vec<String> {
    let mut mappers = Vec::new();
    while let Some(ticket) = queue.pop().now_or_never() {
        queue.done(&ticket.key, Again::No);
        mappers.push(ticket.key.mapper.to_string());
    }
    mappers.sort_unstable();
    mappers
}

#[test]
fn a_change_told_after_the_end_of_its_object_revives_nothing() {
    let rig = Rig::new();
    rig.changed(&rig.stored(&pod("1", "1", "c", "a")));
    assert!(rig.is_used("c") && rig.on("a") == 1);
    let late = rig.stored(&pod("1", "2", "c", "a"));
    rig.router.gone(&rig.pods, &rig.removed(&pod("1", "3", "c", "a")));
    rig.changed(&late);
    assert!(!rig.is_used("c") && rig.on("a") == 0);
}

#[test]
fn an_end_told_after_the_next_object_of_that_name_takes_nothing_from_it() {
    let rig = Rig::new();
    rig.changed(&rig.stored(&pod("1", "1", "c", "a")));
    let late = rig.removed(&pod("1", "2", "c", "a"));
    rig.changed(&rig.stored(&pod("2", "3", "d", "b")));
    rig.router.gone(&rig.pods, &late);
    assert_eq!((rig.is_used("c"), rig.is_used("d"), rig.on("a"), rig.on("b")), (false, true, 0, 1));
}

#[test]
fn of_two_changes_the_newer_one_counts_in_whatever_order_they_are_told() {
    let rig = Rig::new();
    let old = rig.stored(&pod("1", "1", "c", "a"));
    let new = rig.stored(&pod("1", "2", "d", "b"));
    rig.changed(&new);
    rig.changed(&old);
    assert_eq!((rig.is_used("c"), rig.is_used("d"), rig.on("a"), rig.on("b")), (false, true, 0, 1));
}

/// Pods as the mapper of pods and the mapper of nodes read them, and Secrets of which only the
/// metadata is known.
struct Woken {
    router: Router,
    queue: Arc<Queue>,
    pods: Cache,
    secrets: Cache,
}

const PODS: MapperId = MapperId::new("pod");
const NODES: MapperId = MapperId::new("node");
const SECRETS: MapperId = MapperId::new("secret");
const NOBODY: [MapperId; 0] = [];

impl Woken {
    fn new() -> Self {
        let node_of =
            |pod: &Object| pod.str_at("/spec/nodeName").map(|node| VirtualKey::new("", node)).into_iter().collect();
        let fields = Projection::Fields(&["spec.nodeName", "status.hostIP"]);
        let own = |name, kind, projection| {
            MapperSpec::new(name, kind).reads(Input::new(Side::Virtual, kind, projection, KeysOf::Own))
        };
        let nodes = own("node", kinds::NODE, Projection::Whole).reads(Input::new(
            Side::Virtual,
            kinds::POD,
            fields,
            KeysOf::With(node_of),
        ));
        let specs =
            [own("pod", kinds::POD, Projection::Whole), nodes, own("secret", kinds::SECRET, Projection::Metadata)];
        let mappers: Vec<Box<dyn Mapper>> =
            specs.into_iter().map(|spec| Box::new(CopyMapper::of_table(spec)) as Box<dyn Mapper>).collect();
        let queue = Arc::new(Queue::default());
        let router = Router::new(Arc::new(Mappers::new(mappers).unwrap()), Arc::clone(&queue), "vc-1", "id");
        for mapper in [PODS, NODES, SECRETS] {
            router.start(mapper);
        }
        let cache = |kind, projection| {
            let cache = Cache::new(Side::Virtual, kind, projection);
            cache.read_through(router.readers(Side::Virtual, kind));
            cache
        };
        let (pods, secrets) = (cache(kinds::POD, Projection::Whole), cache(kinds::SECRET, Projection::Metadata));
        Self { router, queue, pods, secrets }
    }

    /// An event of the watch. Returns the mappers whose reconcile it leads to.
    fn event(&self, cache: &Cache, object: &Value) -> Vec<MapperId> {
        let Change::Stored(object, sight) = cache.store(object.clone()) else { panic!("not stored") };
        self.router.changed(cache, &object, &sight);
        self.reconciles()
    }

    fn reconciles(&self) -> Vec<MapperId> {
        let mut mappers = Vec::new();
        while let Some(ticket) = self.queue.pop().now_or_never() {
            mappers.push(ticket.key.mapper);
            self.queue.done(&ticket.key, Again::No);
        }
        mappers.sort_unstable();
        mappers
    }
}

fn on(version: u32, node: &str, phase: &str) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": "p", "uid": "u", "resourceVersion": version.to_string()},
        "spec": {"nodeName": node},
        "status": {"phase": phase},
    })
}

#[test]
fn an_event_wakes_only_the_mappers_that_read_what_has_changed() {
    let all = Woken::new();
    assert_eq!(all.event(&all.pods, &on(1, "a", "Pending")), [NODES, PODS], "a new object concerns all");
    assert_eq!(all.event(&all.pods, &on(2, "a", "Running")), [PODS], "a phase is no affair of the node");
    assert_eq!(all.event(&all.pods, &on(3, "a", "Running")), NOBODY, "a version alone is nobody's");
    assert_eq!(all.event(&all.pods, &on(4, "b", "Running")), [NODES, NODES, PODS], "the node before and the one now");
    let mut managed = on(5, "b", "Running");
    managed["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    assert_eq!(all.event(&all.pods, &managed), NOBODY);
    let mut deleting = on(6, "b", "Running");
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(all.event(&all.pods, &deleting), [NODES, PODS], "a delete concerns all");
}

#[test]
fn a_hundred_changes_of_a_status_cost_the_node_nothing() {
    let all = Woken::new();
    all.event(&all.pods, &on(1, "a", "0"));
    let woken: Vec<MapperId> =
        (2..102).flat_map(|version| all.event(&all.pods, &on(version, "a", &version.to_string()))).collect();
    assert_eq!(woken, [PODS; 100]);
}

#[test]
fn the_version_counts_where_content_is_not_watched() {
    let all = Woken::new();
    let secret =
        |version: &str| json!({"metadata": {"namespace": "n", "name": "s", "uid": "u", "resourceVersion": version}});
    assert_eq!(all.event(&all.secrets, &secret("1")), [SECRETS]);
    assert_eq!(all.event(&all.secrets, &secret("2")), [SECRETS]);
}

#[test]
fn a_waiting_key_is_woken_by_any_change() {
    let all = Woken::new();
    all.event(&all.pods, &on(1, "a", "Running"));
    let key = Key { mapper: SECRETS, object: VirtualKey::new("n", "s") };
    all.router.wait(&key, BTreeSet::from([Dependency::virt(kinds::POD, &VirtualKey::new("n", "p"))]));
    assert_eq!(all.event(&all.pods, &on(2, "a", "Running")), [SECRETS]);
    assert_eq!(all.event(&all.pods, &on(3, "a", "Running")), NOBODY, "once");
}

#[test]
fn a_change_that_takes_back_what_a_write_has_noted_wakes_all() {
    let all = Woken::new();
    all.event(&all.pods, &on(1, "a", "Pending"));
    all.pods.amend("n", "p", |pod| pod["spec"]["nodeName"] = json!("b"));
    assert_eq!(all.event(&all.pods, &on(2, "a", "Pending")), [NODES, PODS]);
}

#[test]
fn the_event_of_a_binding_wakes_all_but_the_mapper_that_has_written_it() {
    let bind = Bind { pod: VirtualKey::new("n", "p"), uid: "u".to_owned(), node: "b".to_owned() };
    let bound = |version: u32, phase: &str| {
        let mut pod = on(version, "b", phase);
        let time = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": "2027-01-15T08:00:00Z"});
        pod["status"]["conditions"] = json!([time]);
        pod["metadata"]["annotations"] = json!({BOUND: "u"});
        pod
    };
    for (phase, woken) in [("Pending", &[NODES][..]), ("Failed", &[NODES, PODS])] {
        let all = Woken::new();
        let mut pod = on(1, "", "Pending");
        pod["spec"] = json!({});
        all.event(&all.pods, &pod);
        all.pods.amend("n", "p", |pod| plan::note_binding(pod, &bind));
        assert_eq!(all.event(&all.pods, &bound(2, phase)), woken, "{phase}");
        assert_eq!(all.event(&all.pods, &bound(3, "Running")), [PODS]);
    }
}

#[test]
fn a_reader_that_comes_later_sees_the_next_change_of_every_object() {
    let all = Woken::new();
    all.event(&all.pods, &on(1, "a", "Pending"));
    all.pods.read_through(all.router.readers(Side::Virtual, kinds::POD));
    assert_eq!(all.event(&all.pods, &on(2, "a", "Pending")), [NODES, PODS]);
    assert_eq!(all.event(&all.pods, &on(3, "a", "Pending")), NOBODY);
}

#[test]
fn a_change_wakes_every_key_but_the_one_that_has_caused_it() {
    let all = Woken::new();
    let Change::Stored(object, sight) = all.pods.store(on(1, "a", "Pending")) else { panic!("not stored") };
    let cause = Key { mapper: PODS, object: VirtualKey::new("n", "p") };
    all.router.changed_by(&all.pods, &object, &sight, Some(&cause));
    assert_eq!(all.reconciles(), [NODES]);
    let other = Key { mapper: PODS, object: VirtualKey::new("n", "q") };
    all.router.changed_by(&all.pods, &object, &sight, Some(&other));
    assert_eq!(all.reconciles(), [NODES, PODS]);
}

#[test]
fn an_index_that_an_unseen_change_brings_up_to_date_wakes_both_ends() {
    let all = Woken::new();
    all.event(&all.pods, &on(1, "a", "Pending"));
    // The thread that has stored the move is interrupted; the next change shows no node another one.
    let Change::Stored(moved, sight) = all.pods.store(on(2, "b", "Pending")) else { panic!("not stored") };
    assert_eq!(all.event(&all.pods, &on(3, "b", "Running")), [NODES, NODES, PODS]);
    assert_eq!(sources(&all.router, NODES, 1, "b").len(), 1);
    all.router.changed(&all.pods, &moved, &sight);
    assert_eq!(sources(&all.router, NODES, 1, "b").len(), 1);
}

#[test]
fn the_pages_of_sources_have_each_object_once_and_in_order() {
    let rig = Rig::new();
    let names: Vec<_> = (100..300).map(|number| format!("p-{number}")).collect();
    for name in names.iter().rev() {
        let mut pod = pod(name, "1", "", "node");
        pod["metadata"]["name"] = json!(name);
        rig.changed(&rig.stored(&pod));
    }
    let all = sources(&rig.router, MapperId::new("pod"), 2, "node");
    assert_eq!(all.iter().map(|place| &*place.name).collect::<Vec<_>>(), names);
}

#[test]
fn two_kinds_of_one_name_in_two_groups_never_meet() {
    let spec = |name, kind| Box::new(CopyMapper::of_table(MapperSpec::both_sides(name, kind, Table::default())));
    let table = Table::new(&[("", &[reference("spec.configMap", kinds::CONFIG_MAP.group_kind())])]).unwrap();
    let pods = Box::new(CopyMapper::of_table(MapperSpec::both_sides("pod", kinds::POD, table)));
    let mappers = Mappers::new(vec![spec("core", kinds::CONFIG_MAP), spec("other", OTHER), pods]).unwrap();
    let queue = Arc::new(Queue::default());
    let router = Router::new(Arc::new(mappers), Arc::clone(&queue), "vc-1", "id");
    for mapper in ["core", "other", "pod"] {
        router.start(MapperId::new(mapper));
    }
    let cache = Cache::new(Side::Virtual, kinds::POD, Projection::Whole);
    let Change::Stored(pod, sight) = cache.store(pod("1", "1", "c", "a")) else { panic!("not stored") };
    router.changed(&cache, &pod, &sight);
    assert_eq!(drain(&queue), ["core", "pod"], "the reference wakes the kind that it names");
    let key = VirtualKey::new("n", "c");
    let referrer = Key { mapper: MapperId::new("pod"), object: VirtualKey::new("n", "p") };
    router.judge(&referrer, Standing::Admitted);
    assert_eq!(drain(&queue), ["core"], "it is needed when the reconcile has accepted what refers to it");
    assert!(router.is_referenced(kinds::CONFIG_MAP, &key) && !router.is_referenced(OTHER, &key));

    for (kind, mapper) in [(kinds::CONFIG_MAP, "core"), (OTHER, "other")] {
        let cache = Cache::new(Side::Host, kind, Projection::Whole);
        let Change::Stored(copy, sight) = cache.store(copy_of(kind)) else { panic!("not stored") };
        router.changed(&cache, &copy, &sight);
        assert_eq!(drain(&queue), [mapper], "the owner record of {kind}");
    }
}

fn host_pod(version: &str, owner: Kind) -> Value {
    let record = OwnerRecord {
        cluster: "id".to_owned(),
        kind: owner.group_kind(),
        namespace: "n".to_owned(),
        name: "p".to_owned(),
        uid: "u".to_owned(),
    };
    json!({"metadata": {"namespace": "team-a", "name": "p-x-n-x-vc-1", "uid": "host", "resourceVersion": version,
        "labels": record.labels("vc-1"), "annotations": record.annotations("team-a", "p-x-n-x-vc-1")}})
}

#[test]
fn a_last_state_is_acknowledged_at_the_version_that_was_looked_at() {
    let rig = Rig::new();
    let key = HostKey::new("team-a", "p-x-n-x-vc-1");
    let host = Cache::new(Side::Host, kinds::POD, Projection::Whole);
    let gone = |version| rig.router.gone(&host, &Object::new(host_pod(version, kinds::POD)));
    gone("5");
    let seen = rig.router.last_states().version(kinds::POD, &key).unwrap();
    gone("7");
    rig.router.last_states().acknowledge(kinds::POD, &key, &seen);
    assert_eq!(
        rig.router.last_states().get(kinds::POD, &key).unwrap().resource_version(),
        "7",
        "nobody has looked at it"
    );
    rig.router.last_states().acknowledge(
        kinds::POD,
        &key,
        &rig.router.last_states().version(kinds::POD, &key).unwrap(),
    );
    assert!(rig.router.is_empty());
}

#[test]
fn the_last_state_of_an_object_that_nobody_acknowledges_is_not_kept() {
    let rig = Rig::new();
    let secrets = Cache::new(Side::Host, kinds::SECRET, Projection::Whole);
    rig.router.gone(&secrets, &Object::new(host_pod("5", kinds::POD)));
    assert!(rig.router.is_empty());
}

#[test]
fn a_key_waits_only_for_what_it_asked_for_last() {
    let rig = Rig::new();
    let key = |name: &str| Key { mapper: MapperId::new("pod"), object: VirtualKey::new("n", name) };
    let on = |name: &str| Dependency::virt(kinds::CONFIG_MAP, &VirtualKey::new("n", name));
    let maps = Cache::new(Side::Virtual, kinds::CONFIG_MAP, Projection::Whole);
    let change = |name: &str| {
        let map = json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": "1"}});
        rig.router.enqueue_object(&maps, &Object::new(map), Lane::Change);
    };
    rig.router.wait(&key("a"), BTreeSet::from([on("x"), on("y")]));
    rig.router.wait(&key("a"), BTreeSet::from([on("y")]));
    rig.router.wait(&key("b"), BTreeSet::from([on("y"), on("z")]));
    change("x");
    assert!(rig.router.queue.is_empty(), "the wait for it was replaced");
    change("y");
    assert_eq!(rig.router.queue.len(), 2);
    assert!(rig.router.is_empty(), "a woken key asks anew");
    rig.router.wait(&key("a"), BTreeSet::from([on("x")]));
    rig.router.wait(&key("a"), BTreeSet::new());
    assert!(rig.router.is_empty());
}

#[test]
fn nothing_is_left_of_objects_that_have_come_and_gone() {
    let rig = Rig::new();
    let host = Cache::new(Side::Host, kinds::POD, Projection::Whole);
    for number in 0..1000 {
        let mut virt = pod("1", "1", "c", "a");
        virt["metadata"]["name"] = json!(format!("p{number}"));
        virt["metadata"]["uid"] = json!(format!("u{number}"));
        rig.changed(&rig.stored(&virt));
        let last = rig.removed(&virt);
        rig.router.gone(&rig.pods, &last);
        rig.router.gone(&host, &Object::new(host_pod(&format!("{}", number + 1), kinds::POD)));
    }
    let key = HostKey::new("team-a", "p-x-n-x-vc-1");
    rig.router.last_states().acknowledge(
        kinds::POD,
        &key,
        &rig.router.last_states().version(kinds::POD, &key).unwrap(),
    );
    assert!(rig.router.is_empty(), "{} entries", rig.router.len());
}

/// Two mappers read Services of the host by their owner.
#[test]
fn a_changed_owner_record_is_told_once_for_an_event_and_not_by_a_patrol() {
    let both = |id, kind| MapperSpec::both_sides(id, kind, Table::new(&[]).unwrap());
    let services = Input::new(Side::Host, kinds::SERVICE, Projection::Whole, KeysOf::Owner);
    let specs = [both("service", kinds::SERVICE), both("secret", kinds::SECRET).reads(services)];
    let copies = specs.map(|spec| Box::new(CopyMapper::of_table(spec)) as Box<dyn Mapper>);
    let metrics = Arc::new(Metrics::new().unwrap());
    let mappers = Arc::new(Mappers::new(copies.into()).unwrap());
    let router = Router::new(mappers, Arc::default(), "vc-1", "id").counting(Arc::clone(&metrics));
    let owner = OwnerRecord {
        cluster: "id".to_owned(),
        kind: kinds::SERVICE.group_kind(),
        namespace: "n".to_owned(),
        name: "web".to_owned(),
        uid: "u".to_owned(),
    };
    let mut service = json!({"metadata": {
        "namespace": "team-a", "name": "web-x", "uid": "h", "resourceVersion": "1",
        "labels": owner.labels("vc-1"), "annotations": owner.annotations("team-a", "web-x"),
    }});
    service["metadata"]["annotations"]["tenet.sh/uid"] = json!("another");
    let cache = Cache::new(Side::Host, kinds::SERVICE, Projection::Whole);
    let Change::Stored(object, sight) = cache.store(service) else { panic!("not stored") };
    router.changed(&cache, &object, &sight);
    router.enqueue_object(&cache, &object, Lane::Patrol);
    let text = String::from_utf8(metrics.text()).unwrap();
    let told: Vec<_> = text.lines().filter(|line| line.starts_with("tenet_owner_records_changed_total{")).collect();
    assert_eq!(told, ["tenet_owner_records_changed_total{kind=\"Service\"} 1"]);
}

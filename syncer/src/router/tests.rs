//! The cache and what the router derives from it are written one after the other; these are
//! the orders in which two threads may do so.

use serde_json::{Value, json};
use tenet_mapper::rules::{Table, reference};
use tenet_mapper::{CopyMapper, Input, MapperSpec, Projection, kinds};

use super::*;
use crate::cache::Change;

struct Rig {
    router: Router,
    pods: Cache,
}

impl Rig {
    fn new() -> Self {
        let node_of =
            |pod: &Object| pod.str_at("/spec/nodeName").map(|node| VirtualKey::new("", node)).into_iter().collect();
        let table = Table::new(&[("", &[reference("spec.configMap", "ConfigMap")])]).unwrap();
        let spec = MapperSpec::both_sides("pod", kinds::POD, table).reads(Input::new(
            Side::Virtual,
            kinds::POD,
            Projection::Whole,
            KeysOf::With(node_of),
        ));
        let mappers: Arc<[Box<dyn Mapper>]> = Arc::new([Box::new(CopyMapper::of_table(spec))]);
        let router = Router::new(mappers, Arc::new(Queue::default()), "vc-1", "id");
        Self { router, pods: Cache::new(Side::Virtual, kinds::POD, Projection::Whole) }
    }

    /// What a thread has in hand when it is interrupted before it tells the router.
    fn stored(&self, pod: &Value) -> Object {
        match self.pods.store(pod.clone()) {
            Change::Stored(object) => object,
            Change::None => panic!("not stored"),
        }
    }

    fn removed(&self, pod: &Value) -> Object {
        self.pods.remove(pod).expect("removed")
    }

    fn is_used(&self, config_map: &str) -> bool {
        self.router.is_referenced(kinds::CONFIG_MAP, &VirtualKey::new("n", config_map))
    }

    fn on(&self, node: &str) -> usize {
        // The third input of the mapper.
        self.router.sources(0, 2, &VirtualKey::new("", node)).len()
    }
}

fn pod(uid: &str, version: &str, config_map: &str, node: &str) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": "p", "uid": uid, "resourceVersion": version},
        "spec": {"configMap": config_map, "nodeName": node},
    })
}

#[test]
fn a_change_told_after_the_end_of_its_object_revives_nothing() {
    let rig = Rig::new();
    rig.router.changed(&rig.pods, &rig.stored(&pod("1", "1", "c", "a")));
    assert!(rig.is_used("c") && rig.on("a") == 1);
    let late = rig.stored(&pod("1", "2", "c", "a"));
    rig.router.gone(&rig.pods, &rig.removed(&pod("1", "3", "c", "a")));
    rig.router.changed(&rig.pods, &late);
    assert!(!rig.is_used("c") && rig.on("a") == 0);
}

#[test]
fn an_end_told_after_the_next_object_of_that_name_takes_nothing_from_it() {
    let rig = Rig::new();
    rig.router.changed(&rig.pods, &rig.stored(&pod("1", "1", "c", "a")));
    let late = rig.removed(&pod("1", "2", "c", "a"));
    rig.router.changed(&rig.pods, &rig.stored(&pod("2", "3", "d", "b")));
    rig.router.gone(&rig.pods, &late);
    assert_eq!((rig.is_used("c"), rig.is_used("d"), rig.on("a"), rig.on("b")), (false, true, 0, 1));
}

#[test]
fn of_two_changes_the_newer_one_counts_in_whatever_order_they_are_told() {
    let rig = Rig::new();
    let old = rig.stored(&pod("1", "1", "c", "a"));
    let new = rig.stored(&pod("1", "2", "d", "b"));
    rig.router.changed(&rig.pods, &new);
    rig.router.changed(&rig.pods, &old);
    assert_eq!((rig.is_used("c"), rig.is_used("d"), rig.on("a"), rig.on("b")), (false, true, 0, 1));
}

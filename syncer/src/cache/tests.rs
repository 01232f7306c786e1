use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use tenet_mapper::kinds;

use super::*;

fn cache() -> Cache {
    Cache::new(Side::Virtual, kinds::POD, Projection::Whole)
}

fn pod(name: &str, version: &str) -> Value {
    json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version, "uid": format!("u-{name}")}, "v": version})
}

#[test]
fn an_older_version_never_replaces_a_newer_one() {
    let cache = cache();
    assert!(matches!(cache.store(pod("a", "10")), Change::Stored(..)));
    assert!(matches!(cache.store(pod("a", "9")), Change::None));
    assert!(matches!(cache.store(pod("a", "10")), Change::None), "an echo changes nothing");
    assert!(cache.remove(&pod("a", "8")).is_none());
    assert_eq!(cache.get("n", "a").unwrap().resource_version(), "10");
    assert!(cache.remove(&pod("a", "11")).is_some());
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
    assert!(matches!(cache.store(pod("a", "10")), Change::None), "a late answer does not bring it back");
    assert!(matches!(cache.store(pod("a", "10")), Change::None), "nor does a late event");
    assert!(matches!(cache.store(pod("a", "12")), Change::Stored(..)), "a later version had only left the stream");
    assert!(!cache.is_deleted("u-a"), "so nobody has told of its end");
    assert!(cache.evict("n", "a", "u-a").is_some());
    assert!(matches!(cache.store(pod("a", "13")), Change::None), "a quorum read said that it is gone");
    let mut new = pod("a", "12");
    new["metadata"]["uid"] = json!("another");
    assert!(matches!(cache.store(new), Change::Stored(..)), "a new object of that name is new");
}

#[test]
fn what_is_known_is_confirmed_without_its_content_and_stays_on_the_list() {
    let cache = cache();
    let stream = cache.add_stream(None, None);
    assert!(!cache.confirm("n", "a", "10"), "nothing is known");
    cache.store(pod("a", "10"));
    cache.store(pod("b", "10"));
    cache.begin_list(stream);
    assert!(cache.confirm("n", "a", "10") && cache.confirm("n", "a", "9"));
    assert!(!cache.confirm("n", "a", "11") && !cache.confirm("n", "a", "") && !cache.confirm("m", "a", "10"));
    let unlisted: Vec<_> = cache.end_list(stream).iter().map(|key| key.name.to_string()).collect();
    assert_eq!(unlisted, ["b"]);
}

#[test]
fn after_a_restore_an_older_state_is_the_valid_one_and_what_is_absent_can_be_removed() {
    let cache = cache();
    let stream = cache.add_stream(None, None);
    cache.store(pod("a", "10"));
    cache.store(pod("b", "11"));
    cache.remove(&pod("c", "12"));
    cache.forget_versions(stream);
    assert!(matches!(cache.store(pod("a", "7")), Change::Stored(..)), "the older state");
    assert!(matches!(cache.store(pod("c", "8")), Change::Stored(..)), "it was removed after the backup");
    assert!(cache.evict("n", "b", "u-b").is_some(), "a quorum read says that it is gone");
}

#[test]
fn a_list_of_one_stream_removes_nothing_that_another_one_shows() {
    let cache = cache();
    let (one, two) = (cache.add_stream(Some("one"), None), cache.add_stream(Some("two"), None));
    let pod = |namespace: &str, name: &str| {
        let mut pod = pod(&format!("{namespace}-{name}"), "1");
        pod["metadata"]["namespace"] = json!(namespace);
        pod
    };
    cache.begin_list(one);
    cache.begin_list(two);
    for namespace in ["one", "two"] {
        cache.store(pod(namespace, "a"));
        cache.store(pod(namespace, "b"));
    }
    assert!(cache.end_list(one).is_empty() && cache.end_list(two).is_empty());
    cache.begin_list(one);
    cache.store(pod("one", "a"));
    // The other one lists meanwhile, and is not done yet.
    cache.begin_list(two);
    let unlisted = |stream| -> Vec<String> { cache.end_list(stream).iter().map(|key| key.name.to_string()).collect() };
    assert_eq!(unlisted(one), ["one-b"]);
    cache.store(pod("two", "b"));
    assert_eq!(unlisted(two), ["two-a"]);
    assert!(cache.get("one", "one-a").is_some());
}

#[test]
fn a_complete_list_tells_what_it_lacks() {
    let cache = cache();
    let stream = cache.add_stream(None, None);
    cache.store(pod("a", "1"));
    cache.store(pod("b", "2"));
    cache.begin_list(stream);
    cache.store(pod("b", "2"));
    cache.store(pod("c", "3"));
    let unlisted: Vec<_> = cache.end_list(stream).into_iter().collect();
    assert_eq!(unlisted.iter().map(|key| &*key.name).collect::<Vec<_>>(), ["a"]);
    assert!(cache.lacks(stream, &unlisted[0]));
    assert_eq!(cache.len(), 3, "it stays until it is known to be gone");
    cache.store(pod("a", "1"));
    assert!(!cache.lacks(stream, &unlisted[0]), "a read has shown it");
}

fn names(objects: &[Object]) -> Vec<String> {
    objects.iter().map(|object| format!("{}/{}", object.namespace(), object.name())).collect()
}

/// The answer of [`Cache::list`] by a look at every object.
fn scan(cache: &Cache, namespace: &str) -> Vec<String> {
    let mut places = cache.keys();
    places.retain(|key| &*key.namespace == namespace);
    places.iter().map(|key| format!("{}/{}", key.namespace, key.name)).collect()
}

fn anywhere(namespace: u8, name: u8, version: usize) -> Value {
    json!({"metadata": {"namespace": format!("n{namespace}"), "name": format!("p{name}"),
        "uid": format!("{namespace}-{name}-{version}"), "resourceVersion": version.to_string()}})
}

proptest! {
    #[test]
    fn a_list_shows_what_a_scan_shows(
        steps in prop::collection::vec((0..6u8, 0..3u8, 0..6u8), 1..100),
    ) {
        let cache = cache();
        let stream = cache.add_stream(None, None);
        for (version, (step, namespace, name)) in steps.into_iter().enumerate() {
            let (object, version) = (anywhere(namespace, name, version + 1), version + 1);
            match step {
                0..3 => drop(cache.store(object)),
                3 => drop(cache.remove(&object)),
                4 => {
                    let (namespace, name) = (format!("n{namespace}"), format!("p{name}"));
                    let uid = cache.get(&namespace, &name).map(|found| found.uid().to_owned());
                    cache.evict(&namespace, &name, uid.as_deref().unwrap_or_default());
                }
                _ => {
                    cache.begin_list(stream);
                    cache.store(anywhere(namespace, name, version));
                    for key in cache.end_list(stream) {
                        let uid = cache.get_at(&key).map(|object| object.uid().to_owned()).unwrap_or_default();
                        cache.evict(&key.namespace, &key.name, &uid);
                    }
                }
            }
        }
        for namespace in ["n0", "n1", "n2", "n3"] {
            prop_assert_eq!(names(&cache.list(namespace)), scan(&cache, namespace));
        }
    }
}

#[test]
fn threads_that_store_and_remove_the_same_objects_leave_a_true_index() {
    let cache = cache();
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let cache = &cache;
            scope.spawn(move || {
                for round in 0..2_000usize {
                    let object = anywhere(0, u8::try_from(round % 3).unwrap(), round * 4 + thread + 1);
                    if (round + thread) % 2 == 0 {
                        cache.store(object);
                    } else {
                        cache.remove(&object);
                    }
                }
            });
        }
    });
    assert_eq!(names(&cache.list("n0")), scan(&cache, "n0"));
}

proptest! {
    #[test]
    fn a_look_up_shows_the_state_of_the_last_change(steps in prop::collection::vec((0..5u8, 0..12u8), 1..60)) {
        let (cache, mut expected) = (cache(), BTreeMap::new());
        for (version, (step, name)) in steps.into_iter().enumerate() {
            let mut object = anywhere(0, name, version + 1);
            let key = format!("p{name}");
            match step {
                0 | 1 => {
                    if name == 11 {
                        // Too large to be kept decoded.
                        object["data"] = (0..1_000u32).map(|number| json!(number.wrapping_mul(2_654_435_761))).collect();
                    }
                    cache.store(object.clone());
                    expected.insert(key, object);
                }
                2 => {
                    cache.amend("n0", &key, |object| object["amended"] = json!(version));
                    expected.entry(key).and_modify(|object| object["amended"] = json!(version));
                }
                3 => {
                    cache.remove(&object);
                    expected.remove(&key);
                }
                _ => cache.compact(),
            }
            for name in 0..12 {
                let (key, found) = (format!("p{name}"), cache.get("n0", &format!("p{name}")));
                prop_assert_eq!(found.as_ref().map(Object::value), expected.get(&key), "{}", key);
            }
        }
    }
}

#[test]
fn look_ups_of_one_object_share_it_until_it_changes_and_none_is_kept_at_rest() {
    let cache = cache();
    cache.store(pod("a", "1"));
    let is_shared = |one: &Object, other: &Object| std::ptr::eq(one.value(), other.value());
    let (first, second) = (cache.get("n", "a").unwrap(), cache.get("n", "a").unwrap());
    assert!(is_shared(&first, &second));
    cache.store(pod("a", "2"));
    assert!(!is_shared(&first, &cache.get("n", "a").unwrap()));
    cache.compact();
    assert!(cache.recent.is_empty());
}

#[test]
fn of_a_foreign_object_only_that_is_kept_which_its_readers_ask_for() {
    let cache = Cache::new(Side::Host, kinds::SERVICE, Projection::Whole)
        .cutting_foreign("vc-1", Projection::Fields(&["spec.clusterIP"]));
    let service = |version: &str, labels: Value| {
        json!({"metadata": {"namespace": "n", "name": "a", "uid": "u", "resourceVersion": version, "labels": labels},
               "spec": {"clusterIP": "10.0.0.1", "type": "ClusterIP"}, "status": {"loadBalancer": {}}})
    };
    let is_whole = || {
        let service = cache.get("n", "a").unwrap();
        assert_eq!(service.str_at("/spec/clusterIP"), Some("10.0.0.1"));
        service.at("/status").is_some() && service.at("/spec/type").is_some()
    };
    for (version, labels, expected) in [
        ("1", json!({}), false),
        ("2", json!({MANAGED_BY: "vc-1"}), true),
        ("3", json!({MANAGED_BY: "vc-2"}), false),
        ("4", json!(null), false),
    ] {
        cache.store(service(version, labels.clone()));
        assert_eq!(is_whole(), expected, "{labels}");
    }
    assert!(cache.remove(&service("5", json!({}))).unwrap().at("/status").is_none());
}

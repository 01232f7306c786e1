use serde_json::{Value, json};
use tenet_mapper::{Side, kinds};

use super::*;
use crate::fixture::api;
use crate::gate::tests::Rig;

fn map(name: &str, version: &str) -> Value {
    json!({"metadata": {"namespace": "team-a", "name": name, "uid": format!("uid-{name}"), "resourceVersion": version}})
}

const COLLECTION: &str = "/api/v1/namespaces/team-a/configmaps";
const AT: [&str; 4] = [
    "/api/v1/namespaces/team-a/configmaps/changed",
    "/api/v1/namespaces/team-a/configmaps/created",
    "/api/v1/namespaces/team-a/configmaps/deleted",
    "/api/v1/namespaces/team-a/configmaps/late",
];

#[tokio::test(start_paused = true)]
async fn what_a_watch_has_lost_is_found_and_what_is_only_late_is_not() {
    let list = json!({"metadata": {}, "items": [map("same", "1"), map("changed", "5"), map("created", "6"), map("late", "7")]});
    let answers = vec![
        ("GET", COLLECTION, 200, list),
        ("GET", AT[0], 200, map("changed", "5")),
        ("GET", AT[1], 200, map("created", "6")),
    ];
    let rig = Rig::new(answers.clone(), vec![]);
    let cache = Arc::clone(rig.engine.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap());
    for object in [map("same", "1"), map("changed", "2"), map("deleted", "3"), map("late", "4")] {
        cache.store(object);
    }
    let scope = Scope { namespace: Some("team-a".to_owned()), selector: None };
    let audit = Audit::new(api(answers).0, scope, Arc::clone(&cache));
    let metrics = Metrics::new().unwrap();
    let watch = async {
        sleep(Duration::from_secs(1)).await;
        cache.store(map("late", "7"));
    };
    let (audited, ()) = tokio::join!(audit.run(&rig.engine.gate, &metrics, Duration::from_secs(5)), watch);
    audited.unwrap();
    let version = |name: &str| cache.version_of(&NamespacedName::new("team-a", name));
    assert_eq!(
        ["same", "changed", "created", "deleted", "late"].map(version),
        [Some(1), Some(5), Some(6), None, Some(7)]
    );
    assert_eq!(rig.asked(Side::Host), AT[..3].iter().map(|at| format!("GET {at}")).collect::<Vec<_>>());
    let text = String::from_utf8(metrics.text()).unwrap();
    assert!(text.contains("tenet_drift_total{kind=\"ConfigMap\"} 3"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_lost_our_label_leaves_the_cache_and_is_not_asked_about_again() {
    let list = json!({"metadata": {}, "items": []});
    let answers = vec![("GET", COLLECTION, 200, list), ("GET", AT[0], 200, map("changed", "5"))];
    let rig = Rig::new(answers.clone(), vec![]);
    let cache = Arc::clone(rig.engine.caches.get(Side::Host, kinds::CONFIG_MAP).unwrap());
    cache.add_stream(Some("team-a"), Some("tenet.sh/managed-by=vc-1"));
    cache.store(map("changed", "2"));
    let scope = Scope { namespace: Some("team-a".to_owned()), selector: None };
    let audit = Audit::new(api(answers).0, scope, Arc::clone(&cache));
    let metrics = Metrics::new().unwrap();
    for _ in 0..2 {
        audit.run(&rig.engine.gate, &metrics, Duration::from_secs(5)).await.unwrap();
        assert!(cache.is_empty());
    }
    assert_eq!(rig.asked(Side::Host), [format!("GET {}", AT[0])]);
}

//! Law of the way up: of a host object the tenant sees the fields that the table shows, and nothing else.

use serde_json::{Map, Value, json};
use tenet_mapper::rules::{Action, Table};
use tenet_mapper::testing::Clusters;
use tenet_mapper::{HostKey, Kind, Mapper, Side};

use super::{COPIES, NAMESPACE, any_class, copy, crossed, mapper, samples};
use crate::Pods;

/// Text of the host.
const OF_HOST: &str = "only-on-the-host";

/// Fields that the table sets, and from which a mapper shows a part: the node port of a port, and the class of a claim
/// that asked for none.
const PARTLY: [&str; 2] = ["spec.ports[].nodePort", "spec.storageClassName"];

/// Writes a text into every field of a host object that the table does not show, where it has none.
fn mark(host: &mut Value, table: &Table) {
    for (path, rule) in table.rules() {
        let is_metadata = path == "metadata" || path.starts_with("metadata.");
        if rule.action != Action::Up && !is_metadata && !PARTLY.contains(&path) {
            mark_at(host, path);
        }
    }
    for member in ["managedFields", "ownerReferences"] {
        host["metadata"][member] = json!([{"name": OF_HOST}]);
    }
    host["metadata"]["annotations"]["host.example.com/note"] = json!(OF_HOST);
}

fn mark_at(value: &mut Value, path: &str) {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (name, is_list) = head.strip_suffix("[]").map_or((head, false), |name| (name, true));
    let name = name.strip_suffix("{}").unwrap_or(name);
    let Some(members) = value.as_object_mut() else { return };
    let empty = || if is_list { json!([{}]) } else { json!({}) };
    let Some(rest) = rest else {
        members.entry(name).or_insert_with(|| if is_list { json!([OF_HOST]) } else { json!(OF_HOST) });
        return;
    };
    let child = members.entry(name).or_insert_with(empty);
    match child {
        Value::Array(items) => items.iter_mut().for_each(|item| mark_at(item, rest)),
        child => mark_at(child, rest),
    }
}

/// Returns true if the text of the host stands somewhere in the virtual object.
fn is_told(clusters: &Clusters, kind: Kind, namespace: &str, name: &str) -> bool {
    let found = clusters.object(Side::Virtual, kind, namespace, name);
    found.is_some_and(|found| found.value().to_string().contains(OF_HOST))
}

#[test]
fn an_original_gets_nothing_of_its_copy_but_what_the_table_shows() {
    for id in COPIES {
        let mapper = mapper(id);
        let (kind, table) = (mapper.spec().kind, mapper.spec().table.clone().unwrap());
        let mut seen = 0;
        for virt in samples(kind.kind) {
            let Some(mut clusters) = crossed(mapper.as_ref(), &virt) else { continue };
            let name = virt["metadata"]["name"].as_str().unwrap();
            let mut host = copy(&clusters, mapper.as_ref(), &virt).unwrap().clone();
            mark(&mut host, &table);
            clusters.put(Side::Host, host);
            // A field of the host that is nonsense may be an error, but is not told either.
            drop(clusters.converge(mapper.as_ref(), NAMESPACE, name));
            assert!(!is_told(&clusters, kind, NAMESPACE, name), "{id} {name}");
            seen += 1;
        }
        assert!(seen > 0, "{id}");
    }
}

/// A host object of each kind of which the tenant sees a picture.
const PICTURED: &str = include_str!("pictured.yaml");

#[test]
fn a_picture_shows_nothing_of_the_host_but_what_the_table_shows() {
    let ids = [
        "ingress-class",
        "node",
        "persistent-volume",
        "priority-class",
        "runtime-class",
        "storage-class",
        "volume-snapshot-class",
    ];
    let pods = Pods {
        priority_classes: vec!["shown".to_owned()],
        runtime_classes: vec!["shown".to_owned()],
        ..Pods::default()
    };
    for id in ids {
        let mapper: Box<dyn Mapper> = mapper(id);
        let (kind, table) = (mapper.spec().kind, mapper.spec().table.clone().unwrap());
        let mut clusters = Clusters::default().section(pods.clone()).section(any_class()).with(Side::Host, PICTURED);
        let key = HostKey::new("", "shown");
        let mut host = clusters.object(Side::Host, kind, "", key.name()).map(|host| host.value().clone()).unwrap();
        mark(&mut host, &table);
        let marks = host.to_string().matches(OF_HOST).count();
        assert!(marks > 2, "{id}: {host:#}");
        clusters.put(Side::Host, host);
        clusters.converge(mapper.as_ref(), "", key.name()).unwrap();
        let shown = clusters.object(Side::Virtual, kind, "", key.name()).unwrap_or_else(|| panic!("no {id}")).value();
        assert!(!is_told(&clusters, kind, "", key.name()), "{id}: {shown:#}");
        assert_eq!(shown.get("metadata").and_then(|metadata| metadata.get("ownerReferences")), None, "{id}");
        let empty = Map::new();
        let members = shown["metadata"]["annotations"].as_object().unwrap_or(&empty);
        assert!(members.keys().all(|key| !key.contains("example.com")), "{id}: {members:?}");
    }
}

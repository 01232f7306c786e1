use serde_json::{Value, json};
use tenet_mapper::keys::APPLIED;
use tenet_mapper::rules::{Rule, Table, copy, set, up};

use super::server::Server;
use super::{synced, writes};

/// One change of a virtual object.
struct Case {
    name: &'static str,
    rules: Vec<Rule>,
    from: Value,
    to: Value,
    host: Value,
}

fn ports() -> Vec<Rule> {
    vec![copy("spec.ingress[].ports[].port").kept()]
}

fn mixed() -> Vec<Rule> {
    vec![copy("spec.items[].name"), copy("spec.items[].tag").kept(), up("spec.items[].address").computed()]
}

fn keyed() -> Vec<Rule> {
    vec![copy("spec.items[name].name"), copy("spec.items[name].tag").kept(), copy("spec.items[name].once")]
}

/// A server that gives every item an address, and a tag where it has none.
fn server() -> Server {
    let field = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
    Server {
        defaults: vec![
            (field("spec.items.[].address"), json!("given")),
            (field("spec.items.[].weight"), json!(1)),
            (field("spec.mode"), json!("auto")),
        ],
        omits_empty: false,
    }
}

fn cases() -> Vec<Case> {
    let ingress = |list: Value| json!({ "ingress": list });
    let case = |name, rules, from, to, host| Case { name, rules, from, to, host };
    let both = |name, from: Value, to: Value| {
        case(name, ports(), ingress(from), ingress(to.clone()), json!({"ingress": to, "mode": "auto"}))
    };
    vec![
        both("the last element goes", json!([{}]), json!([])),
        both("an empty element comes beside another", json!([]), json!([{}, {"ports": [{"port": 80}]}])),
        both("an element becomes empty", json!([{"ports": [{"port": 80}]}]), json!([{}])),
        both(
            "an empty element comes first",
            json!([{"ports": [{"port": 80}]}]),
            json!([{}, {"ports": [{"port": 80}]}]),
        ),
        both("an inner list becomes empty", json!([{"ports": [{"port": 80}]}]), json!([{"ports": []}])),
        both("an inner element becomes empty", json!([{"ports": [{"port": 80}]}]), json!([{"ports": [{}]}])),
        case("the list goes", ports(), ingress(json!([{}])), json!({}), json!({"mode": "auto"})),
        case(
            "a list with fields that do not follow keeps them",
            mixed(),
            json!({"items": [{"name": "a", "tag": 1}, {"name": "b"}]}),
            json!({"items": [{"name": "a", "tag": 2}, {"name": "b"}, {"name": "c", "tag": 3}]}),
            json!({"mode": "auto", "items": [
                {"name": "a", "tag": 2, "address": "given", "weight": 1},
                {"name": "b", "address": "given", "weight": 1},
                {"name": "c", "tag": 3, "address": "given", "weight": 1}]}),
        ),
        case(
            "without a key, elements are paired by their position",
            mixed(),
            json!({"items": [{"name": "a", "tag": 1}, {"name": "b", "tag": 2}]}),
            json!({"items": [{"name": "b", "tag": 2}]}),
            json!({"mode": "auto", "items": [{"name": "a", "tag": 2, "address": "given", "weight": 1}]}),
        ),
        case(
            "with a key, an element keeps what does not follow wherever it moves",
            keyed(),
            json!({"items": [{"name": "a", "tag": 1, "once": "a"}, {"name": "b", "tag": 2, "once": "b"}, {"name": "c"}]}),
            json!({"items": [{"name": "c"}, {"name": "n", "once": "n"}, {"name": "b", "once": "changed"}]}),
            json!({"mode": "auto", "items": [
                {"name": "c", "address": "given", "weight": 1},
                {"name": "n", "once": "n", "address": "given", "weight": 1},
                {"name": "b", "once": "b", "address": "given", "weight": 1}]}),
        ),
        case(
            "the last field that follows goes and leaves its siblings",
            vec![copy("spec.group.image").kept(), copy("spec.group.once")],
            json!({"group": {"image": "i", "once": 1}}),
            json!({"group": {"once": 2}}),
            json!({"mode": "auto", "group": {"once": 1}}),
        ),
        case(
            "a struct goes with its last field",
            vec![copy("spec.group.deep.image").kept()],
            json!({"group": {"deep": {"image": "i"}}}),
            json!({}),
            json!({"mode": "auto"}),
        ),
        case(
            "an empty struct is a value",
            vec![copy("spec.group.image").kept()],
            json!({}),
            json!({"group": {}}),
            json!({"mode": "auto", "group": {}}),
        ),
        case(
            "a default of the host stays",
            vec![copy("spec.mode").kept(), copy("spec.size").kept()],
            json!({"size": 1}),
            json!({"size": 2}),
            json!({"size": 2, "mode": "auto"}),
        ),
        case(
            "what the tenant had set, and removes, is the server's default again",
            vec![copy("spec.mode").kept()],
            json!({"mode": "fast"}),
            json!({}),
            json!({"mode": "auto"}),
        ),
        case(
            "a map loses the key that the tenant removes",
            vec![copy("spec.limits{}").kept()],
            json!({"limits": {"cpu": 1, "example.com/gpu": 2}}),
            json!({"limits": {"cpu": 3}}),
            json!({"mode": "auto", "limits": {"cpu": 3}}),
        ),
        case(
            "opaque content is replaced whole",
            vec![copy("spec.data").whole().kept()],
            json!({"data": {"k": "v", "gone": 1}}),
            json!({"data": {"k": "w"}}),
            json!({"mode": "auto", "data": {"k": "w"}}),
        ),
    ]
}

#[test]
fn every_change_of_the_virtual_object_follows() {
    let mut failures = Vec::new();
    for Case { name, mut rules, from, to, host } in cases() {
        rules.push(set("metadata", ""));
        let (table, server) = (Table::new(&[("", &rules)]).unwrap(), server());
        let [from, to] = [from, to].map(|spec| json!({ "spec": spec }));
        let created = synced(&server, &table, &from, None);
        let updated = synced(&server, &table, &to, Some(&created));
        let rest = [writes(&table, &from, Some(&created)), writes(&table, &to, Some(&updated))].concat();
        if updated["spec"] != host {
            failures.push(format!("{name}: {} instead of {host}", updated["spec"]));
        }
        if !rest.is_empty() {
            failures.push(format!("{name}: at rest it writes {rest:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A Service as a table might have it.
fn service() -> Table {
    let rules = [
        set("metadata", ""),
        copy("spec.type").kept(),
        copy("spec.class").kept(),
        copy("spec.ports[].port").kept(),
        copy("spec.ports[].protocol").kept(),
    ];
    Table::new(&[("", &rules)]).expect("the rules do not contradict each other")
}

#[test]
fn what_the_host_adds_stays_and_what_it_changes_is_mended() {
    let (table, server) = (service(), Server::default());
    let virt = json!({"spec": {"type": "A", "ports": [{"port": 80}]}});
    let created = synced(&server, &table, &virt, None);
    let hosts = |spec: Value| {
        let mut host = created.clone();
        host["spec"] = spec;
        host
    };
    let added = hosts(json!({"type": "A", "class": "c", "ports": [{"port": 80, "protocol": "TCP"}]}));
    assert_eq!(writes(&table, &virt, Some(&added)), [], "members that the tenant never set");

    let later = json!({"spec": {"type": "B", "ports": [{"port": 80}]}});
    let updated = synced(&server, &table, &later, Some(&added));
    assert_eq!(updated["spec"], json!({"type": "B", "class": "c", "ports": [{"port": 80, "protocol": "TCP"}]}));

    for drifted in [
        json!({"type": "B", "ports": [{"port": 80}]}),
        json!({"ports": [{"port": 80}]}),
        json!({"type": "A", "ports": [{"port": 81}]}),
        json!({"type": "A", "ports": [{"port": 80}, {"port": 81}]}),
        json!({"type": "A", "ports": []}),
        json!({"type": "A"}),
        json!({}),
    ] {
        let drifted = hosts(drifted);
        let mended = synced(&server, &table, &virt, Some(&drifted));
        assert_eq!(mended["spec"], virt["spec"], "{drifted}");
    }
}

#[test]
fn without_a_record_everything_counts_as_applied_and_the_first_write_leaves_one() {
    let (table, server) = (service(), Server::default());
    let virt = json!({"spec": {"type": "A"}});
    let created = synced(&server, &table, &virt, None);
    let mut host = created.clone();
    host["metadata"]["annotations"].as_object_mut().unwrap().remove(APPLIED);
    assert_eq!(writes(&table, &virt, Some(&host)), [], "the record is no reason to write");
    host["spec"]["class"] = json!("c");
    let mended = synced(&server, &table, &virt, Some(&host));
    assert_eq!(
        (&mended["spec"], &mended["metadata"]["annotations"]),
        (&created["spec"], &created["metadata"]["annotations"])
    );
}

#[test]
fn the_record_holds_names_and_digests_and_no_values() {
    let table =
        Table::new(&[("", &[copy("data").whole().kept(), copy("spec.token").kept(), copy("spec.once")])]).unwrap();
    let desired = json!({"data": {"password": "s3cret"}, "spec": {"token": "s3cret", "once": "s3cret"}});
    let hidden = |name: &str, _: &Value| (name == "data").then(|| json!({}));
    assert_eq!(table.applied(&desired, &hidden), Some(json!({"data": 1, "spec": {"token": 1}})));
    assert!(!table.applied(&desired, &|_, _| None).unwrap().to_string().contains("s3cret"));
    assert_eq!(Table::new(&[("", &[copy("a")])]).unwrap().applied(&desired, &hidden), None, "nothing follows");
}

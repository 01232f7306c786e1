use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn tenet(cluster: &str) -> Names {
    Names::new(cluster, "team-a", NameScheme::Tenet)
}

fn my_vc() -> Names {
    Names::new("my-vc", "team-a", NameScheme::Vcluster)
}

fn is_hashed(name: &str) -> bool {
    occurrences(name, SEPARATOR) == 0 && name.rsplit('-').next().is_some_and(|last| last.len() == digest::LENGTH)
}

#[test]
fn names_stay_readable_where_they_have_one_reading() {
    for (kind, namespace, name, expected) in [
        ("Pod", "default", "nginx", "nginx-x-default-x-vc-1"),
        ("ConfigMap", "default", "kube-root-ca.crt", "kube-root-ca.crt-x-default-x-vc-1"),
        ("Pod", "x", "x", "x-x-x-x-vc-1"),
        ("Pod", "default", "2024-backup", "2024-backup-x-default-x-vc-1"),
        ("StorageClass", "", "gold", "gold-x-cluster-x-team-a-x-vc-1"),
        ("Secret", "default", "", ""),
    ] {
        let host = tenet("vc-1").host_name(GroupKind::core(kind), namespace, name);
        if name == "x" {
            assert!(is_hashed(&host), "{host} has more than one reading");
        } else {
            assert_eq!(host, expected);
        }
    }
    assert_eq!(tenet("vc-1").token_secret_name("default", "nginx"), "nginx-x-token-x-default-x-vc-1");
    assert_eq!(tenet("vc-1").node_service_name("node-a"), "vc-1-node-node-a");
}

#[test]
fn names_with_more_than_one_reading_are_hashed() {
    for (cluster, namespace, name) in [
        ("vc", "c", "a-x-b"),
        ("vc", "b-x-c", "a"),
        ("vc", "x-b", "a"),
        ("vc", "b", "a-x"),
        ("vc", "x", "a"),
        ("v-x-c", "b", "a"),
        ("x-vc", "b", "a"),
        ("vc", "default", "prometheus-kube-prometheus-operator-admission-webhook"),
        ("vc", "default", "system:node"),
        ("vc", "default", "Upper"),
        ("vc", "default", "a..b"),
        ("vc", "default", "trailing."),
        ("vc", "default", "-"),
        ("vc", "default", "\u{e4}\u{1F600}"),
    ] {
        let host = tenet(cluster).host_name(GroupKind::core("Pod"), namespace, name);
        assert!(is_hashed(&host), "{namespace}/{name} of {cluster} is {host}");
    }
}

#[test]
fn the_hashed_form_is_fixed() {
    // A change of these names would orphan every object that was ever synced.
    let names = tenet("vc-1");
    let long = "prometheus-kube-prometheus-operator-admission-webhook";
    assert_eq!(
        names.host_name(GroupKind::core("Pod"), "monitoring", long),
        "prometheus-kube-prometheus-operator-hmzocnrzcqk4cozpou7gpngpei"
    );
    assert_eq!(
        names.host_name(GroupKind::core("Service"), "default", "3scale"),
        "n-3scale-default-zmynjf7kfv2xb6klc7bbqj4ltq"
    );
    assert_eq!(
        names.token_secret_name("monitoring", long),
        "prometheus-kube-prometheus-operator-hy5zgy3xjqfsfhdynwtyinwira"
    );
    assert_eq!(
        names.node_service_name("ip-10-0-0-1.eu-central-1.compute.internal"),
        "vc-1-node-ip-10-0-0-1-eu-central-1-c-pzpbkq2pi3g5mcfc2xzntyjbne"
    );
}

#[test]
fn a_service_that_begins_with_a_digit_gets_a_name_that_every_host_takes() {
    let names = tenet("vc-1");
    for kind in ["Service", "Endpoints"] {
        let host = names.host_name(GroupKind::core(kind), "default", "3scale");
        assert!(is_letter_label(&host), "{host}");
        assert_eq!(host, names.host_name(GroupKind::core("Service"), "default", "3scale"));
    }
    // A kind of that name in another group is no Service.
    let knative = names.host_name(GroupKind::new("serving.knative.dev", "Service"), "default", "3scale");
    assert_eq!(knative, "3scale-x-default-x-vc-1");
}

#[test]
fn a_tenant_cannot_take_a_name_that_is_not_his() {
    let names = tenet("vc-1");
    let victim = names.host_name(GroupKind::core("Pod"), "a", "b-x-c");
    let token = names.token_secret_name("default", "nginx");
    for crafted in [&victim, &token, "nginx-x-token", "token", "nginx-x-token-x-default"] {
        for namespace in ["a", "default", "token", "token-x-default"] {
            let host = names.host_name(GroupKind::core("Secret"), namespace, crafted);
            assert_ne!(host, victim);
            assert_ne!(host, token);
        }
    }
}

#[test]
fn hostnames_are_what_the_kubelet_would_give() {
    let long = "a".repeat(62);
    for (pod, expected) in [
        ("nginx-7d9c-x2v4q", "nginx-7d9c-x2v4q"),
        ("web.example.com", "web-example-com"),
        (&*format!("{long}-b"), &*long),
        (&*format!("{long}..b"), &*long),
        (&*format!("{long}bcd"), &*format!("{long}b")),
    ] {
        assert_eq!(hostname(pod), expected);
    }
}

#[test]
fn the_vcluster_scheme_gives_the_names_that_vcluster_gave() {
    let dotted = format!("{}.config.example.com", "a".repeat(51));
    let dotted_host = format!("{}-17a8b7781c", "a".repeat(51));
    for (namespace, name, expected) in [
        ("default", "nginx", "nginx-x-default-x-my-vc"),
        (
            "payments-production",
            "payments-api-7d9c6bf5b8-x2v4q",
            "payments-api-7d9c6bf5b8-x2v4q-x-payments-production-x-my-vc",
        ),
        (
            "monitoring",
            "prometheus-kube-prometheus-operator-admission-webhook",
            "prometheus-kube-prometheus-operator-admission-webhoo-50d1f0eee2",
        ),
        (
            "billing-staging",
            "data-postgres-ha-cluster-primary-storage-0",
            "data-postgres-ha-cluster-primary-storage-0-x-billing-71ae475671",
        ),
        ("default", &dotted, &dotted_host),
        ("", "gold", "vcluster-gold-x-team-a-x-my-vc"),
        (
            "",
            "high-priority-batch-jobs-for-analytics",
            "vcluster-high-priority-batch-jobs-for-analytics-x-te-9009a3dfe7",
        ),
        ("default", "", ""),
    ] {
        assert_eq!(my_vc().host_name(GroupKind::core("Pod"), namespace, name), expected);
    }
    assert_eq!(my_vc().token_secret_name("default", "nginx"), "nginx-sa-token-x-default-x-my-vc");
    assert_eq!(my_vc().node_service_name("n1.example"), "my-vc-node-n1-example");
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= MAX_LENGTH && name.split('.').all(is_label)
}

/// Labels that contain the separator and similar texts.
fn label() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("x".to_owned()),
        4 => Just("-x-".to_owned()),
        4 => Just("-".to_owned()),
        2 => Just("-x".to_owned()),
        2 => Just("x-".to_owned()),
        2 => Just("token".to_owned()),
        2 => Just("cluster".to_owned()),
        2 => Just("node".to_owned()),
        3 => "[a-z0-9]{1,2}",
        1 => "[a-z2-7]{26}",
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| {
        let label = pieces.concat();
        let label = label.trim_matches('-');
        let label = label.get(..63).unwrap_or(label).trim_end_matches('-');
        if label.is_empty() { "a".to_owned() } else { label.to_owned() }
    })
}

fn subdomain() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => label(),
        2 => prop::collection::vec(label(), 1..5).prop_map(|labels| labels.join(".")),
        1 => "[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?",
    ]
}

/// Object that gets a host name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Thing {
    Object(String, String, String),
    Cluster(String, String),
    Token(String, String, String),
    Node(String, String),
}

impl Thing {
    fn name(&self) -> String {
        match self {
            Self::Object(vc, namespace, name) => tenet(vc).host_name(GroupKind::core("Secret"), namespace, name),
            Self::Cluster(vc, name) => tenet(vc).host_name(GroupKind::core("StorageClass"), "", name),
            Self::Token(vc, namespace, pod) => tenet(vc).token_secret_name(namespace, pod),
            Self::Node(vc, node) => tenet(vc).node_service_name(node),
        }
    }
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        4 => (label(), label(), subdomain()).prop_map(|(vc, ns, name)| Thing::Object(vc, ns, name)),
        1 => (label(), subdomain()).prop_map(|(vc, name)| Thing::Cluster(vc, name)),
        2 => (label(), label(), subdomain()).prop_map(|(vc, ns, pod)| Thing::Token(vc, ns, pod)),
        1 => (label(), subdomain()).prop_map(|(vc, node)| Thing::Node(vc, node)),
    ]
}

/// Returns all ways to parse a text as three parts around `-x-`, and as four.
fn readings(text: &str) -> Vec<Thing> {
    let cuts: Vec<usize> = (0..text.len()).filter(|at| text[*at..].starts_with(SEPARATOR)).collect();
    let mut readings = Vec::new();
    for (i, a) in cuts.iter().enumerate() {
        for b in cuts.iter().skip(i + 1).filter(|b| **b >= a + 3) {
            let (name, namespace, vc) = (&text[..*a], &text[a + 3..*b], &text[b + 3..]);
            readings.push(Thing::Object(vc.to_owned(), namespace.to_owned(), name.to_owned()));
            readings.push(Thing::Token(vc.to_owned(), namespace.to_owned(), name.to_owned()));
        }
    }
    readings
}

proptest! {
    // More than four times two million pairs.
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn distinct_things_never_share_a_name(things in prop::collection::vec(thing(), 2000..2500)) {
        let mut seen: HashMap<String, Thing> = HashMap::new();
        for thing in things {
            let name = thing.name();
            if let Some(other) = seen.insert(name.clone(), thing.clone()) {
                prop_assert_eq!(other, thing, "both are {}", name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_readings_of_one_text_have_different_names(text in label(), more in label(), end in label()) {
        let text = format!("{text}-x-{more}-x-{end}");
        let mut seen: HashMap<String, Thing> = HashMap::new();
        for thing in readings(&text) {
            let name = thing.name();
            if let Some(other) = seen.insert(name.clone(), thing.clone()) {
                prop_assert_eq!(other, thing, "both are {}", name);
            }
        }
    }

    #[test]
    fn a_name_of_ours_used_as_a_name_inside_leads_elsewhere(thing in thing(), vc in label(), namespace in label()) {
        let name = thing.name();
        let crafted = Thing::Object(vc, namespace, name.clone());
        prop_assert_ne!(crafted.name(), name);
    }

    #[test]
    fn names_are_valid_for_their_kind(vc in label(), namespace in label(), name in subdomain()) {
        let names = tenet(&vc);
        for kind in ["Pod", "Secret"] {
            let host = names.host_name(GroupKind::core(kind), &namespace, &name);
            prop_assert!(is_subdomain(&host), "{}", host);
        }
        prop_assert!(is_subdomain(&names.token_secret_name(&namespace, &name)));
        prop_assert!(is_subdomain(&names.host_name(GroupKind::core("StorageClass"), "", &name)));
        prop_assert!(is_letter_label(&names.node_service_name(&name)));
        let service = names.host_name(GroupKind::core("Service"), &namespace, &name.replace('.', "-"));
        prop_assert!(is_letter_label(&service), "{}", service);
        prop_assert_eq!(names.host_name(GroupKind::core("Pod"), &namespace, &name), names.host_name(GroupKind::core("Pod"), &namespace, &name));
    }

    #[test]
    fn a_plain_name_can_be_read_back(vc in label(), namespace in label(), name in subdomain()) {
        let host = tenet(&vc).host_name(GroupKind::core("Pod"), &namespace, &name);
        if !is_hashed(&host) {
            let parts: Vec<_> = host.split(SEPARATOR).collect();
            prop_assert_eq!(parts, [&name, &namespace, &vc]);
        }
    }

    #[test]
    fn no_input_panics(vc in any::<String>(), namespace in any::<String>(), name in any::<String>()) {
        for scheme in [NameScheme::Tenet, NameScheme::Vcluster] {
            let names = Names::new(vc.clone(), "team-a", scheme);
            let host = names.host_name(GroupKind::core("Service"), &namespace, &name);
            prop_assert!(scheme == NameScheme::Vcluster || name.is_empty() || is_subdomain(&host), "{}", host);
            names.token_secret_name(&namespace, &name);
            names.node_service_name(&name);
        }
        hostname(&name);
    }
}

//! Laws that hold for the objects of every kind, shown on the manifests of `tests/corpus` and with labels, annotations,
//! names and texts of a hostile tenant.

mod held;
mod hostile;
mod neighbours;
mod samples;
mod shown;

use proptest::prelude::*;
use serde_json::{Value, json};
use tenet_mapper::keys::{ANNOTATIONS, LABELS, PREFIX, VALUE};
use tenet_mapper::rules::Table;
use tenet_mapper::testing::{Clusters, HOST_NAMESPACE};
use tenet_mapper::translate::names::Names;
use tenet_mapper::{Mapper, Object, Side};

pub(crate) use hostile::{changed, changes};
pub(crate) use samples::{NAMESPACE, samples};

use crate::{Ingresses, NetworkPolicies, Storage};

/// Text that a tenant would like to see under a key of ours.
const FORGED: &str = "forged-by-the-tenant";

/// The mappers that make copies without further objects of the host. Pods have laws of their own.
const COPIES: [&str; 9] = [
    "config-map",
    "endpoint-slice",
    "ingress",
    "network-policy",
    "persistent-volume-claim",
    "pod-disruption-budget",
    "secret",
    "service",
    "volume-snapshot",
];

/// No value of a tenant is under a key of ours, but where a kubelet reads all labels or annotations.
pub(crate) fn no_forged_record(host: &Value) {
    for map in ["labels", "annotations"] {
        for (key, value) in host["metadata"][map].as_object().into_iter().flatten() {
            let is_for_kubelets = key == LABELS || key == ANNOTATIONS || key.starts_with(VALUE);
            let is_ours = key.to_lowercase().contains(PREFIX) && !is_for_kubelets;
            assert!(!is_ours || value != FORGED, "{key} of {host:#}");
        }
    }
}

/// Every reference in a host object has the name of a copy of ours, or one of `also`.
pub(crate) fn references_are_ours(table: &Table, virt: &Value, host: &Value, names: &Names, also: &[String]) {
    let ours: Vec<_> = table
        .references(virt)
        .into_iter()
        .map(|reference| (reference.kind, names.host_name(reference.kind, NAMESPACE, &reference.name)))
        .collect();
    for reference in table.references(host) {
        let is_ours = ours.contains(&(reference.kind, reference.name.clone()));
        assert!(is_ours || also.contains(&reference.name), "{} {} in {host:#}", reference.kind, reference.name);
    }
}

fn mapper(id: &str) -> Box<dyn Mapper> {
    crate::all().into_iter().find(|mapper| mapper.spec().id.as_str() == id).unwrap()
}

/// Storage with every class.
fn any_class() -> Storage {
    let all = || vec!["*".to_owned()];
    Storage { classes: all(), snapshot_classes: all(), ..Storage::default() }
}

/// Both clusters with what the copy of an object needs besides it.
fn world(mapper: &dyn Mapper, virt: &Value) -> Clusters {
    let name = virt["metadata"]["name"].as_str().unwrap();
    let allowed = NetworkPolicies {
        allow_ip_blocks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        allow_any_peer: true,
    };
    let hosts = Ingresses {
        hosts: vec!["*".to_owned()],
        classes: Vec::new(),
        allow_any_host: true,
        allow_default_backend: true,
    };
    let mut clusters = Clusters::default()
        .referenced(mapper.spec().kind, NAMESPACE, name)
        .section(any_class())
        .section(allowed)
        .section(hosts)
        .with(Side::Virtual, "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: red}}}");
    if let Some(service) = virt["metadata"]["labels"]["kubernetes.io/service-name"].as_str() {
        let metadata = json!({"name": service, "namespace": NAMESPACE});
        let spec = json!({"ports": [{"port": 80}]});
        clusters.put(Side::Virtual, json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}));
        clusters.converge(&crate::ServiceMapper::new(), NAMESPACE, service).unwrap();
    }
    clusters
}

/// A world of its own for a virtual object, with its copy; `None` if it does not cross.
fn crossed(mapper: &dyn Mapper, virt: &Value) -> Option<Clusters> {
    let mut clusters = world(mapper, virt);
    clusters.put(Side::Virtual, virt.clone());
    clusters.converge(mapper, NAMESPACE, virt["metadata"]["name"].as_str()?).ok()?;
    copy(&clusters, mapper, virt).is_some().then_some(clusters)
}

/// The host object of a virtual one in a world of its own; `None` if it does not cross.
fn copied(mapper: &dyn Mapper, virt: &Value) -> Option<Value> {
    copy(&crossed(mapper, virt)?, mapper, virt).cloned()
}

fn copy<'c>(clusters: &'c Clusters, mapper: &dyn Mapper, virt: &Value) -> Option<&'c Value> {
    let (kind, name) = (mapper.spec().kind, virt["metadata"]["name"].as_str()?);
    let host = clusters.look(|cx| cx.facts().names.host_name(kind.group_kind(), NAMESPACE, name));
    clusters.object(Side::Host, kind, HOST_NAMESPACE, &host).map(Object::value)
}

/// Fields that a user cannot change after the creation.
fn keep_constant(before: &Value, after: &mut Value) {
    after["metadata"]["name"] = before["metadata"]["name"].clone();
    for field in ["/type", "/addressType", "/metadata/labels/kubernetes.io~1service-name"] {
        if let Some(value) = before.pointer(field) {
            tenet_mapper::pointer::set(after, field, value.clone());
        }
    }
    // The copy of a Service that loses its selector keeps one, of no pod.
    if before["kind"] == "Service" && after["spec"]["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
        after["spec"]["selector"] = before["spec"]["selector"].clone();
    }
    if before["kind"] == "VolumeSnapshot" {
        after["spec"] = before["spec"].clone();
    }
    if before["kind"] == "PersistentVolumeClaim" {
        let requests = after["spec"]["resources"].clone();
        after["spec"] = before["spec"].clone();
        after["spec"]["resources"]["requests"] = requests["requests"].clone();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn copies_are_the_same_every_time_and_hold_nothing_forged(
        id in prop::sample::select(&COPIES[..]), at in any::<prop::sample::Index>(), changes in changes(),
    ) {
        let (mapper, names) = (mapper(id), Clusters::default().look(|cx| cx.facts().names.clone()));
        let (table, objects) = (mapper.spec().table.clone().unwrap(), samples(mapper.spec().kind.kind));
        let virt = changed(at.get(&objects), &table, &changes);
        let Some(copy) = copied(mapper.as_ref(), &virt) else { return Ok(()) };
        prop_assert_eq!(copied(mapper.as_ref(), &virt).map(|again| again.to_string()), Some(copy.to_string()));
        no_forged_record(&copy);
        references_are_ours(&table, &virt, &copy, &names, &[]);
    }

    #[test]
    fn a_copy_that_follows_an_edit_is_what_a_creation_gives(
        id in prop::sample::select(&COPIES[..]), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
        changes in changes(),
    ) {
        let mapper = mapper(id);
        let (table, objects) = (mapper.spec().table.clone().unwrap(), samples(mapper.spec().kind.kind));
        let before = from.get(&objects).clone();
        let mut after = changed(to.get(&objects), &table, &changes);
        keep_constant(&before, &mut after);
        let name = before["metadata"]["name"].as_str().unwrap().to_owned();

        let mut clusters = world(mapper.as_ref(), &before);
        clusters.put(Side::Virtual, before.clone());
        prop_assume!(clusters.converge(mapper.as_ref(), NAMESPACE, &name).is_ok());
        prop_assume!(copy(&clusters, mapper.as_ref(), &before).is_some());
        clusters.put(Side::Virtual, after.clone());
        let followed = clusters.converge(mapper.as_ref(), NAMESPACE, &name);
        let Some(created) = copied(mapper.as_ref(), &after).filter(|_| followed.is_ok()) else { return Ok(()) };
        let found = copy(&clusters, mapper.as_ref(), &after).unwrap();
        let differences = table.follow(&created, found, None, &|_, _| None);
        prop_assert!(differences.is_empty(), "{id}: {differences:?}\nbefore {before:#}\nafter {after:#}");
        prop_assert_eq!(&found["metadata"]["labels"], &created["metadata"]["labels"]);
        prop_assert_eq!(clusters.converge(mapper.as_ref(), NAMESPACE, &name), Ok(0), "at rest nothing is written");
    }
}

/// Laws about copies say nothing of objects that do not cross.
#[test]
fn most_samples_of_each_kind_cross() {
    for id in COPIES {
        let mapper = mapper(id);
        let objects = samples(mapper.spec().kind.kind);
        let copies = objects.iter().filter(|object| copied(mapper.as_ref(), object).is_some()).count();
        assert!(copies * 2 > objects.len(), "{copies} of {} {id}", objects.len());
    }
}

//! The laws of every kind for pods.

use proptest::prelude::*;
use serde_json::{Value, json};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::{Mapper, Object, Side, VirtualKey, kinds};

use super::lab::Lab;
use crate::PodMapper;
use crate::laws::{NAMESPACE, changed, changes, no_forged_record, references_are_ours, samples};
use crate::pod::{Subject, draft};

/// The draft of the host pod; `None` if the pod is refused.
fn drafted(lab: &Lab, virt: &Value) -> Option<Value> {
    let mapper = PodMapper::new();
    let (table, virt) = (mapper.spec().table.clone().unwrap(), Object::new(virt.clone()));
    lab.clusters.look(|cx| {
        let key = VirtualKey::new(NAMESPACE, virt.name());
        let host_key = cx.host_key(kinds::POD, &key);
        let (world, namespaces) = (mapper.world, mapper.namespaces);
        let pod = Subject { cx, table: &table, key: &key, virt: &virt, host_key, world, namespaces };
        draft::draft(&pod, |_| None).ok().map(|draft| draft.host)
    })
}

fn lab() -> Lab {
    let mut lab = Lab::empty();
    lab.clusters.put(Side::Virtual, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}));
    lab
}

/// Laws about host pods say nothing of pods that are refused.
#[test]
fn most_samples_cross() {
    let (lab, pods) = (lab(), samples("Pod"));
    let crossing = pods.iter().filter(|pod| drafted(&lab, pod).is_some()).count();
    assert!(crossing * 4 > pods.len() * 3, "{crossing} of {}", pods.len());
}

/// Fields of a pod that the tenant may change later: labels, annotations and images.
fn states() -> impl Strategy<Value = Vec<(String, Option<String>, Option<String>)>> {
    let text = || prop::option::of("[a-z]{1,3}");
    prop::collection::vec(("[a-c]:[0-9]", text(), text()), 2..5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn host_pods_are_the_same_every_time_and_name_nothing_but_ours(
        at in any::<prop::sample::Index>(), changes in changes(),
    ) {
        let (lab, mapper) = (lab(), PodMapper::new());
        let table = mapper.spec().table.clone().unwrap();
        let names = lab.clusters.look(|cx| cx.facts().names.clone());
        let virt = changed(at.get(&samples("Pod")), &table, &changes);
        let Some(host) = drafted(&lab, &virt) else { return Ok(()) };
        prop_assert_eq!(drafted(&lab, &virt).map(|again| again.to_string()), Some(host.to_string()));
        no_forged_record(&host);
        let name = virt["metadata"]["name"].as_str().unwrap();
        // The Secret with the tokens of the pod, and the claims of its ephemeral volumes.
        let mut also = vec![names.token_secret_name(NAMESPACE, name)];
        for volume in virt["spec"]["volumes"].as_array().into_iter().flatten() {
            let claim = format!("{name}-{}", volume["name"].as_str().unwrap_or_default());
            also.push(names.host_name(kinds::PERSISTENT_VOLUME_CLAIM.group_kind(), NAMESPACE, &claim));
        }
        references_are_ours(&table, &virt, &host, &names, &also);
        prop_assert_eq!(&host["spec"]["automountServiceAccountToken"], &json!(false));
        prop_assert_eq!(&host["spec"]["serviceAccountName"], "default");
    }

    #[test]
    fn a_host_pod_that_follows_edits_is_what_a_creation_gives(states in states()) {
        let edit = |lab: &mut Lab, (image, label, annotation): &(String, Option<String>, Option<String>)| {
            lab.edit("/spec/containers/0/image", json!(image));
            lab.edit("/metadata/labels/tier", json!(label));
            lab.edit("/metadata/annotations/tier", json!(annotation));
        };
        let globs = |lab: Lab| {
            let mut lab = lab.facts(|facts| facts.annotations = Globs::new(&["tier".to_owned()]));
            lab.edit("/metadata/annotations/note", json!("does not cross"));
            lab
        };
        let mut followed = globs(Lab::running());
        for state in &states {
            edit(&mut followed, state);
            followed.converge();
        }
        let mut created = globs(Lab::fresh());
        edit(&mut created, states.last().unwrap());
        created.converge();
        let (followed, created) = (followed.host().unwrap(), created.host().unwrap());
        for field in ["/metadata/labels", "/metadata/annotations", "/spec/containers/0/image"] {
            prop_assert_eq!(followed.at(field), created.at(field), "{}", field);
        }
    }
}

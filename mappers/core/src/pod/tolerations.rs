//! Tolerations. The installation decides which taints of its nodes a tenant may tolerate.

use serde_json::{Value, json};
use tenet_mapper::Object;
use tenet_mapper::translate::labels::Globs;

use super::config::Tolerations;

/// Taints that say how a node is, not for whom it is: every pod may tolerate them. The API server and the `DaemonSet`
/// controller add such tolerations by themselves, and a kubelet under pressure evicts whatever a pod tolerates.
const CONDITIONS: [&str; 6] = [
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unreachable",
];

/// The taint of a cordoned node. The `DaemonSet` controller adds a toleration of it to each of its pods; any other pod
/// would come back to a node that is being drained.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

/// Tolerations of a pod, as far as they cross.
pub(super) struct Crossing {
    /// Tolerations of the host pod.
    pub(super) tolerations: Vec<Value>,
    /// Sentence about the tolerations that the host pod does not have.
    pub(super) remark: Option<String>,
}

/// Returns the tolerations of the host pod: those of the tenant that are allowed, and those that the installation adds.
pub(super) fn cross(virt: &Object, config: &Tolerations) -> Crossing {
    let (allow, added) = (Globs::new(&config.allow), config.added());
    let (mut tolerations, mut left_out) = (Vec::new(), Vec::new());
    for toleration in virt.list_at("/spec/tolerations") {
        let key = toleration["key"].as_str().unwrap_or_default();
        if allow.matches(key) || usual(virt).any(|usual| usual == key) {
            tolerations.push(toleration.clone());
        } else if !added.iter().any(|added| is_same(added, toleration)) {
            left_out.push(text(toleration));
            if key.is_empty() {
                tolerations.extend(narrowed(virt, config, toleration));
            }
        }
    }
    tolerations.retain(|toleration| !added.iter().any(|added| is_same(added, toleration)));
    tolerations.extend(added);
    let remark = (!left_out.is_empty()).then(|| {
        format!(
            "spec.tolerations: {} left out: the host reserves nodes with such taints; only taints for the condition of a \
             node and those of pods.tolerations.allow may be tolerated",
            left_out.join(", ")
        )
    });
    Crossing { tolerations, remark }
}

/// Returns true if two tolerations are one, perhaps for another time.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    let operator = |toleration: &Value| toleration["operator"].as_str().unwrap_or("Equal").to_owned();
    let is_equal = |field: &str| one[field].as_str().unwrap_or_default() == other[field].as_str().unwrap_or_default();
    operator(one) == operator(other) && ["key", "value", "effect"].into_iter().all(is_equal)
}

/// The keys of the taints that this pod may always tolerate.
fn usual(virt: &Object) -> impl Iterator<Item = &'static str> {
    CONDITIONS.into_iter().chain(is_of_daemon_set(virt).then_some(CORDONED))
}

fn is_of_daemon_set(virt: &Object) -> bool {
    virt.list_at("/metadata/ownerReferences")
        .iter()
        .any(|owner| owner["kind"] == "DaemonSet" && owner["controller"] == true)
}

/// Returns the part of a toleration of every taint that is allowed.
fn narrowed(virt: &Object, config: &Tolerations, every: &Value) -> Vec<Value> {
    let allowed = config.allow.iter().filter(|glob| !glob.contains('*')).cloned();
    let with_key = |key: String| {
        let mut toleration = json!({"key": key, "operator": "Exists"});
        for field in ["effect", "tolerationSeconds"] {
            if let Some(value) = every.get(field) {
                toleration[field] = value.clone();
            }
        }
        toleration
    };
    let own = virt.list_at("/spec/tolerations");
    let parts = usual(virt).map(str::to_owned).chain(allowed).map(with_key);
    parts.filter(|part| !own.iter().any(|own| is_same(own, part))).collect()
}

/// A toleration in the notation of taints.
fn text(toleration: &Value) -> String {
    let member = |field: &str| toleration[field].as_str().filter(|text| !text.is_empty());
    let value = member("value").map(|value| format!("={value}")).unwrap_or_default();
    let effect = member("effect").map(|effect| format!(":{effect}")).unwrap_or_default();
    format!("{}{value}{effect}", member("key").unwrap_or("every taint"))
}

#[cfg(test)]
mod tests {
    use super::super::config::{Operator, Toleration};
    use super::*;

    fn pod(controller: &str, tolerations: &Value) -> Object {
        let owners = json!([{"apiVersion": "apps/v1", "kind": controller, "controller": true}]);
        Object::new(json!({"metadata": {"ownerReferences": owners}, "spec": {"tolerations": tolerations}}))
    }

    fn keys(crossing: &Crossing) -> Vec<&str> {
        crossing.tolerations.iter().map(|toleration| toleration["key"].as_str().unwrap_or("")).collect()
    }

    fn allow(globs: &[&str]) -> Tolerations {
        Tolerations { allow: globs.iter().map(|glob| (*glob).to_owned()).collect(), add: Vec::new() }
    }

    #[test]
    fn only_taints_for_the_condition_of_a_node_may_be_tolerated() {
        let every = |operator: &str, key: &str| json!([{"key": key, "operator": operator, "effect": "NoSchedule"}]);
        for (controller, key, crosses) in [
            ("ReplicaSet", "node.kubernetes.io/not-ready", true),
            ("ReplicaSet", "node.kubernetes.io/memory-pressure", true),
            ("ReplicaSet", "node.kubernetes.io/unschedulable", false),
            ("DaemonSet", "node.kubernetes.io/unschedulable", true),
            ("DaemonSet", "node-role.kubernetes.io/control-plane", false),
            ("ReplicaSet", "node.kubernetes.io/out-of-service", false),
            ("ReplicaSet", "dedicated", false),
        ] {
            let crossing = cross(&pod(controller, &every("Exists", key)), &Tolerations::default());
            assert_eq!(keys(&crossing) == [key], crosses, "{controller} {key}");
            let remark = crossing.remark.unwrap_or_default();
            assert_eq!(
                remark.contains(&format!("{key}:NoSchedule left out")),
                !crosses,
                "{controller} {key}: {remark}"
            );
        }
    }

    #[test]
    fn a_toleration_of_every_taint_is_narrowed_to_what_is_allowed() {
        let every = json!([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]);
        let crossing = cross(&pod("ReplicaSet", &every), &allow(&["spot", "team/*"]));
        let expected: Vec<_> = CONDITIONS.into_iter().chain(["spot"]).collect();
        assert_eq!(keys(&crossing), expected);
        assert_eq!(
            crossing.tolerations[0],
            json!({"key": CONDITIONS[0], "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5})
        );
        assert!(crossing.remark.is_some_and(|remark| remark.contains("every taint:NoExecute")));
        let crossing = cross(&pod("ReplicaSet", &every), &allow(&["*"]));
        assert_eq!((Value::Array(crossing.tolerations), crossing.remark), (every, None));
    }

    #[test]
    fn what_the_installation_adds_wins() {
        let added = Toleration { key: Some("spot".to_owned()), toleration_seconds: Some(60), ..Toleration::default() };
        let config =
            Tolerations { add: vec![Toleration { operator: Operator::Exists, ..added }], ..Tolerations::default() };
        let own = json!([{"key": "spot", "operator": "Exists", "tolerationSeconds": 9000}]);
        for own in [own, json!([])] {
            let crossing = cross(&pod("ReplicaSet", &own), &config);
            let expected = json!([{"key": "spot", "operator": "Exists", "tolerationSeconds": 60}]);
            assert_eq!((Value::Array(crossing.tolerations), crossing.remark), (expected, None));
        }
    }
}

mod lab;

mod certificates;
mod creation;
mod deletion;
mod hostname;
mod hosts_file;
mod laws;
mod nameserver;
mod owner;
mod refusal;
mod status;
mod tenant_nodes;
mod tokens;
mod trust_bundles;
mod update;
mod volumes;

mod placement;
mod priority;

use tenet_mapper::Mapper;
use tenet_mapper::rules::Coverage;

use super::*;

/// The paths of all leaves of a Pod in Kubernetes 1.37.2; `tests/pod_paths.rs` writes them.
#[test]
fn the_table_has_a_rule_for_every_field() {
    let table = table::table();
    let paths = include_str!("../../tests/fixtures/pod-paths-1.37.txt");
    let missing: Vec<_> =
        paths.lines().filter(|path| !path.starts_with('#') && table.coverage(path) != Coverage::Ruled).collect();
    assert_eq!(missing, [""; 0]);
    assert!(paths.lines().count() > 1000, "the fixture is cut");
}

#[test]
fn every_refusal_has_a_reason_that_completes_a_sentence() {
    for (path, rule) in table::table().rules() {
        let reasoned = !matches!(rule.action, tenet_mapper::rules::Action::Refuse) || !rule.why.is_empty();
        assert!(reasoned && !rule.why.ends_with('.'), "{path}: {:?}", rule.why);
    }
}

/// No table translates names below a refused field.
#[test]
fn no_installation_permits_a_field_that_names_objects_of_the_host() {
    let table = table::table();
    for (path, named) in [
        ("spec.volumes[].ephemeral", "claims"),
        ("spec.volumes[].flexVolume", "Secrets"),
        ("spec.resourceClaims", "resource claims"),
        ("spec.serviceAccountName", "a ServiceAccount"),
    ] {
        let (_, rule) = table.rules().into_iter().find(|(known, _)| *known == path).unwrap();
        assert!(rule.sealed.starts_with(&format!("names {named}, which would be")), "{path}: {:?}", rule.sealed);
    }
}

#[test]
fn only_what_is_read_of_a_host_pod_is_kept_in_memory() {
    let spec = PodMapper::new().spec().clone();
    let input = spec.inputs.iter().find(|input| input.side == Side::Host && input.kind == kinds::POD).unwrap();
    let cut = input.projection.cut(lab::Lab::running().host().unwrap().value().clone());
    assert_eq!(
        cut["spec"]["containers"],
        serde_json::json!([{"name": "nginx", "image": "nginx:1.27", "resources": {}}])
    );
    assert_eq!(cut["spec"].get("volumes"), None);
    assert!(cut["metadata"]["annotations"].is_object() && cut["status"].is_object());
}

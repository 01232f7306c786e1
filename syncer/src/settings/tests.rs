use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_config::{Live, Overrides, ReloadOutcome, Reloader};
use tenet_mapper::rules::{Rule, Table, copy, refuse, set};
use tenet_mapper::{CopyMapper, kinds};

use super::*;

const INGRESS: Kind = Kind::of("networking.k8s.io", "v1", "Ingress", "ingresses");
const BASE: &str = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";
const RULES: &[Rule] = &[
    set("metadata", "carries the owner record"),
    copy("spec.rules").whole(),
    refuse("spec.ingressClassName", "is the host's to choose"),
    refuse("spec.tls", "is the host's to choose").sealed("names Secrets, which would be those of the host namespace"),
];

/// Section of Ingresses.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct Ingresses {
    /// Class that every Ingress has on the host.
    class: String,
    /// Port of the host's controller.
    controller_port: u16,
}

impl Default for Ingresses {
    fn default() -> Self {
        Self { class: "shared".to_owned(), controller_port: 80 }
    }
}

/// A section with a list of permitted fields of its own.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Volumes {
    /// Fields that volumes may have.
    permitted: Vec<String>,
    /// All of them.
    open: bool,
}

fn of_open(volumes: &serde_json::Value) -> Vec<String> {
    if volumes["open"] == true { vec!["spec.ingressClassName".to_owned()] } else { Vec::new() }
}

fn table() -> Table {
    Table::new(&[("", RULES)]).unwrap()
}

/// Mappers of a third party.
fn mappers() -> Vec<Box<dyn Mapper>> {
    let ingress = MapperSpec::both_sides("ingress", INGRESS, table())
        .owns(Section::of::<Ingresses>("ingresses").fixed(&["controllerPort"]));
    let service = MapperSpec::both_sides("service", kinds::SERVICE, table());
    let pod = MapperSpec::both_sides("pod", kinds::POD, table())
        .owns(Section::of::<Volumes>("volumes").permits("permitted").also_permits(of_open));
    [ingress, service, pod].map(|spec| Box::new(CopyMapper::of_table(spec)) as Box<dyn Mapper>).into()
}

fn load(settings: &Settings, path: &Path, more: &str) -> Result<Config, String> {
    std::fs::write(path, format!("{BASE}{more}\n")).unwrap();
    let loaded = Config::load_knowing(Some(path), &Overrides::default(), settings.known());
    loaded.map_err(|problems| problems.to_string().replace(path.to_str().unwrap(), "FILE"))
}

#[test]
fn a_section_of_an_outside_mapper_is_like_any_other() {
    let (settings, folder) = (Settings::of(&mappers()).unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("tenet.yaml");
    let schema = tenet_config::schema(settings.known());
    assert_eq!(schema["properties"]["ingresses"]["description"], "Section of Ingresses.");
    assert_eq!(schema["properties"]["ingresses"]["properties"]["controllerPort"]["default"], 80);
    for (text, problem) in [
        ("ingresses:\n  clas: own", "FILE:5:3: ingresses.clas: unknown key; did you mean \"class\"?"),
        (
            "ingresses: { controllerPort: 70000 }",
            "FILE:4:30: ingresses.controllerPort: expected a whole number from 0 to 65535, found 70000",
        ),
        ("ingress: {}", "FILE:4:1: ingress: unknown key; did you mean \"ingresses\"?"),
    ] {
        assert_eq!(load(&settings, &path, text).unwrap_err(), problem);
    }
}

#[test]
fn a_reload_changes_the_section_that_a_mapper_reads() {
    let (settings, folder) = (Settings::of(&mappers()).unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("tenet.yaml");
    let live = Live::new(load(&settings, &path, "").unwrap());
    let section = || settings.facts(&live.get(), "id", "v1.37.2").unwrap().sections.get::<Ingresses>();
    assert_eq!(*section(), Ingresses::default());

    let mut reloader =
        Reloader::new(live.clone(), path.clone(), Overrides::default()).knowing(settings.known().clone());
    std::fs::write(&path, format!("{BASE}ingresses: {{ class: own, controllerPort: 8080 }}\n")).unwrap();
    let ReloadOutcome::Reloaded { applied, deferred } = reloader.check() else { panic!("the file has changed") };
    assert_eq!(applied, ["ingresses.class"]);
    assert_eq!(
        deferred[0].to_string(),
        "ingresses.controllerPort changed from 80 to 8080: takes effect after a restart"
    );
    assert_eq!(*section(), Ingresses { class: "own".to_owned(), controller_port: 80 });
}

#[test]
fn a_field_of_a_section_may_stand_for_many_paths() {
    let (settings, folder) = (Settings::of(&mappers()).unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("tenet.yaml");
    for (text, expected) in [
        ("", &[][..]),
        ("volumes: { open: true }", &["spec.ingressClassName"]),
        ("volumes: { open: true, permitted: [metadata] }", &["metadata", "spec.ingressClassName"]),
    ] {
        let config = load(&settings, &path, text).unwrap();
        let policies = settings.facts(&config, "id", "v1.37.2").unwrap().policies;
        assert_eq!(policies.of(kinds::POD).allow.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{text}");
        assert!(policies.of(INGRESS).allow.is_empty(), "{text}");
    }
}

#[test]
fn what_a_table_refuses_is_permitted_for_its_kind_alone() {
    let (settings, folder) = (Settings::of(&mappers()).unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("tenet.yaml");
    let text =
        "kinds: { allow: { Ingress.networking.k8s.io: [spec.ingressClassName] } }\nvolumes: { permitted: [metadata] }";
    let config = load(&settings, &path, text).unwrap();
    let policies = settings.facts(&config, "id", "v1.37.2").unwrap().policies;
    let allowed = |kind| policies.of(kind).allow.iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(allowed(INGRESS), ["spec.ingressClassName"]);
    assert_eq!(allowed(kinds::POD), ["metadata"]);
    assert_eq!(allowed(kinds::SERVICE), [""; 0]);

    for (text, problem) in [
        (
            "kinds: { allow: { Service: [spec.rules] } }",
            "FILE:4:29: kinds.allow.Service[0]: expected one of metadata, spec.ingressClassName, found \"spec.rules\"",
        ),
        (
            "kinds: { allow: { Service: [spec.tls] } }",
            "FILE:4:29: kinds.allow.Service[0]: spec.tls cannot be permitted: it names Secrets, which would be those of the \
             host namespace",
        ),
        (
            "volumes: { permitted: [spec.tls] }",
            "FILE:4:24: volumes.permitted[0]: spec.tls cannot be permitted: it names Secrets, which would be those of the \
             host namespace",
        ),
        (
            "kinds: { allow: { Ingress: [] } }",
            "FILE:4:19: kinds.allow.Ingress: unknown key; known here: Ingress.networking.k8s.io, Service",
        ),
        // Pods have a list of their own.
        (
            "kinds: { allow: { Pod: [] } }",
            "FILE:4:19: kinds.allow.Pod: unknown key; known here: Ingress.networking.k8s.io, Service",
        ),
        (
            "volumes: { permitted: [spec.x] }",
            "FILE:4:24: volumes.permitted[0]: expected one of metadata, spec.ingressClassName, found \"spec.x\"",
        ),
    ] {
        assert_eq!(load(&settings, &path, text).unwrap_err(), problem);
    }
}

#[test]
fn a_section_has_one_owner() {
    let owner = |section: Section| {
        let spec = MapperSpec::both_sides("other", INGRESS, table()).owns(section);
        let mut all = mappers();
        all.push(Box::new(CopyMapper::of_table(spec)));
        Settings::of(&all).map_err(|error| format!("{error:#}")).unwrap_err()
    };
    let type_of_another = owner(Section::of::<Ingresses>("own"));
    assert_eq!(type_of_another, "mapper other: the sections ingresses and own have the same type");
    for taken in ["host", "volumes"] {
        let error = owner(Section::of::<String>(taken));
        assert_eq!(error, format!("mapper other: the configuration section {taken:?} has two owners"));
    }
}

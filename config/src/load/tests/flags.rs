use std::path::PathBuf;

use super::*;
use crate::{Duration, LogFormat, Names, UnknownFields};

fn required() -> Overrides {
    Overrides {
        name: Some("vc-2".to_owned()),
        host_namespace: Some("team-b".to_owned()),
        virtual_kubeconfig: Some(PathBuf::from("/w")),
        ..Overrides::default()
    }
}

#[test]
fn flags_alone_are_enough() {
    let config = Config::load_knowing(None, &required(), &built_in()).unwrap();
    assert_eq!((config.name.as_str(), config.service_name()), ("vc-2", "vc-2"));
    assert_eq!((config.names, config.unknown_fields), (Names::Tenet, UnknownFields::Refuse));
    assert_eq!(config.engine.patrol_interval, Duration::from_secs(300));
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    let written = read("name: vc-2\nhost: {namespace: team-b}\nvirtual: {kubeconfig: /w}", &Overrides::default());
    assert_eq!(Ok(config), written);
}

#[test]
fn every_flag_stands_above_the_file() {
    let all = Overrides {
        host_kubeconfig: Some(PathBuf::from("/h")),
        host_context: Some("hc".to_owned()),
        virtual_context: Some("vc".to_owned()),
        service: Some("api".to_owned()),
        admin_listen: Some("[::1]:0".to_owned()),
        log_level: Some("warn".to_owned()),
        log_format: Some("json".to_owned()),
        ..required()
    };
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/full.yaml")).unwrap();
    let config = read(&text, &all).unwrap();
    assert_eq!(config.name, "vc-2");
    assert_eq!(config.host.kubeconfig, all.host_kubeconfig);
    assert_eq!(config.host.context, all.host_context);
    assert_eq!(config.host.namespace, "team-b");
    assert_eq!(config.r#virtual.kubeconfig, Path::new("/w"));
    assert_eq!(config.r#virtual.context, all.virtual_context);
    assert_eq!(config.service_name(), "api");
    assert_eq!(config.admin.listen.to_string(), "[::1]:0");
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn", LogFormat::Json));
    assert_eq!(
        config.sections["pods"]["priorityClasses"],
        serde_json::json!(["batch-low"]),
        "what no flag names stays"
    );
}

#[test]
fn a_flag_replaces_a_bad_value_of_the_file_and_a_bad_flag_names_itself() {
    let bad = "name: Bad\nhost:\nvirtual:\n";
    assert_eq!(read(bad, &required()).map(|config| config.name), Ok("vc-2".to_owned()));

    let flags =
        Overrides { host_namespace: Some("Team_B".to_owned()), log_format: Some("xml".to_owned()), ..required() };
    let problems = read("names: x\n", &flags).unwrap_err().to_string();
    assert_eq!(
        problems,
        "<yaml>:1:8: names: expected one of tenet, vcluster, found \"x\"\n\
         --host-namespace: \"Team_B\" is not a DNS label (lower-case letters, digits and '-', at most 63 characters)\n\
         --log-format: expected one of text, json, found \"xml\""
    );
}

#[test]
fn without_a_file_what_is_required_is_asked_for_as_a_flag() {
    let problems = Config::load(None, &Overrides::default()).unwrap_err().to_string();
    assert_eq!(
        problems,
        "--host-namespace: host.namespace is required\n\
         --name: name is required\n\
         --virtual-kubeconfig: virtual.kubeconfig is required"
    );
}

#[test]
fn a_flag_does_not_hide_that_its_mapping_is_none() {
    let problems = read("host: 5\n", &required()).unwrap_err().to_string();
    assert_eq!(problems, "<yaml>:1:7: host: expected a mapping, found the number 5");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_utf8_is_a_problem_of_its_flag() {
    use std::os::unix::ffi::OsStringExt;

    let path = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
    let flags = Overrides { host_kubeconfig: Some(path), ..required() };
    let problems = Config::load(None, &flags).unwrap_err().to_string();
    assert_eq!(problems, "--host-kubeconfig: the path is not UTF-8");
}

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::known::built_in;

mod flags;
mod mistakes;
mod yaml;

/// The least that is valid, on lines 1 to 3.
const MINIMAL: &str = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";

/// Reads a text as the program with the built-in mappers does.
fn read(text: &str, overrides: &Overrides) -> Result<Config, Problems> {
    Reader::new(overrides, &built_in()).text("<yaml>", text)
}

fn problems(text: &str) -> Vec<String> {
    match read(text, &Overrides::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let text = problems.to_string();
            text.lines().map(|line| line.trim_start_matches("<yaml>:").to_owned()).collect()
        }
    }
}

#[test]
fn a_configuration_survives_being_written_and_read_again() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/full.yaml");
    let config = Config::load_knowing(Some(&path), &Overrides::default(), &built_in()).unwrap();
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(read(&written, &Overrides::default()), Ok(config));
}

#[test]
fn bytes_that_are_no_utf8_are_a_problem_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenet.yaml");
    std::fs::write(&path, b"name: vc-1\n# \xc3\xa4 \xff\n").unwrap();
    let problems = Config::load(Some(&path), &Overrides::default()).unwrap_err();
    assert_eq!(problems.to_string(), format!("{}:2:5: the file is not UTF-8", path.display()));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_that_names_it() {
    let problems = Config::load(Some(Path::new("/no/such.yaml")), &Overrides::default()).unwrap_err();
    assert_eq!(problems.to_string(), "/no/such.yaml: No such file or directory (os error 2)");
}

#[test]
fn names_of_the_program_are_checked_when_they_are_known() {
    let text = format!(
        "{MINIMAL}kinds: {{ disable: [nodes], allow: {{ Service: [spec.externalNames], Srvice: [], Ingress.a.b: [spec.hostNet] }} }}\n"
    );
    let read = |known: &Known| Reader::new(&Overrides::default(), known).text("FILE", &text);
    assert!(read(&Known::default()).is_ok());

    let mut known = Known::default();
    known.mappers = vec!["node".to_owned(), "pod".to_owned()];
    known.refused = BTreeMap::from([
        ("Ingress.a.b".to_owned(), (0..20).map(|n| format!("spec.f{n}")).collect()),
        ("Service".to_owned(), vec!["spec.externalIPs".to_owned()]),
    ]);
    let expected = "\
FILE:4:20: kinds.disable[0]: expected one of node, pod, found \"nodes\"; did you mean \"node\"?
FILE:4:47: kinds.allow.Service[0]: expected one of spec.externalIPs, found \"spec.externalNames\"; did you mean \"spec.externalIPs\"?
FILE:4:68: kinds.allow.Srvice: unknown key; did you mean \"Service\"?
FILE:4:94: kinds.allow.Ingress.a.b[0]: expected one of spec.f0, spec.f1, spec.f2, spec.f3, spec.f4, spec.f5, spec.f6, spec.f7, \
                    spec.f8, spec.f9, spec.f10, spec.f11 and 8 more, found \"spec.hostNet\"";
    assert_eq!(read(&known).unwrap_err().to_string(), expected);
}

#[test]
fn a_section_is_checked_by_its_schema_first_and_then_by_its_owner() {
    let complete = |value: &Value| match value.get("count").and_then(Value::as_u64) {
        Some(13) => Err("13 brings bad luck".to_owned()),
        count => Ok(json!({"count": count.unwrap_or(7), "free": value.get("free")})),
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 0},
            "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "maybe": {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "null"}]},
            "free": true,
        },
    });
    let mut known = Known::default();
    known.add(Section { name: "own".to_owned(), schema, complete, fixed: Vec::new() }).unwrap();
    let read = |text: &str| {
        let text = format!("{MINIMAL}{text}\n");
        Reader::new(&Overrides::default(), &known).text("FILE", &text).map_err(|problems| problems.to_string())
    };
    for (text, expected) in [
        ("own: { cuont: 1 }", "FILE:4:8: own.cuont: unknown key; did you mean \"count\"?"),
        ("own:\n  count: x", "FILE:5:10: own.count: expected a whole number, found the text \"x\""),
        ("own:\n  count: 13", "FILE:4:1: own: 13 brings bad luck"),
        ("own: { map: { any: 1 } }", "FILE:4:20: own.map.any: expected a boolean, found the number 1"),
        ("own: { maybe: { b: c } }", "FILE:4:17: own.maybe.b: unknown key; did you mean \"a\"?"),
        ("owm: { count: 1 }", "FILE:4:1: owm: unknown key; did you mean \"own\"?"),
    ] {
        assert_eq!(read(text), Err(expected.to_owned()), "{text}");
    }
    let free = read("own: { count: 1, free: { deep: [1, a, ~] }, maybe: ~ }").unwrap();
    assert_eq!(free.sections["own"], json!({"count": 1, "free": {"deep": [1, "a", null]}}));
    assert_eq!(read("").unwrap().sections["own"], json!({"count": 7, "free": null}), "absent, it has its defaults");
}

use super::*;

mod flags;
mod mistakes;
mod yaml;

/// The least that is valid, on lines 1 to 3.
const MINIMAL: &str = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";

fn problems(text: &str) -> Vec<String> {
    match Config::from_yaml(text, &Overrides::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let text = problems.to_string();
            text.lines().map(|line| line.trim_start_matches("<yaml>:").to_owned()).collect()
        }
    }
}

/// What follows the three lines of a valid file, and the problem that it makes.

#[test]
fn a_configuration_survives_being_written_and_read_again() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/full.yaml");
    let config = Config::load(Some(&path), &Overrides::default()).unwrap();
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(Config::from_yaml(&written, &Overrides::default()), Ok(config));
}

#[test]
fn bytes_that_are_no_utf8_are_a_problem_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenet.yaml");
    std::fs::write(&path, b"name: vc-1\n# \xc3\xa4 \xff\n").unwrap();
    let problems = Config::load(Some(&path), &Overrides::default()).unwrap_err();
    assert_eq!(problems.to_string(), format!("{}:2:5: not UTF-8", path.display()));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_that_names_it() {
    let problems = Config::load(Some(Path::new("/no/such.yaml")), &Overrides::default()).unwrap_err();
    assert_eq!(problems.to_string(), "/no/such.yaml: No such file or directory (os error 2)");
}

#[test]
fn names_of_the_program_are_checked_when_they_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenet.yaml");
    let text = "kinds: { disable: [nodes] }\npods: { allow: [spec.hostNet] }\n";
    std::fs::write(&path, format!("{MINIMAL}{text}")).unwrap();
    let load = |known| Config::load_knowing(Some(&path), &Overrides::default(), &known);
    assert!(load(Known::default()).is_ok());

    let fields = (0..20).map(|n| format!("spec.f{n}"));
    let known = Known { mappers: vec!["node".to_owned(), "pod".to_owned()], refused_pod_fields: fields.collect() };
    let expected = "\
FILE:4:20: kinds.disable[0]: expected one of node, pod, found \"nodes\"; did you mean \"node\"?
FILE:5:17: pods.allow[0]: expected one of spec.f0, spec.f1, spec.f2, spec.f3, spec.f4, spec.f5, spec.f6, spec.f7, \
                    spec.f8, spec.f9, spec.f10, spec.f11 and 8 more, found \"spec.hostNet\"";
    let found = load(known).unwrap_err().to_string();
    assert_eq!(found.replace(path.to_str().unwrap(), "FILE"), expected);
}

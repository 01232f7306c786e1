//! The planted defects of `sim/mutants`, which each change of the engine may leave behind.

use std::fs::{read_dir, read_to_string};
use std::path::PathBuf;
use std::process::Command;

use tenet_sim::script::directed;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn patches() -> Vec<PathBuf> {
    let mut patches: Vec<_> =
        read_dir(root().join("sim/mutants")).expect("sim/mutants").map(|entry| entry.expect("a file").path()).collect();
    patches.sort();
    patches
}

#[test]
fn the_mutants_apply_together_to_the_engine_as_it_is() {
    let patches = patches();
    assert!(patches.len() >= 30, "{patches:?}");
    let apply = || {
        let mut git = Command::new("git");
        git.args(["apply", "--check", "--recount"]).current_dir(root());
        git
    };
    for patch in &patches {
        let output = apply().arg(patch).output().expect("git");
        assert!(output.status.success(), "{}: {}", patch.display(), String::from_utf8_lossy(&output.stderr));
    }
    let output = apply().args(&patches).output().expect("git");
    assert!(output.status.success(), "together: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_mutant_has_a_switch_and_a_line_in_the_table() {
    let table = read_to_string(root().join("sim/mutants.md")).unwrap();
    for patch in patches() {
        let name = patch.file_stem().unwrap().to_string_lossy().into_owned();
        let row = table.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in sim/mutants.md"));
        let script = row.trim_end_matches('|').rsplit('|').next().map_or("", str::trim);
        let is_known = script.is_empty() || directed().iter().any(|(idea, _)| *idea == script);
        assert!(is_known, "{name} names no directed script: {script}");
        assert!(read_to_string(&patch).unwrap().contains(&format!("mutant == \"{name}\"")), "{name} has no switch");
    }
}

//! The planted defects of `sim/mutants`, which each change of the engine may leave behind.

use std::fs::{read_dir, read_to_string};
use std::path::PathBuf;
use std::process::Command;

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
        assert!(table.contains(&format!("| `{name}` |")), "{name} is not in sim/mutants.md");
        assert!(read_to_string(&patch).unwrap().contains(&format!("mutant == \"{name}\"")), "{name} has no switch");
    }
}

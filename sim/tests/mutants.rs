//! The planted defects of `sim/mutants`, which each change of the engine may leave behind.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn every_mutant_applies_to_the_engine_as_it_is() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::fs::read_dir(root.join("sim/mutants")).unwrap();
    let mut patches: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    patches.sort();
    assert!(patches.len() > 20, "{patches:?}");
    for patch in patches {
        let git = Command::new("git").args(["apply", "--check", "--recount"]).arg(&patch).current_dir(&root).output();
        let output = git.expect("git");
        assert!(output.status.success(), "{}: {}", patch.display(), String::from_utf8_lossy(&output.stderr));
    }
}

//! The walk of the README, by the command of the README.

use std::process::Command;

use anyhow::Result;

use crate::harness::dir;

#[test]
fn every_step_of_the_walk_is_verified() -> Result<()> {
    let dir = dir("demo");
    let walk = Command::new(env!("CARGO_BIN_EXE_tenet"))
        .args(["playground", "--demo", "--exit", "--dir"])
        .arg(&dir)
        .output()?;
    let told = String::from_utf8_lossy(&walk.stdout);
    assert!(walk.status.success(), "{told}\n{}", String::from_utf8_lossy(&walk.stderr));
    assert_eq!(told.matches("  ok (").count(), 7, "{told}");
    Ok(std::fs::remove_dir_all(dir)?)
}

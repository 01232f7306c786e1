//! Applies each planted defect to a copy of the repository, and shows that the simulator finds it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Parser;

/// Shows that the simulator kills the mutants of `sim/mutants`.
#[derive(Parser)]
struct Args {
    /// Number of seeds that each mutant has to survive.
    #[arg(long, default_value_t = 400)]
    seeds: u64,
    /// Only the mutants with these names.
    names: Vec<String>,
}

fn main() -> ExitCode {
    match kill_all(&Args::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many mutants have survived.
fn kill_all(args: &Args) -> anyhow::Result<usize> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut patches: Vec<_> =
        std::fs::read_dir(root.join("sim/mutants"))?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    patches.sort();
    let copy = std::env::temp_dir().join(format!("tenet-mutants-{}", std::process::id()));
    git(&root, &["worktree", "add", "--detach", &copy.display().to_string(), "HEAD"])?;
    let result = kill_each(args, &root, &copy, &patches);
    git(&root, &["worktree", "remove", "--force", &copy.display().to_string()])?;
    result
}

fn kill_each(args: &Args, root: &Path, copy: &Path, patches: &[PathBuf]) -> anyhow::Result<usize> {
    let (mut survivors, mut tried) = (0, 0);
    for patch in patches {
        let name = patch.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !args.names.is_empty() && !args.names.contains(&name) {
            continue;
        }
        let start = Instant::now();
        git(copy, &["checkout", "--quiet", "--force", "HEAD"])?;
        git(copy, &["apply", "--recount", &patch.display().to_string()])
            .with_context(|| format!("mutant {name} does not apply"))?;
        tried += 1;
        let verdict = run(args, root, copy)?;
        if verdict.is_none() {
            survivors += 1;
        }
        let verdict = verdict.map_or_else(|| "SURVIVED".to_owned(), |why| format!("killed: {why}"));
        println!("{name:<24} {:>4} s  {verdict}", start.elapsed().as_secs());
    }
    println!("{} of {tried} mutants killed", tried - survivors);
    Ok(survivors)
}

/// Builds a mutant and runs seeds. Returns how it was found.
fn run(args: &Args, root: &Path, copy: &Path) -> anyhow::Result<Option<String>> {
    let cargo = |command: &str| {
        let mut cargo = Command::new("cargo");
        cargo.args([command, "--quiet", "--package", "tenet-sim", "--bin", "tenet-sim"]).current_dir(copy);
        cargo.env("CARGO_TARGET_DIR", root.join("target/mutants")).stdin(Stdio::null());
        cargo
    };
    let built = cargo("build").output().context("cargo build")?;
    ensure!(built.status.success(), "the mutant does not build: {}", String::from_utf8_lossy(&built.stderr));
    let seeds = args.seeds.to_string();
    let ran = cargo("run").args(["--", "--failures", "1", "--no-shrink", "--seeds", &seeds]).output()?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let lines: Vec<_> = text.lines().take_while(|line| !line.contains("runs/s")).map(str::trim).collect();
    Ok((!ran.status.success()).then(|| lines.join(" ").chars().take(160).collect()))
}

fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("git").args(arguments).current_dir(directory).output().context("git")?;
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

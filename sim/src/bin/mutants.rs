//! Plants every defect of `sim/mutants` in a copy of the repository, switches on one after the other, and shows that
//! the simulator finds it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Parser;
use tenet_sim::campaign::threads;

/// Variable that switches on one mutant: each patch asks for its own name.
const SWITCH: &str = "TENET_MUTANT";

/// Shows that the simulator kills the mutants of `sim/mutants`.
#[derive(Parser)]
struct Args {
    /// Number of seeds that each mutant has to survive, after the directed scripts.
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
    let program = build(&root, &copy, &patches);
    git(&root, &["worktree", "remove", "--force", &copy.display().to_string()])?;
    kill_each(args, &program?, &patches)
}

/// Builds the simulator with all mutants in it, each switched off.
fn build(root: &Path, copy: &Path, patches: &[PathBuf]) -> anyhow::Result<PathBuf> {
    for patch in patches {
        git(copy, &["apply", "--recount", &patch.display().to_string()])
            .with_context(|| format!("{} does not apply", patch.display()))?;
    }
    let target = root.join("target/mutants");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "tenet-sim", "--bin", "tenet-sim"])
        .current_dir(copy)
        // The build is used once: one that is quick is better than one that is small.
        .envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")])
        .envs([("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2")])
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .context("cargo build")?;
    ensure!(built.status.success(), "the mutants do not build: {}", String::from_utf8_lossy(&built.stderr));
    Ok(target.join("release/tenet-sim"))
}

fn kill_each(args: &Args, program: &Path, patches: &[PathBuf]) -> anyhow::Result<usize> {
    let unchanged = run(args, program, "none")?;
    ensure!(unchanged.is_none(), "the engine without a mutant fails: {}", unchanged.unwrap_or_default());
    let (mut survivors, mut tried) = (0, 0);
    for patch in patches {
        let name = patch.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !args.names.is_empty() && !args.names.contains(&name) {
            continue;
        }
        let start = Instant::now();
        tried += 1;
        let verdict = run(args, program, &name)?;
        if verdict.is_none() {
            survivors += 1;
        }
        let verdict = verdict.map_or_else(|| "SURVIVED".to_owned(), |why| format!("killed: {why}"));
        println!("{name:<24} {:>4} s  {verdict}", start.elapsed().as_secs());
    }
    println!("{} of {tried} mutants killed", tried - survivors);
    Ok(survivors)
}

/// Runs the directed scripts and seeds with one mutant. Returns how it was found.
fn run(args: &Args, program: &Path, name: &str) -> anyhow::Result<Option<String>> {
    let ran = Command::new(program)
        .args(["--directed", "--failures", "1", "--no-shrink", "--seeds", &args.seeds.to_string()])
        .args(["--threads", &threads().to_string()])
        .env(SWITCH, name)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let lines: Vec<_> = text.lines().take_while(|line| !line.contains("runs/s")).map(str::trim).collect();
    Ok((!ran.status.success()).then(|| lines.join(" ").chars().take(160).collect()))
}

fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("git").args(arguments).current_dir(directory).output().context("git")?;
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

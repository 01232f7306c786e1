//! Plants every defect of `sim/mutants` in a copy of the repository, switches on one after the other, and shows that
//! the simulator finds it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Parser;
use parking_lot::Mutex;
use tenet_sim::campaign::threads;
use tenet_sim::script::directed;

/// Variable that switches on one mutant: each patch asks for its own name.
const SWITCH: &str = "TENET_MUTANT";

/// Shows that the simulator kills the mutants of `sim/mutants`.
#[derive(Parser)]
struct Args {
    /// Number of seeds that each mutant has to survive, after the directed scripts.
    #[arg(long, default_value_t = 400)]
    seeds: u64,
    /// Writes the ideas of the scripts that have found mutants into `sim/mutants.md`.
    #[arg(long)]
    record: bool,
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
    let file = root.join("sim/mutants.md");
    let table = std::fs::read_to_string(&file)?;
    let mutants: Vec<_> = patches.iter().map(|patch| Mutant::of(patch, &table)).collect();
    let (survivors, ideas) = kill_each(args, &program?, &mutants)?;
    if args.record {
        std::fs::write(&file, record(&table, &ideas))?;
    }
    Ok(survivors)
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

/// A planted defect.
struct Mutant {
    name: String,
    /// Directed script that has found it, as `sim/mutants.md` says.
    known: Option<String>,
}

impl Mutant {
    fn of(patch: &Path, table: &str) -> Self {
        let name = patch.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let row = table.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let known = row.and_then(|row| row.trim_end_matches('|').rsplit('|').next()).map(|idea| idea.trim().to_owned());
        Self { name, known: known.filter(|idea| !idea.is_empty()) }
    }

    /// Runs the script that has found the mutant, and all others if that finds nothing. Returns how it was found.
    fn kill(&self, args: &Args, program: &Path) -> anyhow::Result<Option<Found>> {
        if let Some(idea) = &self.known
            && let Some(found) = run(program, &self.name, &["--idea", idea])?
        {
            return Ok(Some(found));
        }
        run(program, &self.name, &["--directed", "--seeds", &args.seeds.to_string()])
    }
}

/// How a mutant was found.
struct Found {
    /// Idea of the directed script that has found it; none if it was a seed.
    idea: Option<String>,
    why: String,
}

/// Ideas of the directed scripts that have found mutants, by the names of the mutants.
type Ideas = BTreeMap<String, String>;

/// Returns the table of mutants with these ideas in its last column.
fn record(table: &str, ideas: &Ideas) -> String {
    let row = |line: &str| {
        let name = line.split('`').nth(1).filter(|_| line.starts_with("| `"));
        match (name.and_then(|name| ideas.get(name)), line.rsplitn(3, '|').nth(2)) {
            (Some(idea), Some(before)) => format!("{before}| {idea} |\n"),
            _ => format!("{line}\n"),
        }
    };
    table.lines().map(row).collect()
}

/// Runs every mutant, several at once. Returns how many have survived, and which scripts have found the others.
fn kill_each(args: &Args, program: &Path, mutants: &[Mutant]) -> anyhow::Result<(usize, Ideas)> {
    let all = ["--directed", "--seeds", &args.seeds.to_string(), "--threads", &threads().to_string()];
    let (start, unchanged) = (Instant::now(), run(program, "none", &all)?);
    ensure!(
        unchanged.is_none(),
        "the engine without a mutant fails: {}",
        unchanged.map(|found| found.why).unwrap_or_default()
    );
    println!("{:<24} {:>4} s  no script and none of {} seeds fails", "none", start.elapsed().as_secs(), args.seeds);
    let wanted = |mutant: &&Mutant| args.names.is_empty() || args.names.contains(&mutant.name);
    let wanted: Vec<_> = mutants.iter().filter(wanted).collect();
    let (next, survivors, broken) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(None));
    let ideas = Mutex::new(Ideas::new());
    let work = || {
        while let Some(mutant) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Instant::now();
            let verdict = match mutant.kill(args, program) {
                Ok(Some(found)) => {
                    ideas.lock().extend(found.idea.map(|idea| (mutant.name.clone(), idea)));
                    format!("killed: {}", found.why)
                }
                Ok(None) => {
                    survivors.fetch_add(1, Ordering::Relaxed);
                    "SURVIVED".to_owned()
                }
                Err(error) => {
                    *broken.lock() = Some(error);
                    return;
                }
            };
            println!("{:<24} {:>4} s  {verdict}", mutant.name, start.elapsed().as_secs());
        }
    };
    thread::scope(|scope| (0..threads()).for_each(|_| drop(scope.spawn(work))));
    if let Some(error) = broken.into_inner() {
        return Err(error);
    }
    let survivors = survivors.into_inner();
    println!("{} of {} mutants killed in {} s", wanted.len() - survivors, wanted.len(), start.elapsed().as_secs());
    Ok((survivors, ideas.into_inner()))
}

/// Runs scripts with one mutant until one fails. Returns how it was found.
fn run(program: &Path, name: &str, scripts: &[&str]) -> anyhow::Result<Option<Found>> {
    let ran = Command::new(program)
        .args(["--failures", "1", "--no-shrink"])
        .args(scripts)
        .env(SWITCH, name)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let lines: Vec<_> = text.lines().take_while(|line| !line.contains("runs/s")).map(str::trim).collect();
    let idea = lines.first().and_then(|line| line.strip_suffix(':'));
    let idea = idea.filter(|idea| directed().iter().any(|(known, _)| known == idea)).map(str::to_owned);
    Ok((!ran.status.success()).then(|| Found { idea, why: lines.join(" ").chars().take(160).collect() }))
}

fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("git").args(arguments).current_dir(directory).output().context("git")?;
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_that_finds_a_mutant_becomes_the_last_column_of_its_row() {
        let table = "| mutant | found by |\n|---|---|\n| `a` |  |\n| `b` | a crash |\n";
        let ideas = Ideas::from([("a".to_owned(), "a lost event".to_owned())]);
        let recorded = "| mutant | found by |\n|---|---|\n| `a` | a lost event |\n| `b` | a crash |\n";
        assert_eq!(record(table, &ideas), recorded);
        assert_eq!(Mutant::of(Path::new("sim/mutants/b.patch"), table).known.as_deref(), Some("a crash"));
        assert_eq!(Mutant::of(Path::new("sim/mutants/a.patch"), table).known, None);
    }
}

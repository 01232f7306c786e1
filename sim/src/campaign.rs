//! Campaign: many seeds, each compared with the undisturbed run of its story.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::oracle::{Failure, Promise, compare};
use crate::run::{Report, run};
use crate::script::{Fault, SEEDS_OF_STORY, Script};

/// Result of one script.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Broken promises.
    pub failures: Vec<Failure>,
    /// Number of times that each kind of fault took effect.
    pub hits: BTreeMap<&'static str, u64>,
    /// The last entries of the audit logs.
    pub log: Vec<String>,
    /// Digest of both audit logs.
    pub digest: u64,
}

/// A defect that is known and not mended yet.
pub struct Defect {
    /// Description.
    pub name: &'static str,
    /// Returns true for a script that may show it.
    pub concerns: fn(&Script) -> bool,
}

/// Defects that are not mended yet. Scripts that may show one are left out of `cargo test`.
pub const OPEN: &[Defect] = &[Defect {
    name: "a store that goes back by less than the time between two epochs after a syncer was killed is not noticed",
    concerns: |script| script.has(|fault| matches!(fault, Fault::Rewind(..))) && ends(script),
}];

/// Returns true if a syncer ends while the script runs.
fn ends(script: &Script) -> bool {
    script.has(|fault| matches!(fault, Fault::Crash(_) | Fault::Stop))
}

/// Returns an open defect that a script may show.
pub fn is_open(script: &Script) -> Option<&'static str> {
    OPEN.iter().find(|defect| (defect.concerns)(script)).map(|defect| defect.name)
}

thread_local! {
    /// The last undisturbed run, as seeds in a row share their story.
    static UNDISTURBED: RefCell<Option<(Script, Report)>> = const { RefCell::new(None) };
}

/// Number of threads that the machine runs at once.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Visits seeds in order on several threads, those of one story on one.
pub fn sweep(seeds: impl IntoIterator<Item = u64>, threads: usize, visit: impl Fn(u64) + Sync) {
    let mut stories: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for seed in seeds {
        stories.entry(seed / SEEDS_OF_STORY).or_default().push(seed);
    }
    let stories: Vec<_> = stories.into_values().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(story) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
            for seed in story {
                visit(*seed);
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
}

/// Runs a script and compares its end with that of its story without faults.
pub fn try_seed(script: &Script) -> anyhow::Result<Outcome> {
    let report = run(script, false)?;
    let mut failures = report.failures;
    if failures.is_empty() && !script.needs_person() {
        let undisturbed = undisturbed(script)?;
        failures.extend(undisturbed.failures);
        if let Some(difference) = compare(&report.picture, &undisturbed.picture) {
            failures.push(Failure { promise: Promise::Same, why: difference });
        }
    }
    Ok(Outcome { failures, hits: report.hits, log: report.log, digest: report.digest })
}

/// Runs a script that must keep every promise.
///
/// # Panics
///
/// Panics with the script, the broken promises and the end of the audit logs if one is broken: for tests.
pub fn keeps_every_promise(script: &Script) {
    let outcome = try_seed(script).unwrap_or_else(|error| unreachable!("the simulator does not start: {error:#}"));
    let failures: Vec<_> = outcome.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{script}\n{}\n{}", failures.join("\n"), outcome.log.join("\n"));
}

fn undisturbed(script: &Script) -> anyhow::Result<Report> {
    let story = Script { seed: 1, ..script.undisturbed() };
    let known =
        UNDISTURBED.with_borrow(|last| last.as_ref().filter(|(of, _)| *of == story).map(|(_, run)| run.clone()));
    if let Some(report) = known {
        return Ok(report);
    }
    let report = run(&story, false)?;
    UNDISTURBED.with_borrow_mut(|last| *last = Some((story, report.clone())));
    Ok(report)
}

//! Table of CPU time.

use super::{maybe, table};
use crate::results::{Cpu, Results};

/// CPU time during the burst.
pub fn burst(results: &Results) -> Option<String> {
    let columns: Vec<_> =
        results.subjects.iter().filter_map(|subject| Some((subject.name, &subject.burst.as_ref()?.cpu))).collect();
    let mut processes: Vec<&str> = Vec::new();
    for cpu in columns.iter().flat_map(|(_, all)| *all) {
        if !processes.contains(&cpu.process.as_str()) {
            processes.push(&cpu.process);
        }
    }
    let of = |all: &[Cpu], process: &str| {
        maybe(all.iter().find(|cpu| cpu.process == process).map(|cpu| results.per_pod(cpu.millis)))
    };
    let row = |process: &str| {
        [process.to_owned()].into_iter().chain(columns.iter().map(|(_, all)| of(all, process))).collect()
    };
    let rows = processes.into_iter().map(row).collect();
    let head: Vec<_> = [""].into_iter().chain(columns.iter().map(|(name, _)| *name)).collect();
    table("CPU-ms a pod, burst (the replayer of the ideal is part of the bench)", &head, rows)
}

//! Tables of the syncer process.

use super::{number, table};
use crate::audit;
use crate::results::{Results, Subject};
use crate::usage::Memory;

/// Memory of the syncer.
pub fn memory(results: &Results) -> Option<String> {
    let tenet = results.subject("tenet")?;
    let held = tenet.memory.as_ref()?;
    let mut rows = vec![row("idle", held.idle), row("with all pods, settled", held.settled)];
    if let Some(rest) = &tenet.rest {
        rows.push(row("at the end of the rest", rest.memory));
    }
    let kib = |bytes: f64| format!("{} KiB", number(bytes / 1024.0));
    let nothing = String::new;
    let grown = kib(rss_bytes_per_pod(results, tenet)?);
    rows.push(vec!["for each pod".to_owned(), grown, nothing(), nothing()]);
    let cached = kib(results.per_pod(held.cached_bytes));
    rows.push(vec!["of that, in the caches".to_owned(), cached, nothing(), nothing()]);
    table("Memory of the syncer", &["", "resident", "of that, the program", "peak"], rows)
}

/// Activity of the syncer while nothing changes.
pub fn rest(results: &Results) -> Option<String> {
    let rest = results.subject("tenet")?.rest.as_ref()?;
    let writes = audit::writes(&rest.calls);
    let calls: usize = rest.calls.values().sum();
    let cell = |value: usize| value.to_string();
    let title = format!("Rest of {} s", rest.seconds);
    let row = vec!["tenet".to_owned(), cell(writes), cell(calls - writes), rest.cpu_millis.to_string()];
    table(&title, &["", "writes", "other calls", "CPU-ms"], vec![row])
}

/// Cost of a restart.
pub fn restart(results: &Results) -> Option<String> {
    let restart = results.subject("tenet")?.restart.as_ref()?;
    let row = vec![
        "tenet".to_owned(),
        number(restart.converged_seconds),
        audit::writes(&restart.calls).to_string(),
        restart.calls.values().sum::<usize>().to_string(),
        restart.cpu_millis.to_string(),
        number(restart.next_pod_seconds),
    ];
    let head = ["", "converged s", "writes", "calls", "CPU-ms", "next pod s"];
    table("Restart after SIGKILL, with all pods", &head, vec![row])
}

/// Memory after pods that came and went.
pub fn churn(results: &Results) -> Option<String> {
    let churn = results.subject("tenet")?.churn.as_ref()?;
    let mut rows = vec![row("idle", churn.idle)];
    rows.extend(churn.waves.first().map(|memory| row("after the first wave", *memory)));
    rows.extend(churn.waves.last().map(|memory| row("after the last wave", *memory)));
    rows.push(row("settled", churn.settled));
    let title = format!("Memory after {} pods came and went, in {} s", churn.pods, number(churn.seconds));
    table(&title, &["", "resident", "of that, the program", "peak"], rows)
}

/// Returns the memory that each pod added, after everything has converged.
pub fn rss_bytes_per_pod(results: &Results, tenet: &Subject) -> Option<f64> {
    let held = tenet.memory.as_ref()?;
    let end = tenet.rest.as_ref().map_or(held.settled, |rest| rest.memory);
    Some(results.per_pod(end.resident.saturating_sub(held.idle.resident) * 1024))
}

fn row(name: &str, memory: Memory) -> Vec<String> {
    let mib = |kib: u64| format!("{:.1} MiB", f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0);
    vec![name.to_owned(), mib(memory.resident), mib(memory.program), mib(memory.peak)]
}

//! Results as tables.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::args::Args;
use crate::idle::Idle;
use crate::rounds::{Bulk, First, Firsts, PROCESSES};
use crate::samples::Samples;
use crate::spot::Way;
use crate::usage::Memory;

/// Load before the start above which other processes disturb the measurement.
const QUIET: f64 = 0.5;

/// All results.
pub struct Results {
    /// First bytes.
    pub first: Firsts,
    /// Throughput.
    pub bulk: Vec<Bulk>,
    /// Memory.
    pub idle: Idle,
}

/// Renders all tables, one after the other.
pub fn render(args: &Args, load: f64, results: &Results) -> String {
    let mut text = format!(
        "\n{} rounds of first bytes, {} of {} MB; load {load:.2} before the start{}\n",
        args.rounds,
        args.bulk_rounds,
        args.megabytes,
        if load > QUIET { " - the machine was not quiet" } else { "" },
    );
    let _ = write!(
        text,
        "direct: host API server; node: syncer, host API server; through: virtual API server, syncer, host API server\n\n{}\n{}\n{}\n{}",
        first(&results.first),
        bulk(&results.bulk),
        cpu(&results.bulk),
        idle(&results.idle),
    );
    text
}

fn first(firsts: &Firsts) -> String {
    let row = |first: &First| {
        let [direct, node, through] = &first.ways;
        let mut row = vec![first.job.name().to_owned()];
        row.extend([direct, node, through].into_iter().flat_map(|ms| [number(ms.median()), number(ms.at(95))]));
        let more = |way: &Samples| number(way.zip(direct, |way, direct| way - direct).median());
        row.extend([more(node), more(through), number(first.inside)]);
        row
    };
    let head = [
        "",
        "direct p50",
        "p95",
        "node p50",
        "p95",
        "through p50",
        "p95",
        "node: more",
        "through: more",
        "in the syncer",
    ];
    let table = table("First byte after the request, in ms", &head, firsts.jobs.iter().map(row).collect());
    let handshake = &firsts.handshake;
    let (p50, p95) = (number(handshake.median()), number(handshake.at(95)));
    format!(
        "{table}The virtual API server connects to the node for each stream: TCP and TLS take {p50} ms (p95 {p95}).\n"
    )
}

fn bulk(all: &[Bulk]) -> String {
    let row = |bulk: &Bulk| {
        let [direct, node, through] = &bulk.ways;
        let mut row = vec![bulk.job.name().to_owned()];
        row.extend([direct, node, through].map(|rate| number(rate.median())));
        let part = |way: &Samples| number(way.zip(direct, |way, direct| way / direct).median());
        row.extend([part(node), part(through)]);
        row
    };
    let head = ["", "direct", "node", "through", "node / direct", "through / direct"];
    table("Throughput of one stream, in MB/s; all processes share the cores", &head, all.iter().map(row).collect())
}

fn cpu(all: &[Bulk]) -> String {
    let row = |bulk: &Bulk| {
        let of = |way: Way| bulk.cpu[way as usize].iter().map(|seconds| number(seconds.median()));
        [bulk.job.name().to_owned()].into_iter().chain(of(Way::Direct).skip(2)).chain(of(Way::Through)).collect()
    };
    let direct = PROCESSES.iter().skip(2).map(|name| format!("direct: {name}"));
    let through = PROCESSES.iter().map(|name| format!("through: {name}"));
    let head: Vec<_> = [String::new()].into_iter().chain(direct).chain(through).collect();
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    table("CPU seconds for each GB", &head, all.iter().map(row).collect())
}

fn idle(idle: &Idle) -> String {
    let row = |name: &str, memory: Memory| vec![name.to_owned(), mib(memory.resident), mib(memory.program)];
    let more = u32::try_from(idle.with.resident.saturating_sub(idle.before.resident)).unwrap_or(u32::MAX);
    let streams = u32::try_from(idle.streams).unwrap_or(u32::MAX);
    let each = f64::from(more) / f64::from(streams.max(1));
    let rows = vec![
        row("without streams", idle.before),
        row(&format!("with {} idle ones", idle.streams), idle.with),
        row("when they are gone", idle.after),
        vec!["for each".to_owned(), format!("{} KiB", number(each)), String::new()],
    ];
    table("Memory of the syncer", &["", "resident", "of that, the program"], rows)
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0)
}

fn table(title: &str, head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(head).add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{title}\n{table}\n")
}

/// Formats a number with as many decimals as are significant.
fn number(value: f64) -> String {
    let decimals = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

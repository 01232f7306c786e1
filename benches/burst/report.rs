//! Results as tables.

mod calls;
mod cpu;
mod speed;
pub mod syncer;

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::results::{Results, Subject};
use crate::targets;

/// Load before the start above which other processes disturb the measurement.
const QUIET: f64 = 0.5;

/// Renders all tables, one after the other.
pub fn render(results: &Results) -> String {
    let mut text = format!(
        "\n{} pods; {} cores; load {:.2} before the start{}\n",
        results.pods,
        results.cores,
        results.load,
        if results.load > QUIET { " - the machine was not quiet" } else { "" },
    );
    let parts = [
        speed::burst(results),
        speed::delete(results),
        speed::trickle(results),
        syncer::memory(results),
        syncer::rest(results),
        syncer::restart(results),
        syncer::churn(results),
        calls::burst(results),
        calls::delete(results),
        cpu::burst(results),
        targets::all(results),
    ];
    for part in parts.into_iter().flatten() {
        let _ = write!(text, "\n{part}");
    }
    for subject in &results.subjects {
        if let Some(trouble) = &subject.trouble {
            let _ = writeln!(text, "\n{} was not measured to the end: {trouble}", subject.name);
        }
    }
    text
}

/// Renders a table under a title; `None` without rows.
pub fn table(title: &str, head: &[&str], rows: Vec<Vec<String>>) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(head).add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Some(format!("{title}\n{table}\n"))
}

/// Formats a number with as many decimals as are significant.
pub fn number(value: f64) -> String {
    let decimals = if value == 0.0 || value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

/// Formats a number that may be missing.
pub fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

impl Results {
    /// Finds a subject by its name.
    pub fn subject(&self, name: &str) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.name == name)
    }

    /// Divides a figure by the number of pods of the burst.
    #[allow(clippy::cast_precision_loss)] // A precision of 52 bits is enough for a report.
    pub fn per_pod(&self, total: u64) -> f64 {
        total as f64 / self.pods.max(1) as f64
    }
}

//! The table of ratios, from the estimates that criterion has written.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The group of all benches here.
pub const GROUP: &str = "scale";

/// Folder into which criterion writes.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("scale")
}

/// The cost of each bench at the smallest size, and that at the other sizes in relation to it.
pub fn table(folder: &Path, benches: &[(&str, &str)], sizes: &[usize]) -> String {
    let mut table = format!("\n| cost | at {} |", sizes[0]);
    for size in &sizes[1..] {
        let _ = write!(table, " at {size} |");
    }
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(sizes.len() - 1));
    for (name, text) in benches {
        let Some(first) = estimate(folder, name, sizes[0]) else { continue };
        let _ = write!(table, "\n| {text} | {:.1} us |", first / 1_000.0);
        for size in &sizes[1..] {
            match estimate(folder, name, *size) {
                Some(cost) => drop(write!(table, " {:.2} x |", cost / first)),
                None => table.push_str(" |"),
            }
        }
    }
    table.push('\n');
    table
}

/// The median cost in nanoseconds.
fn estimate(folder: &Path, name: &str, size: usize) -> Option<f64> {
    let file = folder.join(GROUP).join(name).join(size.to_string()).join("new/estimates.json");
    let estimates: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    estimates.pointer("/median/point_estimate")?.as_f64()
}

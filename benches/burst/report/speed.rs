//! Tables of durations.

use super::{maybe, number, table};
use crate::quantiles::Quantiles;
use crate::results::{Lags, Results, Subject};

/// Durations of the burst.
pub fn burst(results: &Results) -> Option<String> {
    let seconds = |subject: &Subject| subject.burst.as_ref().map(|burst| burst.seconds);
    let ideal = results.subject("ideal").and_then(seconds);
    let direct = results.subject("direct").and_then(seconds);
    let row = |subject: &Subject| {
        let burst = subject.burst.as_ref()?;
        let mut row = vec![subject.name.to_owned(), number(burst.created_seconds), number(burst.seconds)];
        row.extend([ideal, direct].map(|base| maybe(base.map(|base| burst.seconds / base))));
        row.extend(ways(burst.lags));
        row.push(number(burst.closed_watches.iter().sum()));
        row.push(number(burst.others_percent));
        Some(row)
    };
    let head = ["", "created s", "Running s", "x ideal", "x direct"];
    let head = [&head[..], &WAYS, &["watches closed", "others %"]].concat();
    table("Burst: until all pods are Running", &head, rows(results, row))
}

/// Durations of the delete.
pub fn delete(results: &Results) -> Option<String> {
    let seconds = |subject: &Subject| subject.delete.as_ref().map(|delete| delete.seconds);
    let ideal = results.subject("ideal").and_then(seconds);
    let direct = results.subject("direct").and_then(seconds);
    let row = |subject: &Subject| {
        let own = seconds(subject)?;
        let mut row = vec![subject.name.to_owned(), number(own)];
        row.extend([ideal, direct].map(|base| maybe(base.map(|base| own / base))));
        Some(row)
    };
    table("Delete: until both sides are empty", &["", "gone s", "x ideal", "x direct"], rows(results, row))
}

/// Lags of the trickle.
pub fn trickle(results: &Results) -> Option<String> {
    let row = |subject: &Subject| {
        let trickle = subject.trickle.as_ref()?;
        let mut row = vec![subject.name.to_owned(), trickle.pods.to_string()];
        row.extend(ways(Some(trickle.lags)));
        Some(row)
    };
    let title = format!("Trickle: {} pods a second", number(results.rate));
    table(&title, &[&["", "pods"], &WAYS[..]].concat(), rows(results, row))
}

const WAYS: [&str; 6] = ["create -> host p50 ms", "p99", "max", "Running -> inside p50 ms", "p99", "max"];

fn ways(lags: Option<Lags>) -> [String; 6] {
    let (down, up) = (lags.and_then(|lags| lags.down), lags.and_then(|lags| lags.up));
    let part = |way: Option<Quantiles>, pick: fn(Quantiles) -> f64| maybe(way.map(pick));
    [
        part(down, |way| way.p50),
        part(down, |way| way.p99),
        part(down, |way| way.max),
        part(up, |way| way.p50),
        part(up, |way| way.p99),
        part(up, |way| way.max),
    ]
}

fn rows(results: &Results, row: impl Fn(&Subject) -> Option<Vec<String>>) -> Vec<Vec<String>> {
    results.subjects.iter().filter_map(row).collect()
}

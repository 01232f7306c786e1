//! Table of the requests to the API servers.

use std::collections::BTreeSet;

use super::{number, table};
use crate::audit::{Calls, Sort};
use crate::results::{Results, Subject};

/// Requests during the burst.
pub fn burst(results: &Results) -> Option<String> {
    compare("API calls a pod, burst", results, |subject| subject.burst.as_ref().map(|burst| &burst.calls))
}

/// Requests during the delete.
pub fn delete(results: &Results) -> Option<String> {
    compare("API calls a pod, delete", results, |subject| subject.delete.as_ref().map(|delete| &delete.calls))
}

fn compare<'r>(title: &str, results: &'r Results, pick: impl Fn(&'r Subject) -> Option<&'r Calls>) -> Option<String> {
    let inside = results.subjects.iter().filter(|subject| subject.name != "direct");
    let columns: Vec<_> = inside.filter_map(|subject| Some((subject.name, pick(subject)?))).collect();
    let sorts: BTreeSet<&Sort> = columns.iter().flat_map(|(_, calls)| calls.keys()).collect();
    let per_pod = |count: usize| number(results.per_pod(count as u64));
    let row = |sort: &Sort| {
        let cells = columns.iter().map(|(_, calls)| per_pod(calls.get(sort).copied().unwrap_or(0)));
        [name(sort)].into_iter().chain(cells).collect()
    };
    let mut rows: Vec<Vec<String>> = sorts.into_iter().map(row).collect();
    let totals = [
        (
            "writes on the host",
            Box::new(|sort: &Sort| sort.writes() && sort.side == "host") as Box<dyn Fn(&Sort) -> bool>,
        ),
        ("writes inside", Box::new(|sort: &Sort| sort.writes() && sort.side == "virtual")),
        ("tokens", Box::new(Sort::mints)),
        ("reads", Box::new(|sort: &Sort| !sort.writes() && !sort.mints())),
    ];
    for (title, counts) in totals {
        let total = |calls: &Calls| calls.iter().filter(|(sort, _)| counts(sort)).map(|(_, count)| count).sum();
        rows.push(
            [title.to_owned()].into_iter().chain(columns.iter().map(|(_, calls)| per_pod(total(calls)))).collect(),
        );
    }
    let head: Vec<_> = [""].into_iter().chain(columns.iter().map(|(name, _)| *name)).collect();
    if columns.is_empty() { None } else { table(title, &head, rows) }
}

fn name(sort: &Sort) -> String {
    let refused = if sort.granted { "" } else { " (refused)" };
    format!("{} {} {}{refused}", sort.side, sort.verb, sort.kind)
}

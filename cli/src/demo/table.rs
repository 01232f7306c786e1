//! Table of both sides, with each copy beside its original.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, TableComponent, Width, presets};
use serde_json::Value;

use super::snapshot::{Side, Snapshot, is_going, name_of};

/// Width without a terminal.
const USUAL_WIDTH: u16 = 118;
const INDENT: &str = "  ";
const INDENT_WIDTH: u16 = 2;

/// Renders `get pods,svc,configmap,secret` of both sides.
pub(super) fn side_by_side(seen: &Snapshot) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            format!("inside {}", seen.name),
            String::new(),
            format!("on the host, in {}", seen.namespace),
            String::new(),
        ])
        // Fix the width of the first columns, so that they do not move when a name appears or disappears.
        .set_constraints([
            ColumnConstraint::LowerBoundary(Width::Fixed(27)),
            ColumnConstraint::LowerBoundary(Width::Fixed(16)),
        ]);
    table.set_width(table.width().unwrap_or(USUAL_WIDTH).saturating_sub(INDENT_WIDTH));
    // The names of copies are long, and all four columns should fit into 100 characters.
    for (column, gap) in table.column_iter_mut().zip([1, 2, 1, 0]) {
        column.set_padding((0, gap));
    }
    for kind in KINDS {
        for row in rows(seen, kind) {
            table.add_row(row);
        }
    }
    table.lines().map(|line| format!("{INDENT}{}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// Kind as a column of the table: short name, objects of a side, and state of an object.
type Kind = (&'static str, fn(&Side) -> &[Value], fn(&Value) -> String);

const KINDS: [Kind; 4] = [
    ("pod", |side| &side.pods, pod_state),
    ("svc", |side| &side.services, service_state),
    ("cm", |side| &side.config_maps, data_state),
    ("secret", |side| &side.secrets, data_state),
];

/// Returns a row for each original with its copy, then one for each host object without an original.
fn rows(seen: &Snapshot, (kind, of, state): Kind) -> Vec<[String; 4]> {
    let (inside, host) = (of(&seen.inside), of(&seen.host));
    let cells = |object: Option<&Value>| match object {
        Some(object) => [format!("{kind}/{}", name_of(object)), state(object)],
        None => [String::new(), String::new()],
    };
    let mut paired = Vec::new();
    let mut rows = Vec::new();
    for original in inside {
        let copy_name = seen.host_name(name_of(original));
        let copy = host.iter().find(|copy| name_of(copy) == copy_name);
        paired.extend(copy.map(name_of));
        let ([name, what], [_, host_what]) = (cells(Some(original)), cells(copy));
        rows.push([name, what, copy.map(name_of).unwrap_or_default().to_owned(), host_what]);
    }
    let (tokens, others): (Vec<&Value>, Vec<&Value>) =
        host.iter().filter(|copy| !paired.contains(&name_of(copy))).partition(|copy| is_token(copy));
    for copy in others {
        let [name, what] = cells(Some(copy));
        rows.push([String::new(), String::new(), name, what]);
    }
    if !tokens.is_empty() {
        // One row for the token Secrets of all pods, whose names would fill the screen.
        rows.push([String::new(), String::new(), format!("{kind}: tokens of pods"), tokens.len().to_string()]);
    }
    rows
}

/// Returns true if the Secret holds the ServiceAccount tokens of a pod.
fn is_token(object: &Value) -> bool {
    name_of(object).contains("-x-token-x-")
}

fn pod_state(pod: &Value) -> String {
    let phase = pod["status"]["phase"].as_str().unwrap_or("Unknown");
    match pod["spec"]["nodeName"].as_str() {
        _ if is_going(pod) => "Terminating".to_owned(),
        Some(node) => format!("{phase} {node}"),
        None => phase.to_owned(),
    }
}

fn service_state(service: &Value) -> String {
    service["spec"]["clusterIP"].as_str().unwrap_or("no address").to_owned()
}

fn data_state(object: &Value) -> String {
    match object["data"].as_object().map_or(0, serde_json::Map::len) {
        1 => "1 key".to_owned(),
        keys => format!("{keys} keys"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_copy_stands_beside_its_original() {
        let pod = |name: &str, node: &str| json!({"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"phase": "Running"}});
        let seen = Snapshot {
            name: "vc-1".to_owned(),
            namespace: "tenet-vc-1".to_owned(),
            inside: Side { pods: vec![pod("a", "node-1"), pod("b", "node-2")], ..Side::default() },
            host: Side { pods: vec![pod("lost", "node-1"), pod("b-x-default-x-vc-1", "node-2")], ..Side::default() },
        };
        assert_eq!(
            rows(&seen, KINDS[0]),
            [
                ["pod/a", "Running node-1", "", ""],
                ["pod/b", "Running node-2", "b-x-default-x-vc-1", "Running node-2"],
                ["", "", "pod/lost", "Running node-1"],
            ]
        );
        assert!(side_by_side(&seen).contains("b-x-default-x-vc-1"));
    }

    #[test]
    fn tokens_share_a_row() {
        let secret = |name: &str| json!({"metadata": {"name": name}});
        let seen = Snapshot {
            name: "vc-1".to_owned(),
            namespace: "tenet-vc-1".to_owned(),
            inside: Side::default(),
            host: Side {
                secrets: vec![
                    secret("a-x-token-x-default-x-vc-1"),
                    secret("lost"),
                    secret("b-x-token-x-default-x-vc-1"),
                ],
                ..Side::default()
            },
        };
        assert_eq!(rows(&seen, KINDS[3]), [["", "", "secret/lost", "0 keys"], ["", "", "secret: tokens of pods", "2"]]);
    }
}

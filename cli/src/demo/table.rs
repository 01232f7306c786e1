//! Both sides as one table, a copy beside its original.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, TableComponent, Width, presets};
use serde_json::Value;

use super::snapshot::{Side, Snapshot, is_going, name_of};

/// Without a terminal to ask.
const USUAL_WIDTH: u16 = 118;

/// `get pods,svc,configmap,secret` of both sides.
pub(super) fn side_by_side(seen: &Snapshot) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            format!("inside {}, namespace default", seen.name),
            String::new(),
            format!("on the host, namespace {}", seen.namespace),
            String::new(),
        ])
        .set_constraints([
            ColumnConstraint::LowerBoundary(Width::Fixed(32)),
            ColumnConstraint::LowerBoundary(Width::Fixed(18)),
        ]);
    if table.width().is_none() {
        table.set_width(USUAL_WIDTH);
    }
    for kind in KINDS {
        for row in rows(seen, kind) {
            table.add_row(row);
        }
    }
    table.lines().map(|line| format!("  {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// A kind: its short name, its objects on a side, and what to say of one.
type Kind = (&'static str, fn(&Side) -> &[Value], fn(&Value) -> String);

const KINDS: [Kind; 4] = [
    ("pod", |side| &side.pods, pod_state),
    ("svc", |side| &side.services, service_state),
    ("cm", |side| &side.config_maps, data_state),
    ("secret", |side| &side.secrets, data_state),
];

/// Originals with their copies, then host objects without an original.
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
        let ([name, what], [host_name, host_what]) = (cells(Some(original)), cells(copy));
        rows.push([name, what, host_name, host_what]);
    }
    for copy in host.iter().filter(|copy| !paired.contains(&name_of(copy))) {
        let [name, what] = cells(Some(copy));
        rows.push([String::new(), String::new(), name, what]);
    }
    rows
}

fn pod_state(pod: &Value) -> String {
    let phase = if is_going(pod) { "Terminating" } else { pod["status"]["phase"].as_str().unwrap_or("Unknown") };
    match pod["spec"]["nodeName"].as_str() {
        Some(node) => format!("{phase} {node}"),
        None => phase.to_owned(),
    }
}

fn service_state(service: &Value) -> String {
    let address = service["spec"]["clusterIP"].as_str().unwrap_or("-");
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ports: Vec<String> = ports.iter().map(|port| port["port"].to_string()).collect();
    format!("{address}:{}", ports.join(","))
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
                ["pod/b", "Running node-2", "pod/b-x-default-x-vc-1", "Running node-2"],
                ["", "", "pod/lost", "Running node-1"],
            ]
        );
        assert!(side_by_side(&seen).contains("pod/b-x-default-x-vc-1"));
    }
}

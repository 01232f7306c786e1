//! Folders of the node. They are refused but for the preset of log collectors, which reads the logs of the node.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{kinds, pointer};

use super::config::{Pods, Preset};
use super::{Subject, containers};

/// Folders that the preset `host-logs` lets pods read.
const LOGS: [&str; 3] = ["/run/log", "/var/lib/docker/containers", "/var/log"];

/// Types of a `hostPath` that make nothing on the node.
const EXISTING: [&str; 3] = ["", "Directory", "File"];

/// Lets folders of the node cross that the installation permits.
pub(super) fn cross(pod: &Subject<'_, '_>, pods: &Pods, draft: &mut Value) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for volume in pointer::elements(pod.virt.value(), "/spec/volumes") {
        let at = format!("{volume}/hostPath");
        let Some(source) = pod.virt.at(&at).filter(|source| !source.is_null()) else { continue };
        if is_permitted(pod) || (pods.presets.contains(&Preset::HostLogs) && is_of_logs(source)) {
            pointer::set(draft, &at, source.clone());
        } else {
            refusals.push(Refusal { field: pointer::field(&at), why: "mounts a directory of the node".to_owned() });
        }
    }
    if refusals.is_empty() { writable(pod, pod.virt.value()) } else { refusals }
}

/// Refuses mounts in the containers of `mounting` through which folders of the node could be written. Their volumes are
/// those of the pod.
pub(super) fn writable(pod: &Subject<'_, '_>, mounting: &Value) -> Vec<Refusal> {
    if is_permitted(pod) {
        return Vec::new();
    }
    let is_of_node = |volume: &&Value| volume.get("hostPath").is_some_and(|source| !source.is_null());
    let names: Vec<_> =
        pod.virt.list_at("/spec/volumes").iter().filter(is_of_node).map(|volume| &volume["name"]).collect();
    let mounts = |container: String| pointer::elements(mounting, &format!("{container}/volumeMounts"));
    let all = containers(mounting).into_iter().flat_map(mounts);
    let writes = |mount: &String| {
        let mount = pointer::get(mounting, mount);
        mount.is_some_and(|mount| names.contains(&&mount["name"]) && mount["readOnly"] != json!(true))
    };
    all.filter(writes)
        .map(|mount| Refusal {
            field: format!("{}.readOnly", pointer::field(&mount)),
            why: "must be true for a directory of the node".to_owned(),
        })
        .collect()
}

fn is_permitted(pod: &Subject<'_, '_>) -> bool {
    pod.cx.permits(kinds::POD, "spec.volumes[].hostPath")
}

fn is_of_logs(source: &Value) -> bool {
    let text = |field: &str| source[field].as_str().unwrap_or_default();
    let path = text("path");
    let is_below =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    LOGS.iter().any(|folder| is_below(folder))
        && !path.split('/').any(|part| part == "..")
        && EXISTING.contains(&text("type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_logs_that_exist_are_of_logs() {
        for (path, kind, expected) in [
            ("/var/log", "", true),
            ("/var/log/", "Directory", true),
            ("/var/log/pods", "", true),
            ("/var/lib/docker/containers", "", true),
            ("/run/log/journal", "", true),
            ("/var/logs", "", false),
            ("/var/log/../run", "", false),
            ("/var/log", "DirectoryOrCreate", false),
            ("/var/log", "Socket", false),
            ("/", "", false),
            ("/var/lib/kubelet", "", false),
        ] {
            assert_eq!(is_of_logs(&json!({"path": path, "type": kind})), expected, "{path} {kind}");
        }
    }
}

//! Long name of a pod in /etc/hosts, for programs that look there first: `hostname -f`.
//!
//! A kubelet writes the line for a pod with a `subdomain`, and that of the host would write a name of the host. So
//! where the installation asks for it, a container that runs before all others copies the file of the kubelet with the
//! long name in it, and the others mount the copy. It needs no right, and fits the level `restricted` of Pod Security.

use serde_json::{Value, json};
use tenet_mapper::pointer;

use super::config::{Dns, Pods};
use super::{Subject, containers, hostname, security};

/// Name of the container, and of the volume.
const NAME: &str = "tenet-hosts";
const FILE: &str = "hosts";
const ETC_HOSTS: &str = "/etc/hosts";
/// Puts the long name in front of the short one, in the lines of the pod's own addresses.
const SCRIPT: &str = concat!(
    r"sed ",
    r#""s/^\([0-9a-fA-F.:][0-9a-fA-F.:]*\)[[:blank:]][[:blank:]]*$SHORT\$/\1\t$LONG\t$SHORT/" "#,
    r"/etc/hosts > /tenet/hosts"
);
/// User of the container where the pod names none. Nobody else has files of it.
const NOBODY: i64 = 65534;

/// Adds the container to a draft. Returns a sentence when the pod cannot have it.
pub(super) fn add(pod: &Subject<'_, '_>, host: &mut Value) -> Option<String> {
    let config = pod.cx.section::<Pods>();
    let image = config.hosts_file.as_ref().map(|file| file.image.as_str())?;
    let is_windows = pod.virt.str_at("/spec/os/name") == Some("windows");
    if is_windows || security::is_on_host_network(pod.virt) {
        return None;
    }
    let (short, long) = hostname::names(pod.virt, &pod.cx.section::<Dns>().cluster_domain)?;
    let is_taken = |list: &str| pod.virt.list_at(&format!("/spec/{list}")).iter().any(|one| one["name"] == NAME);
    if ["volumes", "initContainers", "containers"].into_iter().any(is_taken) {
        return Some(format!("spec.subdomain: the pod uses the name {NAME}, so {ETC_HOSTS} has the short name alone"));
    }
    let mount = |path: &str| json!({"name": NAME, "mountPath": path});
    for container in containers(pod.virt.value()) {
        let at = format!("{container}/volumeMounts");
        let mut mounts = pointer::get(host, &at).and_then(Value::as_array).cloned().unwrap_or_default();
        if !mounts.iter().any(|mount| mount["mountPath"] == ETC_HOSTS) {
            let mut file = mount(ETC_HOSTS);
            file["subPath"] = json!(FILE);
            mounts.push(file);
            pointer::set(host, &at, Value::Array(mounts));
        }
    }
    let names = json!([{"name": "SHORT", "value": short}, {"name": "LONG", "value": long}]);
    let first = json!({
        "name": NAME, "image": image, "command": ["sh", "-c", SCRIPT], "env": names,
        // The resources of the pod, and its class of service, stay as they are.
        "resources": pod.virt.at("/spec/containers/0/resources").cloned().unwrap_or_default(),
        "volumeMounts": [mount("/tenet")],
        "securityContext": confined(pod),
    });
    prepend(host, "/spec/initContainers", first);
    prepend(host, "/spec/volumes", json!({"name": NAME, "emptyDir": {"sizeLimit": "1Mi"}}));
    None
}

/// Returns a security context that the level `restricted` accepts.
fn confined(pod: &Subject<'_, '_>) -> Value {
    let user = pod.virt.at("/spec/securityContext/runAsUser").and_then(Value::as_i64).filter(|user| *user != 0);
    json!({
        "runAsNonRoot": true, "runAsUser": user.unwrap_or(NOBODY), "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn prepend(host: &mut Value, at: &str, first: Value) {
    let rest = pointer::get(host, at).and_then(Value::as_array).cloned().unwrap_or_default();
    pointer::set(host, at, std::iter::once(first).chain(rest).collect());
}

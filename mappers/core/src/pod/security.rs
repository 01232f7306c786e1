//! Fields whose value decides whether they may cross: the baseline of the Pod Security
//! standards, without its exceptions.

use serde_json::Value;
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Object, kinds, pointer};

use super::config::Pods;
use super::{Subject, containers};

const CAPABILITIES: &str = "/securityContext/capabilities/add";

/// Field that is checked before it crosses.
struct Check {
    pointer: &'static str,
    why: &'static str,
    /// Returns the parts that may not cross: their path below the field, and the value.
    bad: fn(&Value) -> Vec<(String, &Value)>,
}

const CONFINEMENT: &[Check] = &[
    Check { pointer: "/securityContext/seccompProfile/type", why: "leaves the pod unconfined", bad: confined },
    Check { pointer: "/securityContext/appArmorProfile/type", why: "leaves the pod unconfined", bad: confined },
    Check { pointer: "/securityContext/seLinuxOptions/type", why: "is not a type for containers", bad: selinux_type },
    Check { pointer: "/securityContext/seLinuxOptions/user", why: "may be set by the host only", bad: empty },
    Check { pointer: "/securityContext/seLinuxOptions/role", why: "may be set by the host only", bad: empty },
];

const POD: &[Check] =
    &[Check { pointer: "/securityContext/sysctls", why: "is not a safe sysctl of Pod Security", bad: sysctls }];

const CONTAINER: &[Check] = &[
    Check { pointer: CAPABILITIES, why: "is outside of the baseline of Pod Security", bad: capabilities },
    Check { pointer: "/securityContext/procMount", why: "unmasks /proc of the node", bad: proc_mount },
];

/// Lets the checked fields cross, and returns the refusals.
pub(super) fn cross(pod: &Subject<'_, '_>, pods: &Pods, draft: &mut Value) -> Vec<Refusal> {
    let mut refusals = check(pod, pods, draft, "/spec", &[CONFINEMENT, POD]);
    for container in containers(pod.virt.value()) {
        refusals.extend(check(pod, pods, draft, &container, &[CONFINEMENT, CONTAINER]));
    }
    refusals
}

fn check(pod: &Subject<'_, '_>, pods: &Pods, draft: &mut Value, base: &str, checks: &[&[Check]]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let is_preset = |value: &Value| {
        let mut permitted = pods.presets.iter().flat_map(|preset| preset.capabilities());
        value.as_str().is_some_and(|name| permitted.any(|capability| *capability == name))
    };
    for check in checks.iter().copied().flatten() {
        let pointer = format!("{base}{}", check.pointer);
        let Some(value) = pod.virt.at(&pointer).filter(|value| !value.is_null()) else { continue };
        let (mut bad, rule) = ((check.bad)(value), pointer::pattern(&pointer));
        if check.pointer == CAPABILITIES {
            bad.retain(|(_, found)| !is_preset(found));
        }
        if bad.is_empty() || pod.cx.permits(kinds::POD, &rule) {
            pointer::set(draft, &pointer, value.clone());
        } else if !pod.cx.defaults(kinds::POD).contains(&rule, value) {
            refusals.extend(bad.iter().map(|(below, found)| refusal(&pointer, below, found, check.why)));
        }
    }
    refusals
}

fn refusal(pointer: &str, below: &str, found: &Value, why: &str) -> Refusal {
    let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    Refusal { field: format!("{}{below}", pointer::field(pointer)), why: format!("{found} {why}") }
}

/// Returns the whole field, unless its text is accepted.
fn unless(value: &Value, fine: impl Fn(&str) -> bool) -> Vec<(String, &Value)> {
    if value.as_str().is_some_and(fine) { Vec::new() } else { vec![(String::new(), value)] }
}

fn confined(value: &Value) -> Vec<(String, &Value)> {
    unless(value, |profile| ["RuntimeDefault", "Localhost"].contains(&profile))
}

fn selinux_type(value: &Value) -> Vec<(String, &Value)> {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    unless(value, |name| TYPES.contains(&name))
}

fn empty(value: &Value) -> Vec<(String, &Value)> {
    unless(value, str::is_empty)
}

fn proc_mount(value: &Value) -> Vec<(String, &Value)> {
    unless(value, |mount| mount == "Default")
}

fn capabilities(value: &Value) -> Vec<(String, &Value)> {
    const BASELINE: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let Some(added) = value.as_array() else { return vec![(String::new(), value)] };
    let bad = |name: &Value| name.as_str().is_none_or(|name| !BASELINE.contains(&name));
    added.iter().enumerate().filter(|(_, name)| bad(name)).map(|(at, name)| (format!("[{at}]"), name)).collect()
}

fn sysctls(value: &Value) -> Vec<(String, &Value)> {
    const SAFE: [&str; 14] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_notsent_lowat",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_slow_start_after_idle",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    ];
    let Some(sysctls) = value.as_array() else { return vec![(String::new(), value)] };
    let mut bad = Vec::new();
    for (at, sysctl) in sysctls.iter().enumerate() {
        for (field, found) in sysctl.as_object().into_iter().flatten() {
            let safe = match field.as_str() {
                "name" => found.as_str().is_some_and(|name| SAFE.contains(&name)),
                field => field == "value",
            };
            if !safe {
                bad.push((format!("[{at}].{field}"), found));
            }
        }
    }
    bad
}

/// Returns true if the pod is on the network of its node, where the installation permits that.
pub(super) fn is_on_host_network(virt: &Object) -> bool {
    virt.at("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false)
}

//! Fields whose value decides whether they may cross.

use serde_json::Value;
use tenet_mapper::rules::{Policy, Refusal};

use super::containers;

/// The baseline of Pod Security.
const CAPABILITIES: [&str; 14] = [
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
    "",
];

/// The sysctls that Pod Security calls safe.
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// Carries the checked fields of all security contexts across; says what may not cross.
pub fn cross(virt: &Value, draft: &mut Value, policy: &Policy) -> Vec<Refusal> {
    let mut check = Check { policy, refusals: Vec::new() };
    check.context(virt, draft, "/spec", "spec", "spec");
    check.sysctls(virt, draft);
    for (list, index) in containers(virt) {
        let pointer = format!("/spec/{list}/{index}");
        check.context(virt, draft, &pointer, &format!("spec.{list}[{index}]"), &format!("spec.{list}[]"));
        check.capabilities(virt, draft, list, index);
    }
    check.refusals
}

/// Whether a value may cross.
type Good = fn(&str) -> bool;

struct Check<'c> {
    policy: &'c Policy,
    refusals: Vec<Refusal>,
}

impl Check<'_> {
    fn permits(&self, pattern: &str) -> bool {
        self.policy.allow.contains(pattern)
    }

    fn refuse(&mut self, field: String, why: &str) {
        self.refusals.push(Refusal { field, why: why.to_owned() });
    }

    fn context(&mut self, virt: &Value, draft: &mut Value, pointer: &str, place: &str, pattern: &str) {
        let confined = |value: &str| value != "Unconfined";
        let fields: [(&str, Good, &str); 3] = [
            ("appArmorProfile.type", confined, "runs without confinement"),
            ("seccompProfile.type", confined, "runs without confinement"),
            ("seLinuxOptions.type", |value| SELINUX_TYPES.contains(&value), "is no type for containers"),
        ];
        for (field, good, why) in fields {
            let path = format!("{pointer}/securityContext/{}", field.replace('.', "/"));
            let Some(value) = virt.pointer(&path) else { continue };
            let field = format!("securityContext.{field}");
            if value.as_str().is_some_and(good) || self.permits(&format!("{pattern}.{field}")) {
                put(draft, &path, value.clone());
            } else {
                self.refuse(format!("{place}.{field}"), why);
            }
        }
    }

    fn capabilities(&mut self, virt: &Value, draft: &mut Value, list: &str, index: usize) {
        let path = format!("/spec/{list}/{index}/securityContext/capabilities/add");
        let Some(Value::Array(added)) = virt.pointer(&path) else { return };
        if !self.permits(&format!("spec.{list}[].securityContext.capabilities.add")) {
            for (at, capability) in added.iter().enumerate() {
                let name = capability.as_str().unwrap_or_default();
                if !CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(name)) {
                    let place = format!("spec.{list}[{index}].securityContext.capabilities.add[{at}]");
                    self.refuse(place, &format!("{name} is not in the baseline of Pod Security"));
                }
            }
        }
        put(draft, &path, Value::Array(added.clone()));
    }

    fn sysctls(&mut self, virt: &Value, draft: &mut Value) {
        const PATH: &str = "/spec/securityContext/sysctls";
        let Some(Value::Array(sysctls)) = virt.pointer(PATH) else { return };
        if !self.permits("spec.securityContext.sysctls") {
            for (at, sysctl) in sysctls.iter().enumerate() {
                let name = sysctl["name"].as_str().unwrap_or_default();
                if !SYSCTLS.contains(&name) {
                    let place = format!("spec.securityContext.sysctls[{at}].name");
                    self.refuse(place, &format!("{name} is not a safe sysctl"));
                }
            }
        }
        put(draft, PATH, Value::Array(sysctls.clone()));
    }
}

/// Puts a value at a JSON pointer; lists on the way exist, members are made.
pub fn put(target: &mut Value, pointer: &str, value: Value) {
    let mut at = target;
    for token in pointer.split('/').skip(1) {
        at = match token.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[token],
        };
    }
    *at = value;
}

//! Names of host objects: readable where they can be parsed in only one way, hashed otherwise.
//!
//! Many virtual namespaces share one host namespace, so a host name contains the parts that identify the
//! virtual object. The plain form joins its parts with `-x-`:
//!
//! | object | plain form |
//! |---|---|
//! | namespaced | `<name>-x-<namespace>-x-<VC>` |
//! | cluster-scoped | `<name>-x-cluster-x-<host namespace>-x-<VC>` |
//! | Secret with the tokens of a pod | `<pod>-x-token-x-<namespace>-x-<VC>` |
//!
//! It is used only if the result is a valid name of at most 63 characters in which `-x-` occurs
//! exactly as often as it was put there, overlaps counted. Then there is one way to split it, so two
//! objects never share a plain name, and the forms with three and with four parts never collide.
//! Every other name is hashed: a readable prefix, `-`, and 128 bits of SHA-256 over the
//! parts, each with its length in front. `-x-` never occurs in a hashed name, so it never collides with a plain
//! one, whatever name a tenant chooses.

use crate::GroupKind;
use crate::digest;
use crate::dns_name::{MAX_LABEL, is_label, is_letter_label};

/// Maximum length of a name: that of a DNS label, and so of a Service.
pub const MAX_LENGTH: usize = MAX_LABEL;

/// Prefix of the name of the host `ConfigMap` that owns the pods of a virtual cluster.
pub const POD_OWNER: &str = "tenet-pods-";

const SEPARATOR: &str = "-x-";
/// Length that a hashed name has left for the readable prefix.
const PREFIX_LENGTH: usize = MAX_LENGTH - 1 - digest::LENGTH;

/// Scheme of host names. It must not change once an object was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameScheme {
    /// Readable where the name can be parsed in only one way, else hashed. Distinct objects have
    /// distinct names.
    #[default]
    Tenet,
    /// Names of vcluster, for a cluster that migrates. Distinct objects may share a
    /// name; the owner record tells them apart.
    Vcluster,
}

impl NameScheme {
    /// Returns the scheme with its version. A change of the names that a scheme makes needs another version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Tenet => "tenet/1",
            Self::Vcluster => "vcluster/1",
        }
    }
}

/// Naming of the host objects of one virtual cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Name of the virtual cluster, `VC`.
    pub cluster: String,
    host_namespace: String,
    /// Scheme of host names.
    pub scheme: NameScheme,
}

impl Names {
    /// Creates the naming of the virtual cluster `cluster` in `host_namespace`.
    pub fn new(cluster: impl Into<String>, host_namespace: impl Into<String>, scheme: NameScheme) -> Self {
        Self { cluster: cluster.into(), host_namespace: host_namespace.into(), scheme }
    }

    /// The host namespace of the objects of a virtual namespace, which is empty for cluster-scoped
    /// objects. Today all objects of a virtual cluster share one.
    pub fn host_namespace(&self, _virtual_namespace: &str) -> &str {
        &self.host_namespace
    }

    /// Returns the host name of a virtual object; `namespace` is empty for a cluster-scoped one.
    ///
    /// Each kind of the host is a space of names of its own, so two kinds may share a name. `kind`
    /// matters in one case: up to Kubernetes 1.35 the name of a Service begins with a
    /// letter (DNS-1035), later it may begin with a digit. The host may be the older side, so such
    /// a Service, and its Endpoints of the same name, get a hashed name that begins with a letter.
    /// The empty name, which some references carry, stays empty: it names no object on either side.
    pub fn host_name(&self, kind: GroupKind, namespace: &str, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        match (self.scheme, namespace.is_empty()) {
            (NameScheme::Tenet, false) => {
                let parts = [name, namespace, &self.cluster];
                let plain = plain(&parts).filter(|_| !needs_letter(kind, name));
                plain.unwrap_or_else(|| hashed("object", &[name, namespace], &parts))
            }
            (NameScheme::Tenet, true) => {
                let parts = [name, "cluster", self.host_namespace(namespace), &self.cluster];
                plain(&parts).unwrap_or_else(|| hashed("cluster-object", &[name], &parts))
            }
            (NameScheme::Vcluster, false) => vcluster(&[name, "x", namespace, "x", &self.cluster]),
            (NameScheme::Vcluster, true) => {
                vcluster(&["vcluster", name, "x", self.host_namespace(namespace), "x", &self.cluster])
            }
        }
    }

    /// Returns the name of the host Secret with the ServiceAccount tokens of a pod. In the scheme `Tenet` no Secret of
    /// a tenant ever gets this name.
    pub fn token_secret_name(&self, namespace: &str, pod: &str) -> String {
        match self.scheme {
            NameScheme::Tenet => {
                let parts = [pod, "token", namespace, &self.cluster];
                plain(&parts).unwrap_or_else(|| hashed("token", &[pod, "token"], &parts))
            }
            // A Secret `<pod>-sa-token` of a tenant has this name as well; vcluster's scheme is ambiguous.
            NameScheme::Vcluster => self.host_name(GroupKind::core("Secret"), namespace, &format!("{pod}-sa-token")),
        }
    }

    /// Returns the name of the host `ConfigMap` that owns all host pods. No `ConfigMap` of a tenant ever gets this
    /// name: in both schemes those end in `-x-VC` or a hash.
    pub fn pod_owner_name(&self) -> String {
        format!("{POD_OWNER}{}", self.cluster)
    }

    /// Returns the name of the host `ConfigMap` with the variables of the Services of a namespace. They may need
    /// several, which are numbered from 0. No `ConfigMap` of a tenant ever gets this name.
    pub fn service_env_name(&self, namespace: &str, index: usize) -> String {
        hashed("service-env", &["services", namespace], &[namespace, &index.to_string(), &self.cluster])
    }

    /// Returns the name of the host `ConfigMap` with the variables of the virtual API server.
    pub fn api_env_name(&self) -> String {
        hashed("api-env", &["kubernetes", &self.cluster], &[&self.cluster])
    }

    /// Returns the name of the host Service of a virtual node: `<VC>-node-<node>`, or a hashed form
    /// when that is not a valid Service name or is ambiguous.
    pub fn node_service_name(&self, node: &str) -> String {
        match self.scheme {
            NameScheme::Tenet => {
                let cut = format!("{}-node-", self.cluster);
                let name = format!("{cut}{node}");
                // The first `-node-` ends the name of the virtual cluster; many nodes are
                // called `node-1`, so a later one is no reason to hash.
                let readable =
                    occurrences(&cut, "-node-") == 1 && occurrences(&name, SEPARATOR) == 0 && is_letter_label(&name);
                if readable { name } else { hashed("node", &[&self.cluster, "node", node], &[&self.cluster, node]) }
            }
            NameScheme::Vcluster => vcluster(&[&self.cluster, "node", &node.replace('.', "-")]),
        }
    }
}

/// Returns the hostname of a pod that sets none: its virtual name, cut as by the kubelet. The kubelet
/// leaves dots in it, but `spec.hostname` must be a DNS label, so they become dashes.
pub fn hostname(pod: &str) -> String {
    let label: String = pod.chars().take(MAX_LENGTH).map(|c| if c == '.' { '-' } else { c }).collect();
    label.trim_end_matches('-').to_owned()
}

fn needs_letter(kind: GroupKind, name: &str) -> bool {
    let is_service = [GroupKind::core("Service"), GroupKind::core("Endpoints")].contains(&kind);
    is_service && !name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Returns the parts joined by `-x-`, if that is a valid name that can be parsed in only one way.
fn plain(parts: &[&str]) -> Option<String> {
    let length = parts.iter().map(|part| part.len() + SEPARATOR.len()).sum::<usize>() - SEPARATOR.len();
    if length > MAX_LENGTH {
        return None;
    }
    let joined = parts.join(SEPARATOR);
    (occurrences(&joined, SEPARATOR) == parts.len() - 1 && joined.split('.').all(is_label)).then_some(joined)
}

/// Returns a prefix made of `shown`, and the digest of all `parts`. Always a DNS-1035 label without `-x-`.
fn hashed(domain: &str, shown: &[&str], parts: &[&str]) -> String {
    let digest = digest::of_parts(&format!("tenet.sh/names/{domain}"), parts);
    format!("{}-{digest}", prefix(&shown.join("-")))
}

fn prefix(text: &str) -> String {
    let mut prefix = String::with_capacity(PREFIX_LENGTH);
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if prefix.is_empty() && c.is_ascii_digit() {
            // The name of a Service must begin with a letter.
            prefix.push_str("n-");
        }
        if prefix.len() == PREFIX_LENGTH {
            break;
        }
        match c {
            'a'..='z' | '0'..='9' => prefix.push(c),
            _ if prefix.is_empty() => {}
            _ => {
                drop_separator(&mut prefix);
                if !prefix.ends_with('-') && !prefix.is_empty() {
                    prefix.push('-');
                }
            }
        }
    }
    // The dash before the digest comes next, and must not complete a separator either.
    drop_separator(&mut prefix);
    if prefix.is_empty() { "n".to_owned() } else { prefix }
}

/// Removes dashes, and every `-x` that a following dash would make a separator, from the end.
fn drop_separator(prefix: &mut String) {
    let kept = prefix.trim_end_matches('-');
    let mut kept = kept;
    while let Some(rest) = kept.strip_suffix("-x") {
        kept = rest.trim_end_matches('-');
    }
    prefix.truncate(kept.len());
}

/// Counts the occurrences of `pattern` in `text`, overlaps included.
fn occurrences(text: &str, pattern: &str) -> usize {
    text.as_bytes().windows(pattern.len()).filter(|window| *window == pattern.as_bytes()).count()
}

/// Returns vcluster's name: the parts joined by `-`; if that is too long, 52 bytes of it and 10 characters
/// of hexadecimal SHA-256, with every `.-` made `-`.
fn vcluster(parts: &[&str]) -> String {
    let joined = parts.join("-");
    if joined.len() <= MAX_LENGTH {
        return joined;
    }
    let mut cut = 52;
    while !joined.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}-{}", &joined[..cut], digest::hex(joined.as_bytes(), 10)).replace(".-", "-")
}

#[cfg(test)]
mod tests;

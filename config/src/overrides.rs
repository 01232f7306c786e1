use std::ffi::OsStr;
use std::path::PathBuf;

use crate::problem::{Location, Problem};
use crate::yaml::{Entry, Kind, Node, Scalar};

/// Values of the flags. A flag overrides the file, also after a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--name`: the name of the virtual cluster.
    pub name: Option<String>,
    /// `--host-kubeconfig`: path of a kubeconfig for the host cluster.
    pub host_kubeconfig: Option<PathBuf>,
    /// `--host-context`: context in that kubeconfig.
    pub host_context: Option<String>,
    /// `--host-namespace`: host namespace in which everything that is synced lives.
    pub host_namespace: Option<String>,
    /// `--virtual-kubeconfig`: path of a kubeconfig for the virtual cluster.
    pub virtual_kubeconfig: Option<PathBuf>,
    /// `--virtual-context`: context in that kubeconfig.
    pub virtual_context: Option<String>,
    /// `--service`: host Service that leads host pods to the virtual API server.
    pub service: Option<String>,
    /// `--admin-listen`: address and port of `/metrics`, `/healthz` and `/readyz`.
    pub admin_listen: Option<String>,
    /// `--log-level`: log directives.
    pub log_level: Option<String>,
    /// `--log-format`: `text` or `json`.
    pub log_format: Option<String>,
}

/// A flag, the field that it overrides, and its value if it was given.
type Flag = (&'static str, &'static str, fn(&Overrides) -> Option<&OsStr>);

const FLAGS: &[Flag] = &[
    ("--name", "name", |o| os(o.name.as_ref())),
    ("--host-kubeconfig", "host.kubeconfig", |o| os(o.host_kubeconfig.as_ref())),
    ("--host-context", "host.context", |o| os(o.host_context.as_ref())),
    ("--host-namespace", "host.namespace", |o| os(o.host_namespace.as_ref())),
    ("--virtual-kubeconfig", "virtual.kubeconfig", |o| os(o.virtual_kubeconfig.as_ref())),
    ("--virtual-context", "virtual.context", |o| os(o.virtual_context.as_ref())),
    ("--service", "virtual.service", |o| os(o.service.as_ref())),
    ("--admin-listen", "admin.listen", |o| os(o.admin_listen.as_ref())),
    ("--log-level", "log.level", |o| os(o.log_level.as_ref())),
    ("--log-format", "log.format", |o| os(o.log_format.as_ref())),
];

fn os<T: AsRef<OsStr>>(value: Option<&T>) -> Option<&OsStr> {
    value.map(AsRef::as_ref)
}

/// The flag that can set a field.
pub(crate) fn flag_of(field: &str) -> Option<&'static str> {
    let flag = FLAGS.iter().find(|(_, of, _)| *of == field);
    flag.map(|(flag, ..)| *flag)
}

/// Lays the flags over the tree of the file.
pub(crate) fn apply(overrides: &Overrides, root: &mut Node, problems: &mut Vec<Problem>) {
    for (flag, field, value) in FLAGS {
        let Some(value) = value(overrides) else {
            continue;
        };
        let location = Location::Flag(flag);
        let Some(text) = value.to_str() else {
            problems.push(Problem::new(location, field, "the path is not UTF-8"));
            continue;
        };
        let text = text.to_owned();
        let kind = Kind::Scalar(Scalar { text, quoted: true });
        set(root, field, Node { location, kind });
    }
}

/// Sets a field, with the mappings that lead to it. Where something else than a mapping is in the way, it stays: it is
/// a problem of its own.
fn set(node: &mut Node, field: &str, value: Node) {
    if matches!(node.kind, Kind::Null) {
        node.kind = Kind::Map(Vec::new());
    }
    let Kind::Map(entries) = &mut node.kind else {
        return;
    };
    let (key, rest) = field.split_once('.').map_or((field, None), |(key, rest)| (key, Some(rest)));
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let location = value.location;
        entries.push(Entry { key: key.to_owned(), location, value: Node { location, kind: Kind::Null } });
        entries.len() - 1
    });
    let entry = &mut entries[index];
    match rest {
        Some(rest) => set(&mut entry.value, rest, value),
        None => entry.value = value,
    }
}

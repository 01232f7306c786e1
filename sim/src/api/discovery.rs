//! Answers outside of resources: version, health, discovery.

use bytes::Bytes;
use serde_json::{Value, json};

use super::object::bytes_of;
use super::request::Route;
use super::server::State;
use super::service::version_body;
use super::store::Table;

/// The answer to a path that names no resource; `None` when the path is unknown.
pub(super) fn answer(state: &State, route: &Route<'_>) -> Option<Bytes> {
    let value = match route {
        Route::Version => version_body(),
        Route::Health => return Some(Bytes::from_static(b"ok")),
        Route::CoreVersions => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        Route::Groups => groups(state),
        Route::Resources(group, version) => resources(state, group, version)?,
        Route::Object(_) | Route::Unknown => return None,
    };
    Some(bytes_of(&value))
}

fn served(state: &State) -> impl Iterator<Item = &Table> {
    state.store.tables.iter().filter(|table| table.is_served)
}

fn groups(state: &State) -> Value {
    let mut groups: Vec<Value> = Vec::new();
    for table in served(state).filter(|table| !table.resource.kind.group.is_empty()) {
        let kind = &table.resource.kind;
        if groups.iter().all(|group| group["name"] != kind.group) {
            let version = json!({"groupVersion": kind.api_version(), "version": kind.version});
            groups.push(json!({"name": kind.group, "versions": [version], "preferredVersion": version}));
        }
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn resources(state: &State, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for table in served(state) {
        let kind = &table.resource.kind;
        if kind.group != group || kind.version != version {
            continue;
        }
        let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        resources.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs,
        }));
        if table.resource.has_status {
            resources.push(json!({
                "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    if resources.is_empty() {
        return None;
    }
    let api = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}))
}

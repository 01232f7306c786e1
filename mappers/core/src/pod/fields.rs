//! Field paths of the downward API, turned so that containers read virtual values.

use std::collections::BTreeMap;

use serde_json::Value;
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::downward::{Downward, PodFields};
use tenet_mapper::{Context, MapError, Object};

use super::security::put;
use super::{containers, tokens};

/// The turned path of every field reference, by its JSON pointer, and the annotations that the
/// host pod needs for them.
pub struct Fields {
    turned: Vec<(String, String)>,
    /// Annotations of the host pod.
    pub annotations: BTreeMap<String, String>,
}

impl Fields {
    /// Turns all field references of a virtual pod.
    pub fn of(cx: &Context<'_>, virt: &Object) -> Result<Self, MapError> {
        let metadata = &virt.value()["metadata"];
        let mut downward = Downward::new(PodFields {
            labels: metadata.get("labels"),
            annotations: metadata.get("annotations"),
            service_account: tokens::account(virt),
            allow: &cx.facts().annotations,
        });
        let (mut turned, mut refusals) = (Vec::new(), Vec::new());
        for pointer in references(virt.value()) {
            let Some(path) = virt.str_at(&pointer) else { continue };
            match downward.turn(path) {
                Ok(path) => turned.push((pointer, path)),
                Err(error) => refusals.push(Refusal { field: shown(&pointer), why: error.to_string() }),
            }
        }
        if !refusals.is_empty() {
            return Err(MapError::Refused(refusals));
        }
        Ok(Self { turned, annotations: downward.annotations() })
    }

    /// Puts the turned paths into a draft.
    pub fn put(&self, draft: &mut Value) {
        for (pointer, path) in &self.turned {
            put(draft, pointer, Value::String(path.clone()));
        }
    }
}

/// The JSON pointers of all field paths.
fn references(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let items = |list: &Value| 0..list.as_array().map_or(0, Vec::len);
    for (list, index) in containers(pod) {
        let env = format!("/spec/{list}/{index}/env");
        for at in items(pod.pointer(&env).unwrap_or(&Value::Null)) {
            found.push(format!("{env}/{at}/valueFrom/fieldRef/fieldPath"));
        }
    }
    let volumes = &pod["spec"]["volumes"];
    for at in items(volumes) {
        let volume = &volumes[at];
        for item in items(&volume["downwardAPI"]["items"]) {
            found.push(format!("/spec/volumes/{at}/downwardAPI/items/{item}/fieldRef/fieldPath"));
        }
        let sources = &volume["projected"]["sources"];
        for source in items(sources) {
            for item in items(&sources[source]["downwardAPI"]["items"]) {
                let place = format!("/spec/volumes/{at}/projected/sources/{source}");
                found.push(format!("{place}/downwardAPI/items/{item}/fieldRef/fieldPath"));
            }
        }
    }
    found.retain(|pointer| pod.pointer(pointer).is_some());
    found
}

/// `/spec/volumes/0/name` as `spec.volumes[0].name`.
fn shown(pointer: &str) -> String {
    let tokens = pointer.split('/').skip(1).enumerate();
    let shown = tokens.map(|(at, token)| match token.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) if at == 0 => token.to_owned(),
        Err(_) => format!(".{token}"),
    });
    shown.collect()
}

//! Ephemeral containers. They can only be added, and cross like the
//! containers of a new pod.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Effect, MapError, Object, PatchFormat};

use super::{Subject, draft, env};

const LIST: &str = "ephemeralContainers";

/// Containers that the host pod lacks.
#[derive(Default)]
struct New {
    /// Containers in their host form.
    containers: Vec<Value>,
    /// Reason why others may not cross. They stay in the virtual pod, because nobody can remove them.
    refusals: Vec<Refusal>,
}

/// The write that adds the containers which the host pod does not have, and why others cannot be
/// added.
pub(super) fn added(pod: &Subject<'_, '_>, host: &Object) -> Result<(Option<Effect>, Vec<Refusal>), MapError> {
    let New { containers, refusals } = new(pod, host)?;
    let body = json!({"spec": {"ephemeralContainers": containers}});
    let added = || pod.patch_host(Some("ephemeralcontainers"), PatchFormat::Strategic, body);
    Ok(((!containers.is_empty()).then(added), refusals))
}

fn new(pod: &Subject<'_, '_>, host: &Object) -> Result<New, MapError> {
    let mut new = New::default();
    for (index, container) in pod.virt.list_at(&format!("/spec/{LIST}")).iter().enumerate() {
        if is_added(host, container) {
            continue;
        }
        match cross(pod, container) {
            Ok(crossed) => new.containers.push(crossed),
            Err(MapError::Refused(refusals)) => new.refusals.extend(refusals.into_iter().map(|r| numbered(r, index))),
            Err(error) => return Err(error),
        }
    }
    Ok(new)
}

/// Translates one container alone: the rest of the pod runs already, even if it would be
/// refused now.
fn cross(pod: &Subject<'_, '_>, container: &Value) -> Result<Value, MapError> {
    let spec = |member: &str| pod.virt.at(&format!("/spec/{member}")).cloned().unwrap_or_default();
    let virt = Object::new(json!({
        "metadata": pod.virt.at("/metadata"),
        "spec": {
            "serviceAccountName": spec("serviceAccountName"),
            "enableServiceLinks": spec("enableServiceLinks"),
            LIST: [container],
        },
    }));
    let alone = Subject { cx: pod.cx, table: pod.table, key: pod.key, virt: &virt, place: pod.place.clone() };
    let mut made = draft::draft(&alone)?.host;
    if let Some(missing) = env::add(&alone, &mut made)? {
        return Err(MapError::Transient { reason: format!("{missing} has no address yet"), after: None });
    }
    Ok(made["spec"][LIST][0].take())
}

fn numbered(refusal: Refusal, index: usize) -> Refusal {
    let field = refusal.field.replacen("[0]", &format!("[{index}]"), 1);
    Refusal { field, ..refusal }
}

fn is_added(host: &Object, container: &Value) -> bool {
    host.list_at(&format!("/spec/{LIST}")).iter().any(|added| added["name"] == container["name"])
}

//! Ephemeral containers. They can only be added, and cross like the
//! containers of a new pod.

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::{Effect, MapError, Object, PatchFormat};

use super::env::NotYet;
use super::{Subject, content, draft, env, host_paths};

const LIST: &str = "ephemeralContainers";

/// Containers that the host pod lacks.
#[derive(Default)]
struct New {
    /// Containers in their host form.
    containers: Vec<Value>,
    /// Writes of the variables of Services, for which the kubelet waits.
    variables: Vec<Effect>,
    /// Reason why others may not cross. They stay in the virtual pod, because the API never removes them.
    refusals: Vec<Refusal>,
}

/// The writes that add the containers which the host pod does not have, and why others cannot be
/// added.
pub(super) fn added(pod: &Subject<'_, '_>, host: &Object) -> Result<(Vec<Effect>, Vec<Refusal>), MapError> {
    let New { containers, variables: mut effects, refusals } = new(pod, host)?;
    if !containers.is_empty() {
        let body = json!({"spec": {"ephemeralContainers": containers}});
        effects.push(pod.patch_host(Some("ephemeralcontainers"), PatchFormat::Strategic, body));
    }
    Ok((effects, refusals))
}

fn new(pod: &Subject<'_, '_>, host: &Object) -> Result<New, MapError> {
    let mut new = New::default();
    for (index, container) in pod.virt.list_at(&format!("/spec/{LIST}")).iter().enumerate() {
        if is_added(host, container) {
            continue;
        }
        match cross(pod, container) {
            Ok((crossed, variables)) => {
                new.containers.push(crossed);
                // They are the same for all containers.
                new.variables = variables;
            }
            Err(MapError::Refused(refusals)) => new.refusals.extend(refusals.into_iter().map(|r| numbered(r, index))),
            Err(error) => return Err(error),
        }
    }
    Ok(new)
}

/// Translates one container alone: the rest of the pod runs already, even if it would be
/// refused now.
fn cross(pod: &Subject<'_, '_>, container: &Value) -> Result<(Value, Vec<Effect>), MapError> {
    let spec = |member: &str| pod.virt.at(&format!("/spec/{member}")).cloned().unwrap_or_default();
    let virt = Object::new(json!({
        "metadata": pod.virt.at("/metadata"),
        "spec": {
            "serviceAccountName": spec("serviceAccountName"),
            "enableServiceLinks": spec("enableServiceLinks"),
            "os": spec("os"),
            "securityContext": spec("securityContext"),
            LIST: [container],
        },
    }));
    let alone = Subject {
        cx: pod.cx,
        table: pod.table,
        key: pod.key,
        virt: &virt,
        host_key: pod.host_key.clone(),
        world: pod.world,
        namespaces: pod.namespaces,
    };
    let mut made = draft::draft(&alone, |_| None)?.host;
    content::check_names(&alone)?;
    let writable = host_paths::writable(pod, virt.value());
    if !writable.is_empty() {
        return Err(MapError::Refused(writable));
    }
    let variables = env::add(&alone, &mut made).map_err(|why| match why {
        NotYet::Missing(missing) => {
            MapError::Transient { reason: format!("{missing} has no address yet"), after: None }
        }
        NotYet::Taken(error) => error,
    })?;
    Ok((made["spec"][LIST][0].take(), variables))
}

fn numbered(refusal: Refusal, index: usize) -> Refusal {
    let field = refusal.field.replacen("[0]", &format!("[{index}]"), 1);
    Refusal { field, ..refusal }
}

fn is_added(host: &Object, container: &Value) -> bool {
    host.list_at(&format!("/spec/{LIST}")).iter().any(|added| added["name"] == container["name"])
}

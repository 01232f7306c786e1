use serde_json::{Value, json};
use tenet_mapper::{MapError, Object};

use super::named;
use crate::pod::{Subject, draft, env};

const LIST: &str = "ephemeralContainers";

/// The containers that the host pod does not have, as a strategic merge patch.
pub(super) async fn change(pod: &Subject<'_, '_>, host: &Object) -> Result<Option<Value>, MapError> {
    let is_new = |container: &Value| named(host, LIST, &container["name"]).is_none();
    if !pod.virt.list_at("/spec/ephemeralContainers").iter().any(is_new) {
        return Ok(None);
    }
    let mut made = draft::draft(pod)?.host;
    env::add(pod, &mut made).await?;
    let added = made["spec"][LIST].as_array().into_iter().flatten().filter(|container| is_new(container));
    let added: Vec<_> = added.cloned().collect();
    Ok(Some(json!({"spec": {LIST: added}})))
}

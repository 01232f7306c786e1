//! `ServiceAccount` tokens: issued by the virtual API server, bound to the pod, in the Secret beside the host pod.
//!
//! They are issued before the host pod exists, so that no kubelet waits for them, and once more when the pod is bound
//! to its node, which they name from then on. The second ones come before most kubelets have mounted the first.

use std::collections::BTreeMap;

use tenet_mapper::keys::{TOKENS, TOKENS_NODE};
use tenet_mapper::translate::token::{TokenSpec, refresh_at};
use tenet_mapper::{Object, TokenRequest};

use super::Subject;

/// The virtual `ServiceAccount` of a pod.
pub(super) fn account(virt: &Object) -> &str {
    virt.str_at("/spec/serviceAccountName").unwrap_or("default")
}

/// Returns the time at which the first token of a Secret must be renewed; `None` when one is missing, or names another
/// node. `specs` is not empty.
pub(super) fn due(secret: &Object, specs: &[TokenSpec], uid: &str, node: Option<&str>) -> Option<i64> {
    if node.is_some_and(|node| secret.annotation(TOKENS_NODE) != Some(node)) {
        return None;
    }
    let times: BTreeMap<String, (i64, i64)> = serde_json::from_str(secret.annotation(TOKENS)?).ok()?;
    let due =
        |spec: &TokenSpec| times.get(&spec.data_key()).map(|(issued, expires)| refresh_at(*issued, *expires, uid));
    specs.iter().map(due).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Returns the request for one token of a pod.
pub(super) fn request(pod: &Subject<'_, '_>, spec: TokenSpec) -> TokenRequest {
    TokenRequest {
        data_key: spec.data_key(),
        service_account: spec.service_account,
        audiences: spec.audiences,
        expiration_seconds: spec.expiration_seconds,
        pod: pod.key.clone(),
        pod_uid: pod.virt.uid().to_owned(),
    }
}

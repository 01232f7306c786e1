//! `ServiceAccount` tokens: issued by the virtual API server, bound to the pod, in one Secret beside the host pod.
//!
//! They are issued before the host pod exists, so that no kubelet waits for them, and once more when the pod is bound
//! to its node, which they name from then on. The second ones come before most kubelets have mounted the first.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenet_mapper::keys::{TOKENS, TOKENS_NODE};
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::translate::token::{TokenFile, TokenSpec, refresh_at};
use tenet_mapper::{Context, HostKey, MintTokens, Object, TokenRequest, VirtualKey, kinds, pointer};

use super::Subject;

/// State of the tokens of a pod.
pub(super) enum Tokens {
    /// The pod asks for none.
    None,
    /// All are there; the next is due at this instant.
    Fresh(i64),
    /// They have to be minted now.
    Due(Box<MintTokens>),
}

/// The virtual `ServiceAccount` of a pod.
pub(super) fn account(virt: &Object) -> &str {
    virt.str_at("/spec/serviceAccountName").unwrap_or("default")
}

/// Returns the token Secret of a pod of this name on the host, and its owner.
pub(super) fn secret(cx: &Context<'_>, key: &VirtualKey) -> Option<(Object, OwnerRecord)> {
    let secret = cx.host(kinds::SECRET, &secret_key(cx, key))?;
    let owner = cx.ownership(&secret).ours()?;
    let is_ours = owner.kind == kinds::POD && owner.namespace == key.namespace() && owner.name == key.name();
    is_ours.then_some((secret, owner))
}

fn secret_key(cx: &Context<'_>, key: &VirtualKey) -> HostKey {
    let names = &cx.facts().names;
    HostKey::new(names.host_namespace(key.namespace()), names.token_secret_name(key.namespace(), key.name()))
}

/// Replaces every token source of a draft by a source of the Secret.
pub(super) fn turn_sources(pod: &Subject<'_, '_>, draft: &mut Value) -> Vec<Refusal> {
    let (virt, mut refusals) = (pod.virt.value(), Vec::new());
    for volume in pointer::elements(virt, "/spec/volumes") {
        let Some(projected) = pointer::get(virt, &format!("{volume}/projected")) else { continue };
        let name = pod.virt.str_at(&format!("{volume}/name")).unwrap_or_default();
        for (index, pointer) in pointer::elements(virt, &format!("{volume}/projected/sources")).iter().enumerate() {
            let Some(source) = pointer::get(virt, pointer) else { continue };
            let Some(token) = TokenSpec::read(account(pod.virt), name, index, source) else { continue };
            match TokenFile::of(&virt["spec"], projected, &source["serviceAccountToken"], false) {
                Ok(file) => pointer::set(draft, pointer, token.secret_source(secret_key(pod.cx, pod.key).name(), file)),
                Err(error) => {
                    let field = format!("{}.serviceAccountToken.user", pointer::field(pointer));
                    refusals.push(Refusal { field, why: error.to_string() });
                }
            }
        }
    }
    refusals
}

/// Returns the state of the tokens of a pod that is bound to `node` inside. Those in a Secret for exactly this pod and
/// node are never issued twice, also after a restart.
pub(super) fn of(pod: &Subject<'_, '_>, node: Option<&str>) -> Tokens {
    let specs = TokenSpec::of_pod(&pod.virt.value()["spec"]);
    if specs.is_empty() {
        return Tokens::None;
    }
    let found = secret(pod.cx, pod.key).filter(|(_, owner)| owner.uid == pod.virt.uid());
    let found = found.filter(|(secret, _)| node.is_none_or(|node| secret.annotation(TOKENS_NODE) == Some(node)));
    match found.and_then(|(secret, _)| due(&secret, &specs, pod.virt.uid())) {
        Some(due) if due > pod.cx.now() => Tokens::Fresh(due),
        _ => Tokens::Due(Box::new(minted(pod, specs, node))),
    }
}

/// Returns the time at which the first token must be renewed; `None` when one is missing.
fn due(secret: &Object, specs: &[TokenSpec], uid: &str) -> Option<i64> {
    let times: BTreeMap<String, (i64, i64)> = serde_json::from_str(secret.annotation(TOKENS)?).ok()?;
    let due =
        |spec: &TokenSpec| times.get(&spec.data_key()).map(|(issued, expires)| refresh_at(*issued, *expires, uid));
    specs.iter().map(due).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Returns the effect that fills the Secret with tokens.
fn minted(pod: &Subject<'_, '_>, specs: Vec<TokenSpec>, node: Option<&str>) -> MintTokens {
    let (owner, host_key) = (pod.owner(), secret_key(pod.cx, pod.key));
    let request = |spec: TokenSpec| TokenRequest {
        data_key: spec.data_key(),
        service_account: spec.service_account,
        audiences: spec.audiences,
        expiration_seconds: spec.expiration_seconds,
        pod: pod.key.clone(),
        pod_uid: pod.virt.uid().to_owned(),
    };
    let mut desired = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": host_key.name(), "namespace": host_key.namespace(),
            "labels": owner.labels(&pod.cx.facts().names.cluster),
            "annotations": owner.annotations(host_key.namespace(), host_key.name()),
        },
    });
    if let Some(node) = node {
        desired["metadata"]["annotations"][TOKENS_NODE] = json!(node);
    }
    MintTokens { key: host_key, owner, desired, tokens: specs.into_iter().map(request).collect() }
}

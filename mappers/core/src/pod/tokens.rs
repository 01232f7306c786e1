//! `ServiceAccount` tokens: minted by the virtual API server, bound to the pod, in one Secret.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::token::{TokenFile, TokenSpec, refresh_at};
use tenet_mapper::{
    Apply, Context, Deletion, Dependency, Effect, HostKey, MapError, Mint, Object, Outcome, VirtualKey, kinds,
};

use super::security::put;

/// The annotation that the gate keeps: when each token was issued and when it expires.
const TOKENS: &str = "tenet.sh/tokens";

/// Where the Secret of a pod's tokens stands.
pub fn secret_key(cx: &Context<'_>, key: &VirtualKey) -> HostKey {
    let names = &cx.facts().names;
    HostKey::new(names.host_namespace.as_str(), names.token_secret_name(key.namespace(), key.name()))
}

/// Turns the token sources of a draft into Secret sources.
pub fn turn_sources(virt: &Object, draft: &mut Value, secret: &HostKey) -> Result<(), MapError> {
    let spec = &virt.value()["spec"];
    for (at, volume) in virt.list_at("/spec/volumes").iter().enumerate() {
        let projected = &volume["projected"];
        for (index, source) in projected["sources"].as_array().into_iter().flatten().enumerate() {
            let (account, name) = (account(virt), volume["name"].as_str().unwrap_or_default());
            let Some(token) = TokenSpec::read(account, name, index, source) else { continue };
            let file = TokenFile::of(spec, projected, &source["serviceAccountToken"], false).map_err(|error| {
                let field = format!("spec.volumes[{at}].projected.sources[{index}].serviceAccountToken");
                MapError::Refused(vec![Refusal { field, why: error.to_string() }])
            })?;
            let path = format!("/spec/volumes/{at}/projected/sources/{index}");
            put(draft, &path, token.secret_source(secret.name(), file));
        }
    }
    Ok(())
}

/// What to do about the Secret before the host pod is there, and when to look again.
pub enum Secret {
    /// The pod asks for no token.
    None,
    /// All tokens are there; the next is due at this instant.
    Ready(i64),
    /// They have to be minted, now.
    Mint(Box<Apply>),
    /// The Secret of an earlier pod of this name has to go first.
    Stale(Box<Outcome>),
}

/// How the tokens of a pod stand.
pub fn of_pod(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> Result<Secret, MapError> {
    let specs = TokenSpec::of_pod(&virt.value()["spec"]);
    if specs.is_empty() {
        return Ok(Secret::None);
    }
    let place = secret_key(cx, key);
    if let Some(found) = cx.host(kinds::SECRET, &place) {
        let owner = cx.owned(kinds::SECRET, &found)?;
        if owner.uid != virt.uid() {
            let gone = Dependency::host(kinds::SECRET, &place);
            let deletion = Deletion::orphan(kinds::SECRET, &found, &owner, kinds::POD);
            return Ok(Secret::Stale(Box::new(Outcome::one(Effect::Delete(deletion)).and_wait_for(gone))));
        }
        if let Some(due) = due(&found, &specs, virt.uid())
            && due > cx.now()
        {
            return Ok(Secret::Ready(due));
        }
    }
    Ok(Secret::Mint(Box::new(apply(cx, key, virt, place, specs))))
}

/// When the first of the tokens has to be renewed; `None` when one is missing.
fn due(secret: &Object, specs: &[TokenSpec], uid: &str) -> Option<i64> {
    let times: BTreeMap<String, [i64; 2]> = serde_json::from_str(secret.annotation(TOKENS)?).ok()?;
    let due = specs
        .iter()
        .map(|spec| times.get(&spec.data_key()).map(|[issued, expires]| refresh_at(*issued, *expires, uid)));
    due.collect::<Option<Vec<_>>>()?.into_iter().min()
}

fn apply(cx: &Context<'_>, key: &VirtualKey, virt: &Object, place: HostKey, specs: Vec<TokenSpec>) -> Apply {
    let owner = cx.owner(kinds::POD, virt);
    let metadata = json!({
        "name": place.name(), "namespace": place.namespace(),
        "labels": owner.labels(&cx.facts().names.cluster),
        "annotations": owner.annotations(place.namespace(), place.name()),
    });
    let mint = |spec: TokenSpec| Mint {
        data_key: spec.data_key(),
        service_account: spec.service_account,
        audiences: spec.audiences,
        expiration_seconds: spec.expiration_seconds,
        pod: key.clone(),
        pod_uid: virt.uid().to_owned(),
    };
    Apply {
        kind: kinds::SECRET,
        key: place,
        owner,
        desired: json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": Map::new()}),
        table: None,
        fallback: None,
        mint: specs.into_iter().map(mint).collect(),
    }
}

/// The virtual `ServiceAccount` of a pod.
pub fn account(virt: &Object) -> &str {
    virt.str_at("/spec/serviceAccountName").unwrap_or("default")
}

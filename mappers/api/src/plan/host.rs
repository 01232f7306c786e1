use serde_json::{Map, Value, json};
use tenet_translate::keys::TOKENS;
use tenet_translate::pointer::escape;

use super::{Payload, PlanContext, Write};
use crate::patch::{host_ops, note_applied};
use crate::{ApplyHost, HostPatch, MapError, MintTokens, Object, ObjectRef, PatchFormat, kinds};

/// A host object is created once, then kept up to date by the smallest patch.
pub(super) fn apply(apply: &ApplyHost, cached: Option<&Object>, cx: &PlanContext<'_>) -> Result<Vec<Write>, MapError> {
    let (table, target) = (apply.table.as_deref(), ObjectRef::host(apply.kind, &apply.key));
    if let Some(cached) = cached {
        cx.check_owner(apply.kind, cached, &apply.owner)?;
    }
    let (mut desired, mut fallback) = (apply.desired.clone(), apply.fallback.clone());
    if let Some(table) = table {
        if let Some(path) = table.find_followed(|path| !cx.projection.shows(path)) {
            let why = format!("{}: {path} follows, and the projection of the host object does not keep it", apply.kind);
            return Err(MapError::Malformed(why));
        }
        note_applied(&mut desired, table, cx.projection);
        if let Some(fallback) = &mut fallback {
            note_applied(fallback, table, cx.projection);
        }
    }
    Ok(match cached {
        None => vec![Write { target, subresource: None, payload: Payload::Create { object: desired, fallback } }],
        Some(cached) => update(target, cached, host_ops(&desired, cached.value(), table, cx.projection)),
    })
}

/// Tokens are always new. What stands in the Secret besides them and the files is not known here, and stays.
pub(super) fn mint(mint: &MintTokens, cached: Option<&Object>, cx: &PlanContext<'_>) -> Result<Vec<Write>, MapError> {
    if let Some(cached) = cached {
        cx.check_owner(kinds::SECRET, cached, &mint.owner)?;
    }
    if cx.minted.len() != mint.tokens.len() || !mint.keys.is_empty() {
        return Err(MapError::Malformed(format!("{}: not every token was minted, and not every key made", mint.key)));
    }
    let (mut object, target) = (mint.desired.clone(), ObjectRef::host(kinds::SECRET, &mint.key));
    let mut data: Map<_, _> = mint.files.iter().map(|(key, file)| (key.clone(), json!(file))).collect();
    let mut times = Map::new();
    for (request, token) in mint.tokens.iter().zip(cx.minted) {
        data.insert(request.data_key.clone(), json!(token.data));
        times.insert(request.data_key.clone(), json!([token.issued, token.expires]));
    }
    object["metadata"]["annotations"][TOKENS] = Value::String(Value::Object(times).to_string());
    let Some(cached) = cached else {
        object["data"] = Value::Object(data);
        return Ok(vec![Write { target, subresource: None, payload: Payload::Create { object, fallback: None } }]);
    };
    let mut ops = host_ops(&object, cached.value(), None, cx.projection);
    if cached.at("/data").is_some() {
        let add = |(key, value): (String, Value)| {
            let path = format!("/data/{}", escape(&key));
            json!({"op": "add", "path": path, "value": value})
        };
        ops.extend(data.into_iter().map(add));
    } else {
        ops.push(json!({"op": "add", "path": "/data", "value": data}));
    }
    Ok(update(target, cached, ops))
}

/// Writing the UID and the version that were seen makes the server refuse with a conflict when either is not true any
/// more.
fn update(target: ObjectRef, cached: &Object, ops: Vec<Value>) -> Vec<Write> {
    if ops.is_empty() {
        return Vec::new();
    }
    let seen =
        |member: &str, value: &str| json!({"op": "replace", "path": format!("/metadata/{member}"), "value": value});
    let mut all = vec![seen("uid", cached.uid()), seen("resourceVersion", cached.resource_version())];
    all.extend(ops);
    vec![Write { target, subresource: None, payload: Payload::Json(all) }]
}

pub(super) fn patch(patch: &HostPatch, cached: Option<&Object>, cx: &PlanContext<'_>) -> Result<Vec<Write>, MapError> {
    let HostPatch { kind, key, owner, subresource, format, body } = patch;
    let Some(cached) = cached else { return Err(MapError::Conflict(format!("{kind} {key} is not on the host"))) };
    cx.check_owner(*kind, cached, owner)?;
    let mut body = body.clone();
    body["metadata"]["uid"] = json!(cached.uid());
    let payload = match format {
        PatchFormat::Merge => Payload::Merge(body),
        PatchFormat::Strategic => Payload::Strategic(body),
    };
    Ok(vec![Write { target: ObjectRef::host(*kind, key), subresource: *subresource, payload }])
}

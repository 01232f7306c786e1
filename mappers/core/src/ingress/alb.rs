//! Annotations of the AWS Load Balancer Controller: some name Services and Secrets within JSON, and some carry the name
//! of a backend in their key.

use std::collections::BTreeSet;

use serde_json::Value;
use tenet_mapper::rules::{Reference, Refusal};
use tenet_mapper::{Context, Object, crossed, kinds, pointer};

use super::backends;

const ACTIONS: &str = "alb.ingress.kubernetes.io/actions.";
const CONDITIONS: &str = "alb.ingress.kubernetes.io/conditions.";
const OIDC: &str = "alb.ingress.kubernetes.io/auth-idp-oidc";

/// The port of a backend that is an annotation instead of a Service.
const USE_ANNOTATION: &str = "use-annotation";
/// Longest name in the key of an annotation.
const LONGEST: usize = 63;

/// Returns true if an annotation with this key names objects.
pub(super) fn names_objects(key: &str) -> bool {
    key == OIDC || key.starts_with(ACTIONS) || key.starts_with(CONDITIONS)
}

/// Returns the Secrets that an annotation names. Services cross without a reference.
pub(super) fn references(key: &str, value: &str) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    if let Some(mut value) = serde_json::from_str(value).ok().filter(|_| key == OIDC) {
        rename(&mut value, "secretName", &mut |name: &str| {
            found.insert(Reference { kind: kinds::SECRET.group_kind(), name: name.to_owned() });
            name.to_owned()
        });
    }
    found
}

/// Puts the names of copies into the annotations of a draft, and gives the backends that are annotations their own
/// names back. Returns the annotations whose keys can have no name of the host.
pub(super) fn translate(cx: &Context<'_>, virt: &Object, draft: &mut Value) -> Vec<Refusal> {
    let name_of = |kind: tenet_mapper::Kind, name: &str| {
        cx.host_key_named(kind.group_kind(), virt.namespace(), name).name().to_owned()
    };
    let keep = keep_own_names(virt, draft);
    let mut refusals = Vec::new();
    for (key, value) in virt.annotations() {
        if !names_objects(&key) || draft["metadata"]["annotations"].get(&key).is_none() {
            continue;
        }
        let (member, kind) = if key == OIDC { ("secretName", kinds::SECRET) } else { ("serviceName", kinds::SERVICE) };
        if let Ok(mut json) = serde_json::from_str::<Value>(&value)
            && rename(&mut json, member, &mut |name: &str| name_of(kind, name))
        {
            draft["metadata"]["annotations"][&key] = Value::String(json.to_string());
        }
        let named = [ACTIONS, CONDITIONS].into_iter().find_map(|start| Some((start, key.strip_prefix(start)?)));
        let Some((start, backend)) = named else { continue };
        if keep.contains(backend) {
            // The key would need two names on the host.
            if start == CONDITIONS && is_service(virt, backend) {
                let why =
                    format!("{backend} is the name of an action and of a Service; use another name for the action");
                refusals.push(Refusal { field: format!("metadata.annotations[{key}]"), why });
            }
            continue;
        }
        let host_key = format!("{start}{}", name_of(kinds::SERVICE, backend));
        if host_key.split_once('/').is_none_or(|(_, name)| name.len() > LONGEST) {
            let why = format!("the key {host_key} that it would have on the host is too long; use a shorter name");
            refusals.push(Refusal { field: format!("metadata.annotations[{key}]"), why });
        } else {
            crossed::rename(draft, &key, &host_key);
        }
    }
    refusals
}

/// Gives each backend that is an annotation its own name back: no Service has it. Returns these names.
fn keep_own_names(virt: &Object, draft: &mut Value) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for place in backends::places(virt) {
        let at = format!("{place}/name");
        let is_annotation = virt.str_at(&format!("{place}/port/name")) == Some(USE_ANNOTATION);
        let Some(name) = virt.str_at(&at).filter(|_| is_annotation) else { continue };
        if draft["metadata"]["annotations"].get(format!("{ACTIONS}{name}")).is_some() {
            pointer::set(draft, &at, Value::String(name.to_owned()));
            kept.insert(name.to_owned());
        }
    }
    kept
}

/// Returns true if a backend of this name is a Service.
fn is_service(virt: &Object, name: &str) -> bool {
    backends::places(virt).any(|place| {
        let port = virt.str_at(&format!("{place}/port/name"));
        virt.str_at(&format!("{place}/name")) == Some(name) && port != Some(USE_ANNOTATION)
    })
}

/// Replaces the texts of a member, in any spelling of its case, wherever it is in a value. Returns true if there are
/// some.
fn rename(value: &mut Value, member: &str, name_of: &mut impl FnMut(&str) -> String) -> bool {
    let mut found = false;
    match value {
        Value::Array(items) => {
            for item in items {
                found |= rename(item, member, name_of);
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key.eq_ignore_ascii_case(member) => {
                        *text = name_of(text);
                        found = true;
                    }
                    value => found |= rename(value, member, name_of),
                }
            }
        }
        _ => {}
    }
    found
}

//! Annotations that name objects. On the host they name the copies, so that no tenant reaches another object there.

use std::collections::BTreeSet;

use serde_json::Value;
use tenet_mapper::rules::{Reference, Refusal};
use tenet_mapper::translate::dns_name::{is_label, is_subdomain};
use tenet_mapper::{Context, GroupKind, Object, kinds};

use super::alb;

/// Keys whose value is the name of a Secret, or `NAMESPACE/NAME`.
const SECRETS: &[&str] = &[
    "haproxy-ingress.github.io/auth-secret",
    "haproxy-ingress.github.io/auth-tls-secret",
    "haproxy-ingress.github.io/secure-crt-secret",
    "haproxy-ingress.github.io/secure-verify-ca-secret",
    "haproxy.org/auth-secret",
    "haproxy.org/client-ca",
    "haproxy.org/server-ca",
    "haproxy.org/server-crt",
    "ingress.kubernetes.io/auth-secret",
    "ingress.kubernetes.io/auth-tls-secret",
    "ingress.kubernetes.io/secure-verify-ca-secret",
    "nginx.com/jwt-key",
    "nginx.ingress.kubernetes.io/auth-secret",
    "nginx.ingress.kubernetes.io/auth-tls-secret",
    "nginx.ingress.kubernetes.io/proxy-ssl-secret",
    "nginx.ingress.kubernetes.io/secure-verify-ca-secret",
    "nginx.org/basic-auth-secret",
];

/// Keys whose value is the name of a `ConfigMap`, or `NAMESPACE/NAME`.
const CONFIG_MAPS: &[&str] = &[
    "nginx.ingress.kubernetes.io/auth-proxy-set-headers",
    "nginx.ingress.kubernetes.io/custom-headers",
    "nginx.ingress.kubernetes.io/fastcgi-params-configmap",
];

/// Keys whose value is the name of a Service.
const SERVICES: &[&str] = &["nginx.ingress.kubernetes.io/default-backend"];

/// Returns the kind of the object that an annotation with this key names.
fn kind_named_by(key: &str) -> Option<GroupKind> {
    let tables = [(SECRETS, kinds::SECRET), (CONFIG_MAPS, kinds::CONFIG_MAP), (SERVICES, kinds::SERVICE)];
    tables.into_iter().find(|(keys, _)| keys.contains(&key)).map(|(_, kind)| kind.group_kind())
}

/// Returns true if an annotation with this key names an object.
pub(super) fn is_named_by(key: &str) -> bool {
    kind_named_by(key).is_some() || alb::names_objects(key)
}

/// Returns the objects that the annotations of an Ingress name, in its namespace.
pub(super) fn references(ingress: &Object) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    for (key, value) in ingress.annotations() {
        match kind_named_by(&key) {
            Some(kind) => {
                let name = name_in(&value, ingress.namespace()).ok().map(|(_, name)| name.to_owned());
                found.extend(name.map(|name| Reference { kind, name }));
            }
            None => found.extend(alb::references(&key, &value)),
        }
    }
    found
}

/// Puts the names of copies into the annotations of a draft. Returns the annotations that name what no copy can be.
pub(super) fn translate(cx: &Context<'_>, virt: &Object, draft: &mut Value) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let Some(annotations) = draft.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else {
        return refusals;
    };
    for (key, value) in annotations.iter_mut() {
        let (Some(kind), Some(text)) = (kind_named_by(key), value.as_str()) else { continue };
        match name_in(text, virt.namespace()) {
            Ok((form, name)) => {
                let host = cx.host_key_named(kind, virt.namespace(), name);
                *value = Value::String(match form {
                    Form::Name => host.name().to_owned(),
                    Form::WithNamespace => format!("{}/{}", host.namespace(), host.name()),
                });
            }
            Err(why) => refusals.push(Refusal { field: format!("metadata.annotations[{key}]"), why }),
        }
    }
    refusals
}

/// Form of a name in an annotation.
enum Form {
    Name,
    WithNamespace,
}

/// Reads a name in an annotation. On the host, it may name no object that is not a copy of this namespace's.
fn name_in<'v>(value: &'v str, namespace: &str) -> Result<(Form, &'v str), String> {
    let (form, name) = match value.split_once('/') {
        None => (Form::Name, value),
        Some((other, name)) if other == namespace => (Form::WithNamespace, name),
        Some((other, _)) if is_label(other) => {
            return Err(format!("names an object in the namespace {other}; only those of its own namespace cross"));
        }
        Some(_) => (Form::WithNamespace, ""),
    };
    if is_subdomain(name) { Ok((form, name)) } else { Err(format!("{value:?} is not the name of an object")) }
}

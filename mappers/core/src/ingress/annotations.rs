//! Annotations that an Ingress controller of the host acts on. They cross as the configuration lets them; one that
//! keeps requests out is not left out, as the Ingress would then be open to everybody.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::labels::{Globs, annotation_crosses};
use tenet_mapper::{Context, Object};

use super::named;

/// The annotation that named the class before `spec.ingressClassName`.
const CLASS: &str = "kubernetes.io/ingress.class";

/// Beginnings of the keys that controllers act on.
const BEGINNINGS: &[&str] = &[
    "acme.cert-manager.io/",
    "alb.ingress.kubernetes.io/",
    "appgw.ingress.kubernetes.io/",
    "cert-manager.io/",
    "external-dns.alpha.kubernetes.io/",
    "haproxy-ingress.github.io/",
    "haproxy.org/",
    "ingress.cilium.io/",
    "ingress.kubernetes.io/",
    "k8s.apisix.apache.org/",
    "konghq.com/",
    "kubernetes.io/ingress.",
    "kubernetes.io/tls-acme",
    "networking.gke.io/",
    "nginx.com/",
    "nginx.ingress.kubernetes.io/",
    "nginx.org/",
    "projectcontour.io/",
    "route.openshift.io/",
    "traefik.ingress.kubernetes.io/",
];

/// Globs of the names, in keys with such a beginning, that keep requests out: authentication, source ranges, firewalls,
/// and the choice between an internal and a public address.
const GUARDS: &[&str] = &[
    "allow-list",
    "allowlist*",
    "auth-*",
    "basic-auth-*",
    "blacklist*",
    "client-ca",
    "deny-list",
    "denylist*",
    "inbound-cidrs",
    "ingress.allow-http",
    "jwt-*",
    "mutual-authentication",
    "plugins",
    "policies",
    "router.entrypoints",
    "router.middlewares",
    "router.tls.options",
    "scheme",
    "security-groups",
    "use-private-ip",
    "waf*",
    "whitelist*",
];

static GUARD_GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::new(GUARDS));

/// Returns true if a controller acts on an annotation with this key.
fn is_for_a_controller(key: &str) -> bool {
    key != CLASS && BEGINNINGS.iter().any(|beginning| key.starts_with(beginning))
}

/// Returns true if an Ingress is not to be served without an annotation with this key: it keeps requests out, or names
/// what the Ingress needs.
fn is_needed(key: &str) -> bool {
    let is_guard = || key.split_once('/').is_some_and(|(_, name)| GUARD_GLOBS.matches(name));
    is_for_a_controller(key) && (named::is_named_by(key) || is_guard())
}

/// Returns the keys of the annotations that controllers act on and that do not cross.
fn left_out(cx: &Context<'_>, ingress: &Object) -> Vec<String> {
    let allow = &cx.facts().annotations;
    let keys = ingress.annotations().into_keys();
    keys.filter(|key| is_for_a_controller(key) && !annotation_crosses(key, allow)).collect()
}

/// Refuses an Ingress that would be served without annotations that it needs.
pub(super) fn refusals(cx: &Context<'_>, ingress: &Object) -> Vec<Refusal> {
    let needed: Vec<_> = left_out(cx, ingress).into_iter().filter(|key| is_needed(key)).collect();
    if needed.is_empty() {
        return Vec::new();
    }
    let why = format!(
        "the Ingress would be served without {}, so to requests that are to be kept out, or without what it needs; \
         annotations.allow of the configuration lets keys cross",
        needed.join(", ")
    );
    vec![Refusal { field: "metadata.annotations".to_owned(), why }]
}

/// Returns the message that names the annotations which are left out.
pub(super) fn message(cx: &Context<'_>, ingress: &Object) -> Option<String> {
    let keys = left_out(cx, ingress);
    let message = format!(
        "metadata.annotations: controllers of the host do not see {}; annotations.allow of the configuration lets keys \
         cross",
        keys.join(", ")
    );
    (!keys.is_empty()).then_some(message)
}

/// Gives the draft the class that an annotation names, if that annotation does not cross: without a class the default
/// controller of the host would serve it.
pub(super) fn name_class(ingress: &Object, draft: &mut Value) {
    if draft["metadata"]["annotations"].get(CLASS).is_none()
        && draft["spec"].get("ingressClassName").is_none()
        && let Some(class) = ingress.annotation(CLASS).filter(|class| !class.is_empty())
    {
        draft["spec"]["ingressClassName"] = json!(class);
    }
}

/// Returns the classes of a draft, each with the pointer to the field that names it. Controllers differ in which of two
/// they look at.
pub(super) fn classes(draft: &Value) -> Vec<(&'static str, &str)> {
    let of_annotation = draft["metadata"]["annotations"].get(CLASS).and_then(Value::as_str);
    let of_spec = draft["spec"].get("ingressClassName").and_then(Value::as_str);
    let mut classes = Vec::new();
    classes.extend(of_annotation.map(|class| ("/metadata/annotations/kubernetes.io~1ingress.class", class)));
    if of_spec.is_some() || of_annotation.is_none() {
        classes.push(("/spec/ingressClassName", of_spec.unwrap_or_default()));
    }
    classes
}

//! Backends of an Ingress. One without a copy on the host answers nobody.

use std::collections::BTreeSet;

use tenet_mapper::{Context, Object, VirtualKey, kinds, pointer};

use crate::service::is_external;

/// Returns where the Services of the backends of an Ingress are, as JSON pointers.
pub(super) fn places(ingress: &Object) -> impl Iterator<Item = String> {
    let rules = pointer::elements(ingress.value(), "/spec/rules").into_iter();
    let paths = rules.flat_map(|rule| pointer::elements(ingress.value(), &format!("{rule}/http/paths")));
    let backends = paths.map(|path| format!("{path}/backend")).chain(["/spec/defaultBackend".to_owned()]);
    backends.map(|backend| format!("{backend}/service"))
}

/// Returns the Services that an Ingress leads to.
pub(super) fn services(ingress: &Object) -> BTreeSet<VirtualKey> {
    let names = places(ingress).filter_map(|place| ingress.str_at(&format!("{place}/name")));
    names.map(|name| VirtualKey::new(ingress.namespace(), name)).collect()
}

/// Returns a message for each Service with an external name: it has no copy, as only the virtual DNS knows it.
pub(super) fn messages(cx: &Context<'_>, ingress: &Object) -> Vec<String> {
    let external = services(ingress).into_iter().filter_map(|key| cx.virt(kinds::SERVICE, &key)).filter(is_external);
    let message = |service: Object| {
        let name = service.name();
        format!("requests for the Service {name} get no answer: it has an external name, so it is not on the host")
    };
    external.map(message).collect()
}

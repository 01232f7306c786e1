//! Load balancers. A cloud builds a public one unless annotations say otherwise, so none is built without them.

use tenet_mapper::translate::labels::{annotation_crosses, shapes_load_balancer};
use tenet_mapper::{Context, MapError, Object};

/// Refuses a load balancer that would be built without annotations that shape it.
pub(super) fn check(cx: &Context<'_>, virt: &Object) -> Result<(), MapError> {
    if virt.str_at("/spec/type") != Some("LoadBalancer") {
        return Ok(());
    }
    let allow = &cx.facts().annotations;
    let annotations = virt.annotations();
    let lost: Vec<_> = annotations
        .keys()
        .map(String::as_str)
        .filter(|key| shapes_load_balancer(key) && !annotation_crosses(key, allow))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let why = format!(
        "the load balancer would be built without {}, so an internal one would be public; annotations.allow of the \
         configuration lets keys cross, and annotations.presets: [loadBalancers] those of the big clouds",
        lost.join(", ")
    );
    Err(MapError::refused("metadata.annotations", why))
}

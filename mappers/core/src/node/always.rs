//! Nodes that are shown although no pod of the tenant is on them.

use tenet_mapper::{Bound, Context, HostKey, Input, KeysOf, MapperSpec, Object, Projection, Side, VirtualKey, kinds};

use super::Nodes;

/// Adds the labels of the host's nodes to what the mapper reads.
pub(super) fn read(spec: &mut MapperSpec) -> Bound {
    let labels = Input::new(Side::Host, kinds::NODE, Projection::Fields(&[]), KeysOf::With(|_| vec![index()]));
    spec.bind(labels.foreign().optional())
}

/// The key under which all nodes of the host are found, and which each change of their labels wakes. No Node has a
/// namespace.
pub(super) fn index() -> VirtualKey {
    VirtualKey::new("nodes", "all")
}

/// Returns the nodes that are to be shown and are not: those that fit the limit since another one has gone or has lost
/// the labels.
pub(super) fn unshown(cx: &Context<'_>, nodes: Bound) -> Vec<VirtualKey> {
    let config = cx.section::<Nodes>();
    let Some(always) = config.always.as_ref() else { return Vec::new() };
    let (mut unshown, mut found) = (Vec::new(), 0);
    cx.visit_sources(nodes, &index(), &mut |node| {
        if always.selects(&node) {
            found += 1;
            let key = VirtualKey::new("", node.name());
            if cx.virt(kinds::NODE, &key).is_none() {
                unshown.push(key);
            }
        }
        found < always.limit.get()
    });
    unshown
}

/// Returns a node of the host that is shown in any case: it has the labels, and is among the first of those by name.
pub(super) fn shown(cx: &Context<'_>, nodes: Bound, name: &str) -> Option<Object> {
    let config = cx.section::<Nodes>();
    let always = config.always.as_ref()?;
    let host = cx.host(kinds::NODE, &HostKey::new("", name)).filter(|host| always.selects(host))?;
    let mut before = 0;
    // In the order of names, so the visit ends at this one.
    cx.visit_sources(nodes, &index(), &mut |node| {
        let is_before = node.name() < name;
        before += u16::from(is_before && always.selects(&node));
        is_before && before < always.limit.get()
    });
    (before < always.limit.get()).then_some(host)
}

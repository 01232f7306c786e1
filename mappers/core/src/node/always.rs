//! Nodes that are shown although no pod of the tenant is on them.

use tenet_mapper::{Bound, Context, Input, KeysOf, MapperSpec, Projection, Side, VirtualKey, kinds};

use super::Nodes;

/// Adds the labels of the host's nodes to what the mapper reads.
pub(super) fn read(spec: &mut MapperSpec) -> Bound {
    let labels = Input::new(Side::Host, kinds::NODE, Projection::Fields(&[]), KeysOf::With(|_| vec![index()]));
    spec.bind(labels.foreign().optional())
}

/// The key under which all nodes of the host are found. No Node has a namespace.
fn index() -> VirtualKey {
    VirtualKey::new("nodes", "all")
}

/// Returns true if a node of the host is shown in any case: it has the labels, and is among the first by name.
pub(super) fn is_shown(cx: &Context<'_>, nodes: Bound, name: &str) -> bool {
    let config = cx.section::<Nodes>();
    let Some(always) = config.always.as_ref() else { return false };
    let (mut before, mut is_found) = (0, false);
    cx.visit_sources(nodes, &index(), &mut |node| {
        if always.selects(&node) {
            is_found = node.name() == name;
            before += 1;
        }
        !is_found && before < always.limit.get()
    });
    is_found
}

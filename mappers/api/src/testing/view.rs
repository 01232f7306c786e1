//! Reads of a mapper, from the objects in memory.

use std::sync::Arc;

use tenet_translate::rules::Defaults;

use super::Clusters;
use crate::{Bound, HostKey, KeysOf, Kind, Object, ObjectRef, Reading, Side, View, VirtualKey};

impl Clusters {
    fn all(&self, side: Side, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(move |(object_key, _)| object_key.0 == side && object_key.1 == kind.group_kind())
            .map(|(_, object)| object)
    }

    /// Panics when a mapper reads a kind that is none of its inputs: the engine may not watch it.
    fn assert_declared(&self, side: Side, kind: Kind) {
        let Some(spec) = self.spec.as_ref().filter(|_| self.deciding) else { return };
        let is_elsewhere = side == Side::Host && spec.elsewhere.iter().any(|it| it.kind == kind.group_kind());
        let is_declared =
            is_elsewhere || spec.inputs.iter().any(|input| input.side == side && input.kind == kind.group_kind());
        assert!(is_declared, "the mapper {} reads {kind} in the {side} cluster, which is none of its inputs", spec.id);
    }
}

impl View for Clusters {
    fn get(&self, object: &ObjectRef) -> Option<Object> {
        self.assert_declared(object.side, object.kind);
        self.object(object.side, object.kind, &object.namespace, &object.name).cloned()
    }

    fn list(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Object> {
        self.assert_declared(side, kind);
        self.all(side, kind).filter(|object| object.namespace() == namespace).cloned().collect()
    }

    fn last_state(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.gone.get(&(kind.group_kind(), key.clone())).cloned()
    }

    fn visit_sources(&self, input: Bound, key: &VirtualKey, visit: &mut dyn FnMut(Object) -> bool) {
        let keys = self.spec.as_ref().and_then(|spec| spec.inputs.get(input.position)).map(|input| input.keys);
        let Some(KeysOf::With(keys_of)) = keys else { return };
        for object in self.all(input.side, input.kind).filter(|object| keys_of(object).contains(key)) {
            if !visit(object.clone()) {
                return;
            }
        }
    }

    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.referenced.contains(&(kind.group_kind(), key.clone()))
    }

    fn is_mentioned(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.is_referenced(kind, key) || self.mentioned.contains(&(kind.group_kind(), key.clone()))
    }

    fn can_read(&self, side: Side, kind: Kind) -> bool {
        !self.unreadable.contains(&(side, kind.group_kind()))
    }

    fn reading(&self, kind: Kind, namespace: &str) -> Reading {
        let known = self.readings.get(&(kind.group_kind(), namespace.to_owned()));
        known.copied().unwrap_or(Reading::Listed)
    }

    fn defaults(&self, _kind: Kind) -> Arc<Defaults> {
        Arc::clone(&self.defaults)
    }
}

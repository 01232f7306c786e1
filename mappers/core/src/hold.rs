//! Hold on an original whose copy keeps data. A finalizer keeps the original inside until its copy is gone: without it
//! an original that is deleted while no syncer runs would leave no evidence, and its copy would be deleted because the
//! original was not found.

use serde_json::{Value, json};
use tenet_mapper::{
    Cause, Context, CopyMapper, Deletion, Dependency, Effect, Kind, MapError, Object, Outcome, Side, Translate,
    VirtualKey, VirtualPatch,
};

/// Hold on the originals of one kind.
pub(crate) struct Hold {
    pub(crate) kind: Kind,
    pub(crate) finalizer: &'static str,
    /// Description of a copy that belongs to an earlier original of the name, for the error.
    pub(crate) earlier: &'static str,
}

impl Hold {
    /// Carries an original across: held before its copy is made, kept while its delete was not seen. `lost` says what
    /// becomes of an original whose copy is gone, with its data; `None` if there were none, so that a copy is made.
    pub(crate) fn carry<T: Translate>(
        &self,
        cx: &Context<'_>,
        key: &VirtualKey,
        copies: &CopyMapper<T>,
        lost: impl FnOnce(&Object) -> Option<Outcome>,
    ) -> Result<Outcome, MapError> {
        let host_key = cx.host_key(self.kind, key);
        // A copy without an original stays: no delete was seen, and it holds data.
        let Some(virt) = cx.virt(self.kind, key) else { return Ok(Outcome::done()) };
        let host = cx.host(self.kind, &host_key);
        if virt.is_deleting() {
            return Ok(self.end(cx, key, &virt, host.as_ref()));
        }
        let Some(host) = host else {
            if let Some(shown) = lost(&virt) {
                return Ok(shown);
            }
            if self.is_on(&virt) {
                return copies.sync(cx, key, virt, None);
            }
            // One that is refused is not held.
            copies.desired(cx, &virt, None)?;
            return Ok(Outcome::one(self.put(&virt)));
        };
        if cx.owned_by(self.kind, key, &host)?.uid != virt.uid() {
            return Err(MapError::foreign(Side::Host, self.kind, &host, self.earlier));
        }
        if host.is_deleting() {
            return Ok(Outcome::done().wait_for(Dependency::host(self.kind, &host_key)));
        }
        if !self.is_on(&virt) {
            return Ok(Outcome::one(self.put(&virt)));
        }
        copies.sync(cx, key, virt, Some(host))
    }

    /// Returns the last state of the copy of this very original.
    pub(crate) fn last(&self, cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> Option<Object> {
        cx.last_state(self.kind, &cx.host_key(self.kind, key))
            .filter(|last| cx.owned_by(self.kind, key, last).is_ok_and(|owner| owner.uid == virt.uid()))
    }

    /// Returns true if the original is held.
    pub(crate) fn is_on(&self, virt: &Object) -> bool {
        virt.list_at("/metadata/finalizers").iter().any(|finalizer| finalizer == self.finalizer)
    }

    /// Returns the effect that holds an original.
    fn put(&self, virt: &Object) -> Effect {
        let mut all = virt.list_at("/metadata/finalizers").to_vec();
        all.push(json!(self.finalizer));
        Effect::PatchVirtual(self.finalizers(virt, &all))
    }

    /// Returns the cause of what an original shows once its copy is gone. A copy that the cache lacks may exist, with
    /// its data.
    pub(crate) fn gone(&self) -> Cause {
        Cause::TwinAbsent { twin: self.kind }
    }

    /// Ends an original that is being deleted: its copy goes when nothing inside uses the original any more, and the
    /// original when its copy is gone.
    fn end(&self, cx: &Context<'_>, key: &VirtualKey, virt: &Object, host: Option<&Object>) -> Outcome {
        let others = virt.list_at("/metadata/finalizers").iter().any(|finalizer| finalizer != self.finalizer);
        if others || !self.is_on(virt) {
            return Outcome::done();
        }
        let ours = host.filter(|host| cx.owned_by(self.kind, key, host).is_ok_and(|owner| owner.uid == virt.uid()));
        let Some(host) = ours else {
            let freed = self.finalizers(virt, &[]);
            return Outcome::one(Effect::PatchVirtual(if host.is_none() { freed.because(self.gone()) } else { freed }));
        };
        let follow = Deletion::follow(self.kind, host, virt).filter(|_| !host.is_deleting());
        let wait = Dependency::host(self.kind, &cx.host_key(self.kind, key));
        Outcome::done().then_together(follow.map(Effect::Delete)).wait_for(wait)
    }

    fn finalizers(&self, virt: &Object, all: &[Value]) -> VirtualPatch {
        let value = if all.is_empty() { Value::Null } else { json!(all) };
        VirtualPatch::new(self.kind, virt, None, [("/metadata/finalizers", value)])
    }
}

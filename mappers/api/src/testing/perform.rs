//! Effects, performed on the objects in memory as the engine would on the API servers.

use super::{Clusters, server};
use crate::plan::{MintedToken, Payload, PlanContext, Proof, Write};
use crate::{Effect, HostKey, MapError, MintTokens, Object, ObjectRef, Projection, TokenRequest, View, patch, plan};

/// The word `key` in base64, which base64 may follow.
const PRIVATE_KEY: &str = "a2V5";

impl Clusters {
    /// Performs one effect with the requests that the engine would send, and answers with how
    /// many of them changed something, not counting events.
    ///
    /// # Panics
    /// Panics when the engine would refuse the effect: the object is foreign, or not what was seen.
    #[allow(clippy::panic)] // A test kit fails tests.
    #[allow(clippy::needless_pass_by_value)] // An effect is performed once.
    pub fn perform(&mut self, effect: Effect) -> usize {
        self.try_perform(&effect).unwrap_or_else(|error| panic!("{error}: {effect:?}"))
    }

    /// As [`Self::perform`], with the error of the plan.
    pub fn try_perform(&mut self, effect: &Effect) -> Result<usize, MapError> {
        let with_keys = match effect {
            Effect::MintTokens(mint) => Some(Effect::MintTokens(Box::new(with_keys(mint)))),
            _ => None,
        };
        let effect = with_keys.as_ref().unwrap_or(effect);
        let minted = match effect {
            Effect::MintTokens(mint) => mint.tokens.iter().map(|token| self.mint(token)).collect(),
            _ => Vec::new(),
        };
        let target = effect.target();
        let cached = self.object(target.side, target.kind, &target.namespace, &target.name).cloned();
        let cx = PlanContext { facts: &self.facts, projection: &Projection::Whole, minted: &minted };
        let writes = plan::plan(effect, cached.as_ref(), &cx)?;
        if let Some(cached) = &cached
            && let Some(proof) = plan::proof(effect, cached, &self.facts)?
        {
            self.prove(&proof, cached)?;
        }
        let changed: usize = writes.iter().map(|write| usize::from(self.store(effect, write))).sum();
        Ok(if matches!(effect, Effect::Emit(_)) { 0 } else { changed })
    }

    /// Checks what the gate asks the API servers before an effect.
    fn prove(&self, proof: &Proof, written: &Object) -> Result<(), MapError> {
        let (twin, is_there) = match proof {
            Proof::Absent { twin, uid } => {
                (twin, self.get(twin).is_some_and(|found| uid.is_empty() || found.uid() == uid))
            }
            Proof::NoCopy { copy } => {
                let last = self.last_state(copy.kind, &HostKey::new(&*copy.namespace, &*copy.name));
                let is_copy = |found| plan::may_be_copy(&found, written, last.as_ref(), &self.facts);
                (copy, self.get(copy).is_some_and(is_copy))
            }
            Proof::Known { .. } => return Ok(()),
        };
        if is_there { Err(MapError::Conflict(format!("{twin} still exists"))) } else { Ok(()) }
    }

    /// A token that every pod gets.
    fn mint(&self, request: &TokenRequest) -> MintedToken {
        MintedToken { data: "dG9rZW4=".to_owned(), issued: self.now, expires: self.now + request.expiration_seconds }
    }

    /// Returns true if a request changes something.
    fn store(&mut self, effect: &Effect, write: &Write) -> bool {
        let ObjectRef { side, kind, namespace, name } = &write.target;
        let object_key = (*side, kind.group_kind(), namespace.to_string(), name.to_string());
        let found = self.objects.get(&object_key).map(Object::value).cloned();
        let changed = match (effect, &found, &write.payload) {
            (_, _, Payload::Delete(_)) => return self.objects.remove(&object_key).is_some(),
            (Effect::Bind(bind), Some(found), _) => {
                let mut bound = found.clone();
                plan::note_binding(&mut bound, bind);
                Some(bound)
            }
            (_, None, Payload::Create { object, .. }) => Some(object.clone()),
            (_, Some(_), Payload::Create { .. }) | (_, None, _) => None,
            (_, Some(found), payload) => server::change(found, payload),
        };
        let Some(changed) = changed else { return false };
        let differs = found.is_none_or(|found| !patch::same(&found, &changed));
        self.put(*side, changed);
        differs
    }
}

/// Puts the private key that every Secret gets into its files.
fn with_keys(mint: &MintTokens) -> MintTokens {
    let mut mint = mint.clone();
    for key in std::mem::take(&mut mint.keys) {
        mint.files.insert(key.data_key, PRIVATE_KEY.to_owned());
        mint.files.extend(key.joined.map(|(data_key, rest)| (data_key, format!("{PRIVATE_KEY}{rest}"))));
    }
    mint
}

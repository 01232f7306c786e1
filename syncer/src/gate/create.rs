//! Creates, and conflicts with existing objects.

use http::StatusCode;
use tenet_mapper::plan::{Payload, Write};
use tenet_mapper::{Effect, HostKey, MapError, Object, ObjectRef, Side, kinds};

use super::{Done, Gate, Origin, errors};
use crate::api::{ApiError, Target};

impl Gate {
    pub(super) async fn create(
        &self,
        effect: &Effect,
        write: &Write,
        origin: Option<Origin<'_>>,
    ) -> Result<Done, MapError> {
        let ObjectRef { side, kind, namespace, name } = &write.target;
        if (*side, *kind) == (Side::Host, kinds::POD) {
            self.create_locks.free(&HostKey::new(namespace.as_ref(), name.as_ref())).await;
        }
        let mut result = self.write(write).await;
        if let (Err(error), Payload::Create { fallback: Some(fallback), .. }) = (&result, &write.payload)
            && error.code() == Some(StatusCode::UNPROCESSABLE_ENTITY)
        {
            let payload = Payload::Create { object: fallback.clone(), fallback: None };
            result = self.write(&Write { payload, ..write.clone() }).await;
        }
        match result {
            Ok(created) => {
                let dropped = match (effect, &write.payload) {
                    (Effect::ApplyHost(apply), Payload::Create { object, .. }) => self.dropped(apply, object, &created),
                    _ => None,
                };
                self.take(write, None, created, origin);
                if let Some(event) = dropped {
                    self.tell_dropped(&event).await;
                }
                Ok(Done::Wrote)
            }
            Err(error) if error.code() == Some(StatusCode::CONFLICT) => self.meet(effect, write, error).await,
            // A parent such as the host namespace is missing.
            Err(error) if *side == Side::Host && error.code() == Some(StatusCode::NOT_FOUND) => {
                Err(MapError::Rejected(error.to_string()))
            }
            Err(error) => Err(errors::of_write(&write.target, error)),
        }
    }

    /// Handles a name that is taken: by our own create whose answer was lost, by an earlier incarnation, or by a
    /// foreign object. The plan for the existing object decides.
    async fn meet(&self, effect: &Effect, write: &Write, error: ApiError) -> Result<Done, MapError> {
        let ObjectRef { side, kind, namespace, name } = &write.target;
        let Some(found) = self.read(*side, &Target::new(*kind, namespace, name)).await? else {
            return Err(errors::classify(error));
        };
        let projection = self.parts.caches.get(*side, *kind).map(|cache| *cache.projection()).unwrap_or_default();
        let seen = Object::new(projection.cut(found.clone()));
        let writes = match effect {
            // The tokens of the other create are valid too.
            Effect::MintTokens(mint) => {
                self.check_owner(&mint.owner, &seen)?;
                Vec::new()
            }
            effect => self.plan(effect, Some(&seen), &[])?,
        };
        self.ingest(*side, *kind, found);
        match effect {
            // The reconcile that the stored answer triggers applies the differences.
            Effect::ApplyHost(_) => Ok(Done::Unchanged),
            _ if writes.is_empty() => Ok(Done::Unchanged),
            _ => self.change(&writes, Some(&seen), None).await,
        }
    }
}

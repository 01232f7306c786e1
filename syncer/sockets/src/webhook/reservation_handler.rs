//! Handles reservations: gets from the host what a request needs, before it is served.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tenet_mapper::translate::Ownership;
use tenet_mapper::{
    Admission, Context, Deletion, HostKey, Kind, MapError, Need, Object, ObjectRef, Operation, Request, Side,
    VirtualKey,
};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::denial::Denial;
use super::naming;
use super::open_reservations::OpenReservations;
use super::review::Review;
use tenet_syncer::EngineHandle;
use tenet_syncer::Mark;
use tenet_syncer::api::{ApiError, Target};

/// Number of attempts for one request: others may change the host object first.
const ATTEMPTS: usize = 6;
/// Number of locks: requests of one name take turns, and two names rarely share a lock.
const TURNS: usize = 256;

type Values = Vec<(String, Value)>;

/// Handler of reservations.
pub struct ReservationHandler {
    engine: Arc<dyn EngineHandle>,
    turns: Vec<Mutex<()>>,
    hasher: RandomState,
    open: OpenReservations,
    /// Time that a request waits for others when too many are open.
    patience: Duration,
}

/// One request.
struct Case<'c> {
    kind: Kind,
    admission: &'c dyn Admission,
    cx: Context<'c>,
    request: Request,
    host: HostKey,
    dry_run: bool,
}

/// Result of an attempt.
enum Step {
    /// The request takes nothing from the host.
    Free,
    /// It takes the values of this host object.
    From(Object),
    /// The host has changed: look again.
    Again,
}

/// Relation of a host object to a request.
enum Standing {
    /// It is the one that the request is about.
    Ours,
    /// It makes room, or has done so.
    Gone,
    /// The API server will find the request wrong by itself.
    Left,
}

impl ReservationHandler {
    /// Creates a handler.
    pub fn new(engine: Arc<dyn EngineHandle>, open: OpenReservations, patience: Duration) -> Self {
        let turns = (0..TURNS).map(|_| Mutex::new(())).collect();
        Self { engine, turns, hasher: RandomState::new(), open, patience }
    }

    /// Returns the values that the object takes on.
    pub async fn serve(&self, kind: Kind, admission: &dyn Admission, review: &Review) -> Result<Values, Denial> {
        let name = match review.beginning() {
            Some(beginning) => self.free_name(kind, review, beginning)?,
            None => review.name.clone(),
        };
        let (facts, now) = (self.engine.facts(), OffsetDateTime::now_utc().unix_timestamp());
        let view = self.engine.view(kind);
        let cx = Context::new(&*view, &facts, now);
        let host = cx.host_key(kind, &VirtualKey::new(review.namespace.as_str(), name.as_str()));
        let case = Case { kind, admission, request: review.request(&name), host, dry_run: review.dry_run, cx };
        let turn = usize::try_from(self.hasher.hash_one(&case.host)).unwrap_or(0) % TURNS;
        let _turn = self.turns[turn].lock().await;
        let mut values = self.reserve(&case).await?;
        if review.beginning().is_some() && !review.dry_run && !values.is_empty() {
            values.push(("/metadata/name".to_owned(), json!(name)));
        }
        Ok(values)
    }

    /// Returns a name that neither side has.
    fn free_name(&self, kind: Kind, review: &Review, beginning: &str) -> Result<String, Denial> {
        for _ in 0..ATTEMPTS {
            let Some(name) = naming::generate(beginning) else { break };
            let key = VirtualKey::new(review.namespace.as_str(), name.as_str());
            let (view, facts) = (self.engine.view(kind), self.engine.facts());
            let cx = Context::new(&*view, &facts, 0);
            let is_free = cx.virt(kind, &key).is_none() && cx.host(kind, &cx.host_key(kind, &key)).is_none();
            if is_free {
                return Ok(name);
            }
        }
        Err(Denial::busy(kind))
    }

    async fn reserve(&self, case: &Case<'_>) -> Result<Values, Denial> {
        let mut host = case.cx.host(case.kind, &case.host);
        // Only an update needs this read: the create of an existing host object answers AlreadyExists.
        if host.is_none() && case.is_update() {
            host = self.look(case).await?;
        }
        for _ in 0..ATTEMPTS {
            match self.attempt(case, host).await? {
                Step::Free => return Ok(Vec::new()),
                Step::From(host) => return self.take(case, &host).await,
                Step::Again => host = self.look(case).await?,
            }
        }
        Err(Denial::busy(case.kind))
    }

    async fn attempt(&self, case: &Case<'_>, host: Option<Object>) -> Result<Step, Denial> {
        let host = match host {
            None => None,
            Some(host) => match self.standing(case, &host).await? {
                Standing::Ours => Some(host),
                Standing::Gone => return Ok(Step::Again),
                Standing::Left => return Ok(Step::Free),
            },
        };
        let need = case.admission.need(&case.cx, &case.request, host.as_ref());
        match (need.map_err(|error| Denial::of_mapper(&error, case.kind))?, host) {
            (Need::Nothing, _) => Ok(Step::Free),
            (Need::Create(desired), None) => self.create(case, desired).await,
            (Need::Create(_), Some(_)) | (Need::Change(_), None) => Ok(Step::Again),
            (Need::Change(values), Some(host)) if values.is_empty() && case.is_update() => Ok(Step::From(host)),
            (Need::Change(values), Some(host)) => self.extend(case, &host, &values).await,
            (Need::Other, host) => self.replace(case, host.as_ref()).await,
        }
    }

    /// Finds out to whom a host object belongs, and what follows.
    async fn standing(&self, case: &Case<'_>, host: &Object) -> Result<Standing, Denial> {
        let Ownership::Ours(owner) = case.cx.ownership(host) else { return Err(Denial::taken(case.kind)) };
        let object = &case.request.object;
        if owner.kind != case.kind || (&*owner.namespace, &*owner.name) != (object.namespace(), object.name()) {
            return Err(Denial::taken(case.kind));
        }
        if host.is_deleting() {
            return self.gone(case, host).await;
        }
        if owner.is_reservation() || (case.is_update() && owner.uid == case.request.object.uid()) {
            return Ok(Standing::Ours);
        }
        if case.dry_run || (!case.is_update() && self.virtual_exists(case).await?) {
            return Ok(Standing::Left);
        }
        // An earlier one of the name; that it is gone is proved before its host object goes.
        match self.engine.delete(Deletion::orphan(case.kind, host, case.kind)).await {
            Ok(_) => self.gone(case, host).await,
            Err(MapError::Conflict(_)) => Ok(Standing::Gone),
            Err(error) => Err(Denial::of_mapper(&error, case.kind)),
        }
    }

    /// Checks that a deleted host object is gone: a finalizer may hold it.
    async fn gone(&self, case: &Case<'_>, host: &Object) -> Result<Standing, Denial> {
        match self.look(case).await? {
            Some(found) if found.uid() == host.uid() && found.is_deleting() => {
                if !case.is_update() && self.virtual_exists(case).await? {
                    return Ok(Standing::Left);
                }
                Err(Denial::leaving(case.kind))
            }
            _ => Ok(Standing::Gone),
        }
    }

    async fn create(&self, case: &Case<'_>, desired: Value) -> Result<Step, Denial> {
        if case.dry_run {
            return case.written(self.engine.reserve(case.kind, &case.host, desired, &case.mark()).await);
        }
        let is_open = |kind, host: &HostKey| self.is_open(kind, host);
        let slot = self.open.enter(case.kind, &case.host, self.patience, is_open).await;
        let _slot = slot.ok_or_else(|| Denial::crowded(case.kind, self.open.most()))?;
        case.written(self.engine.reserve(case.kind, &case.host, desired, &case.mark()).await)
    }

    /// Returns true if a host object still waits for the object that it was made for.
    fn is_open(&self, kind: Kind, host: &HostKey) -> bool {
        let found = self.engine.view(kind).get(&ObjectRef::host(kind, host));
        found.is_some_and(|found| {
            self.engine.facts().ownership(&found).ours().is_some_and(|owner| owner.is_reservation())
        })
    }

    async fn extend(&self, case: &Case<'_>, host: &Object, values: &[(String, Value)]) -> Result<Step, Denial> {
        let changed = self.engine.extend(case.kind, host, values, &case.mark()).await;
        case.written(changed)
    }

    /// Deletes a reservation that was made for another request, once that has failed.
    async fn replace(&self, case: &Case<'_>, host: Option<&Object>) -> Result<Step, Denial> {
        let Some(host) = host else { return Ok(Step::Again) };
        let (Ownership::Ours(_), Some(reservation)) = (case.cx.ownership(host), case.cx.reservation(host)) else {
            return Ok(Step::Free);
        };
        if self.virtual_exists(case).await? {
            return Ok(Step::Free);
        }
        if case.cx.now() < reservation.until {
            return Err(Denial::contended(case.kind, reservation.until - case.cx.now()));
        }
        if case.dry_run {
            return Ok(Step::Free);
        }
        match self.engine.delete(Deletion::lapsed(case.kind, host)).await {
            Ok(_) | Err(MapError::Conflict(_)) => Ok(Step::Again),
            Err(error) => Err(Denial::of_mapper(&error, case.kind)),
        }
    }

    /// Returns the values that the object takes on. A reservation of which the virtual API server cannot take the
    /// values is deleted.
    async fn take(&self, case: &Case<'_>, host: &Object) -> Result<Values, Denial> {
        let error = match case.admission.answer(&case.cx, &case.request, host) {
            Ok(values) => return Ok(values),
            Err(error) => error,
        };
        if let (Some(_), Ownership::Ours(owner)) = (case.cx.reservation(host), case.cx.ownership(host))
            && owner.is_reservation()
            && !case.dry_run
            && let Err(error) = self.engine.delete(Deletion::lapsed(case.kind, host)).await
        {
            tracing::debug!(kind = %case.kind, host = %case.host, %error, "cannot delete a reservation before it lapses");
        }
        Err(Denial::of_mapper(&error, case.kind))
    }

    async fn look(&self, case: &Case<'_>) -> Result<Option<Object>, Denial> {
        let target = Target::new(case.kind, case.host.namespace(), case.host.name());
        let found = self.engine.read(Side::Host, &target).await;
        found.map(|found| found.map(Object::new)).map_err(|_| Denial::silent())
    }

    async fn virtual_exists(&self, case: &Case<'_>) -> Result<bool, Denial> {
        let object = &case.request.object;
        let target = Target::new(case.kind, object.namespace(), object.name());
        let found = self.engine.read(Side::Virtual, &target).await;
        found.map(|found| found.is_some()).map_err(|error| Denial::of_mapper(&error, case.kind))
    }
}

impl Case<'_> {
    fn is_update(&self) -> bool {
        self.request.operation == Operation::Update
    }

    fn written(&self, answer: Result<Value, ApiError>) -> Result<Step, Denial> {
        match answer {
            // The address in the answer to a dry run is never assigned, so it is not used.
            Ok(_) if self.dry_run => Ok(Step::Free),
            Ok(object) => Ok(Step::From(Object::new(object))),
            Err(error) if error.is_lost_race() || error.is_object_absent() => Ok(Step::Again),
            Err(error) => {
                tracing::debug!(kind = %self.kind, host = %self.host, %error, "the host rejected a reservation");
                Err(Denial::of_host(&error, self.kind, &self.request.object, &self.host))
            }
        }
    }

    fn mark(&self) -> Mark<'_> {
        Mark { since: self.cx.now(), over: self.request.old.as_ref(), dry_run: self.dry_run }
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::translate::OwnerRecord;
    use tenet_mapper::{Object, Scope, kinds};

    use super::*;
    use crate::fake_engine::FakeEngine;

    /// Needs an object on the host, and takes nothing of it.
    struct Plain;

    impl Admission for Plain {
        fn scope(&self) -> Scope {
            Scope { updates: false, conditions: Vec::new() }
        }

        fn need(&self, cx: &Context<'_>, request: &Request, host: Option<&Object>) -> Result<Need, MapError> {
            let key = VirtualKey::new(request.object.namespace(), request.object.name());
            let create = || {
                let metadata = cx.metadata(kinds::SERVICE, &request.object, &cx.host_key(kinds::SERVICE, &key));
                Need::Create(json!({ "metadata": metadata }))
            };
            Ok(host.map_or_else(create, |_| Need::Change(Vec::new())))
        }

        fn answer(&self, _: &Context<'_>, _: &Request, _: &Object) -> Result<Values, MapError> {
            Ok(Vec::new())
        }
    }

    fn create(name: &str, dry_run: bool) -> Review {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "userInfo": {"username": "jane"}, "operation": "CREATE", "namespace": "shop", "name": name,
            "kind": {"group": "", "version": "v1", "kind": "Service"}, "dryRun": dry_run,
            "resource": {"group": "", "version": "v1", "resource": "services"},
            "object": {"metadata": {"name": name}}, "oldObject": null,
        }});
        Review::read(body.to_string().as_bytes(), kinds::SERVICE).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_beyond_the_open_reservations_is_denied_until_one_is_adopted() {
        let engine = Arc::<FakeEngine>::default();
        let open = OpenReservations::new(2);
        let handler = ReservationHandler::new(Arc::<FakeEngine>::clone(&engine), open, Duration::from_secs(4));
        let serve = async |name: &str, dry_run| handler.serve(kinds::SERVICE, &Plain, &create(name, dry_run)).await;
        for name in ["a", "b"] {
            assert_eq!(serve(name, false).await, Ok(Vec::new()));
        }
        let denial = serve("c", false).await.unwrap_err();
        assert_eq!((denial.code, denial.class), (429, "crowded"));
        assert!(denial.message.ends_with("as many as this cluster may have; try again in some seconds"));
        assert_eq!(serve("c", true).await, Ok(Vec::new()), "a dry run reserves nothing");

        let host = HostKey::new("team-a", "a-x-shop-x-vc-1");
        let mut adopted =
            engine.view(kinds::SERVICE).get(&ObjectRef::host(kinds::SERVICE, &host)).unwrap().value().clone();
        let record = engine.facts().ownership(&Object::new(adopted.clone())).ours().unwrap();
        let stored = OwnerRecord { uid: "stored".to_owned(), ..record };
        for (key, value) in stored.annotations("team-a", "a-x-shop-x-vc-1") {
            adopted["metadata"]["annotations"][key] = value;
        }
        engine.sees(Side::Host, kinds::SERVICE, adopted);
        assert_eq!(serve("c", false).await, Ok(Vec::new()));
    }
}

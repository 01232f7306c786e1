//! Requests of the gate: within the limits, while this replica may write, and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tenet_mapper::{MapError, Side};
use tokio::time::Instant;

use super::limiter::{Class, Limiter, Verdict};
use super::{Gate, errors};
use crate::api::{Api, ApiError, Target};

impl Gate {
    pub(super) fn limiter(&self, side: Side) -> &Arc<Limiter> {
        &self.limiters[usize::from(side == Side::Host)]
    }

    pub(super) fn api(&self, side: Side) -> &Api {
        match side {
            Side::Virtual => &self.parts.virt,
            Side::Host => &self.parts.host,
        }
    }

    /// Sends a request within the limit of its side, and counts the answer. A write is sent only while the claim agrees
    /// and this replica may write.
    pub(super) async fn send<'g, F, R, T>(
        &'g self,
        side: Side,
        class: Class,
        verb: &str,
        request: F,
    ) -> Result<T, ApiError>
    where
        F: FnOnce(&'g Api, Duration) -> R,
        R: Future<Output = Result<T, ApiError>>,
    {
        let is_write = !matches!(verb, "get" | "list");
        if is_write {
            self.pace(class == Class::Spare).await;
        }
        let limiter = self.limiter(side);
        let _permit = limiter.enter(class).await;
        if is_write {
            self.parts.claim.check()?;
        }
        // After the wait for a slot, so that the permission is as fresh as can be.
        let writing = is_write.then(|| self.parts.hold.enter(Instant::now()));
        if matches!(writing, Some(None)) {
            return Err(ApiError::NotHeld);
        }
        let start = Instant::now();
        let result = request(self.api(side), Duration::from_millis(self.limit.load(Ordering::Relaxed))).await;
        let code = match &result {
            Ok(_) => "2xx".to_owned(),
            Err(error) => error.code().map_or_else(|| "none".to_owned(), |code| code.as_u16().to_string()),
        };
        self.parts.metrics.requested(side, verb, &code, start.elapsed());
        if is_write && !matches!(&result, Err(error) if error.code().is_some()) {
            self.parts.claim.note_write();
        }
        let verdict = verdict(&result);
        if matches!(verdict, Verdict::Overloaded(_)) {
            self.parts.metrics.throttle(side);
        }
        limiter.learn(verdict, self.parts.runtime.random());
        result
    }

    /// Sends a request as [`Self::send`] does, with the error class that decides the retry.
    pub(super) async fn call<'g, F, R>(
        &'g self,
        side: Side,
        class: Class,
        verb: &str,
        request: F,
    ) -> Result<Value, MapError>
    where
        F: FnOnce(&'g Api, Duration) -> R,
        R: Future<Output = Result<Value, ApiError>>,
    {
        self.send(side, class, verb, request).await.map_err(errors::classify)
    }

    /// Reads an object from a quorum.
    pub(crate) async fn read(&self, side: Side, target: &Target<'_>) -> Result<Option<Value>, MapError> {
        match self.send(side, Class::Spare, "get", |api, limit| api.get_whole(target, limit)).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_object_absent() => Ok(None),
            Err(error) => Err(errors::classify(error)),
        }
    }
}

/// Load of the server as an answer shows it. A failing webhook, a timeout or a slow answer concerns one request.
fn verdict<T>(result: &Result<T, ApiError>) -> Verdict {
    match result {
        Err(ApiError::Status { code: StatusCode::TOO_MANY_REQUESTS, retry_after, .. }) => {
            Verdict::Overloaded(*retry_after)
        }
        Err(ApiError::Status { code: StatusCode::SERVICE_UNAVAILABLE, retry_after: Some(pause), .. }) => {
            Verdict::Overloaded(Some(*pause))
        }
        _ => Verdict::Served,
    }
}

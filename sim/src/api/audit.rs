//! Audit log: every request that may have written.

use std::sync::Arc;

use serde_json::Value;
use tenet_mapper::Kind;
use time::OffsetDateTime;

use super::object::Object;
use super::request::Verb;

/// One request that may have written, and its outcome.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// The version of the store after the request.
    pub version: u64,
    /// The time of the request.
    pub time: OffsetDateTime,
    /// User who sent it.
    pub user: String,
    /// Action.
    pub verb: Verb,
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace of the object; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
    /// UID of the object; empty when there is none.
    pub uid: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// Reason of an error; empty for success.
    pub reason: &'static str,
    /// True for a dry run.
    pub is_dry_run: bool,
    /// True if anything was stored or removed.
    pub is_changed: bool,
    /// Body of the request.
    pub body: Value,
    /// The object before the request.
    pub before: Option<Arc<Object>>,
    /// The object after the request.
    pub after: Option<Arc<Object>>,
}

use std::collections::BTreeSet;
use std::time::Duration;

use tenet_translate::keys::MANAGED_BY;
use tenet_translate::rules::Refusal;
use thiserror::Error;

use crate::{Kind, Object, Read, Side, VirtualKey};

/// Reason why a reconcile could not bring an object across. The class decides what the engine
/// does next; a mapper never sleeps and never loops.
///
/// ```
/// use tenet_mapper::MapError;
///
/// let error = MapError::refused("spec.size", "is too large");
/// assert_eq!((error.class(), error.to_string().as_str()), ("refused", "spec.size: is too large"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The object may not cross. The tenant gets an event; nothing is tried again until
    /// the object or the configuration changes.
    #[error("{}", join(.0))]
    Refused(Vec<Refusal>),

    /// A foreign object has the name of ours. It is never touched; the tenant gets an event; tried again with growing
    /// delays, from 10 seconds to 5 minutes, and when the object under the name of the copy changes, if a stream of the
    /// syncer shows it: most select the objects that carry its label.
    #[error("{object} belongs to somebody else: {why}")]
    Foreign {
        /// The foreign object: kind, namespace, name, and the side.
        object: String,
        /// Defect of its owner record.
        why: String,
    },

    /// Content that the caches do not hold is needed: see [`crate::Context::content`]. The
    /// engine reads it and reconciles again.
    #[error("needs the content of {} objects", .0.len())]
    NeedsContent(BTreeSet<Read>),

    /// The API refused what we wrote (invalid, forbidden). The tenant gets an
    /// event; tried again with growing delays.
    #[error("{0}")]
    Rejected(String),

    /// A quota of the host has no room. The tenant gets an event; tried again when another object of the kind
    /// has found room, and every few seconds for one of those that wait.
    #[error("{message}")]
    QuotaExceeded {
        /// Name of the `ResourceQuota`.
        quota: String,
        /// The server's words.
        message: String,
    },

    /// The cached state was older than the cluster. Tried again at once, with the state that was read since.
    #[error("conflict: {0}")]
    Conflict(String),

    /// The API did not answer, or asked for patience. Tried again with growing delays.
    #[error("{reason}")]
    Transient {
        /// Cause.
        reason: String,
        /// The delay that the server asked for.
        after: Option<Duration>,
    },

    /// Writes are suspended: the claim of the two clusters does not agree. Tried again when it does.
    #[error("writes are suspended: {0}")]
    Suspended(String),

    /// A configuration section or a cached object does not have the shape that the mapper needs, or the mapper has a
    /// defect. The tenant gets an event; tried again with growing delays.
    #[error("{0}")]
    Malformed(String),
}

impl MapError {
    /// An object that belongs to somebody else.
    ///
    /// ```
    /// use tenet_mapper::{MapError, Object, Side, kinds};
    /// use serde_json::json;
    ///
    /// let pod = Object::new(json!({"metadata": {"namespace": "team-a", "name": "web"}}));
    /// assert_eq!(
    ///     MapError::foreign(Side::Host, kinds::POD, &pod, "it carries no owner record").to_string(),
    ///     "Pod team-a/web on the host belongs to somebody else: it carries no owner record"
    /// );
    /// ```
    pub fn foreign(side: Side, kind: Kind, object: &Object, why: impl Into<String>) -> Self {
        let place = if side == Side::Host { "on the host" } else { "in the virtual cluster" };
        let key = VirtualKey::new(object.namespace(), object.name());
        Self::Foreign { object: format!("{kind} {key} {place}"), why: why.into() }
    }

    /// A virtual object under the name of a picture, which the syncer has not made.
    ///
    /// ```
    /// use tenet_mapper::{MapError, Object, kinds};
    /// use serde_json::json;
    ///
    /// let node = Object::new(json!({"metadata": {"name": "worker-1"}}));
    /// assert_eq!(
    ///     MapError::not_made(kinds::NODE, &node).to_string(),
    ///     "Node worker-1 in the virtual cluster belongs to somebody else: it lacks the label tenet.sh/managed-by"
    /// );
    /// ```
    pub fn not_made(kind: Kind, virt: &Object) -> Self {
        Self::foreign(Side::Virtual, kind, virt, format!("it lacks the label {MANAGED_BY}"))
    }

    /// A refusal of one field.
    ///
    /// ```
    /// use tenet_mapper::MapError;
    ///
    /// assert_eq!(MapError::refused("spec.size", "is too large").class(), "refused");
    /// ```
    pub fn refused(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused(vec![Refusal { field: field.into(), why: why.into() }])
    }

    /// A short word for metrics and logs.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Foreign { .. } => "foreign",
            Self::NeedsContent(_) => "needs_content",
            Self::Rejected(_) => "rejected",
            Self::QuotaExceeded { .. } => "quota",
            Self::Conflict(_) => "conflict",
            Self::Transient { .. } => "transient",
            Self::Suspended(_) => "suspended",
            Self::Malformed(_) => "malformed",
        }
    }
}

fn join(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

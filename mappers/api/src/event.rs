//! Events on virtual objects.

use crate::{Kind, Object, VirtualKey};

/// Type of an [`Event`].
///
/// ```
/// use tenet_mapper::EventType;
///
/// assert_ne!(EventType::Normal, EventType::Warning);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Good to know.
    Normal,
    /// Something does not work.
    Warning,
}

/// Reason of an [`Event`].
///
/// ```
/// use tenet_mapper::EventReason;
///
/// assert_eq!(EventReason::Refused.as_str(), "SyncRefused");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventReason {
    /// The object may not cross.
    Refused,
    /// A foreign object has the name of its copy.
    Blocked,
    /// The host's API server does not accept it.
    Rejected,
    /// It waits for another object, for longer than usual.
    Waiting,
    /// It crossed, but not as the tenant may expect.
    Degraded,
    /// The syncer changed it.
    Changed,
    /// It was stored without the values of the host, and has them now.
    Repaired,
    /// Deletes of its kind wait, because unusually many objects have lost their counterpart.
    Paused,
    /// Nothing is written: a store was restored, and a person has to decide.
    Suspended,
}

impl EventReason {
    /// The reason as events carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "SyncRefused",
            Self::Blocked => "SyncBlocked",
            Self::Rejected => "SyncRejected",
            Self::Waiting => "SyncWaiting",
            Self::Degraded => "SyncDegraded",
            Self::Changed => "SyncChanged",
            Self::Repaired => "SyncRepaired",
            Self::Paused => "SyncPaused",
            Self::Suspended => "SyncSuspended",
        }
    }
}

/// An event on a virtual object.
///
/// ```
/// use tenet_mapper::{Effect, Event, EventReason, Object, kinds};
///
/// fn tell(pod: &Object, message: &str) -> Effect {
///     Effect::Emit(Event::warning(kinds::POD, pod, EventReason::Degraded, message))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    /// The kind of the object.
    pub kind: Kind,
    /// The object.
    pub key: VirtualKey,
    /// Its UID.
    pub uid: String,
    /// The reason.
    pub reason: EventReason,
    /// `Normal` or `Warning`.
    pub event_type: EventType,
    /// A sentence for the tenant.
    pub message: String,
}

impl Event {
    /// A warning about a virtual object.
    pub fn warning(kind: Kind, virt: &Object, reason: EventReason, message: impl Into<String>) -> Self {
        Self {
            kind,
            key: VirtualKey::new(virt.namespace(), virt.name()),
            uid: virt.uid().to_owned(),
            reason,
            event_type: EventType::Warning,
            message: message.into(),
        }
    }
}

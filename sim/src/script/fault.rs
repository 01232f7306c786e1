//! Faults of a script.

use super::Side;

/// Moment at which a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After that many polls of its tasks.
    Poll(u64),
    /// Before the n-th write is applied.
    BeforeWrite(u64),
    /// After the n-th write was applied, and before its answer.
    AfterWrite(u64),
    /// Before the n-th request of any kind.
    Request(u64),
}

/// Mistake in the configuration of a second syncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Another namespace of the host.
    Namespace,
    /// Host and virtual cluster are swapped.
    Swapped,
    /// Another name of the virtual cluster.
    Name,
}

/// Requests that a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Writes.
    Writes,
    /// Reads of single objects.
    Reads,
    /// Lists.
    Lists,
    /// Starts of watches.
    Watches,
}

/// A kind of fault with its parameters. `share` is the percentage of requests that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The syncer is killed, and starts again after the length of the fault.
    Crash(Moment),
    /// The syncer is told to stop, and starts again after the length of the fault.
    Stop,
    /// Answers with an error.
    Status {
        /// The side.
        side: Side,
        /// Requests.
        scope: Scope,
        /// The HTTP status.
        code: u16,
        /// Seconds that the server asks to wait; 0 for none.
        retry_after: u32,
        /// Percentage of requests.
        share: u64,
    },
    /// Requests are lost: the connection is reset before they arrive.
    Drop(Side, u64),
    /// Answers are lost: the connection is reset after the request was applied.
    LostAnswer(Side, u64),
    /// Requests hang, and never arrive.
    Hang(Side, u64),
    /// Answers hang: the request was applied.
    HangAnswer(Side, u64),
    /// Answers come up to so many milliseconds late: watches may tell of later changes before.
    LateAnswer(Side, u64, u64),
    /// Requests arrive twice.
    Twice(Side, u64),
    /// Requests take up to so many milliseconds to arrive, and arrive after the client has given up too.
    Late(Side, u64, u64),
    /// Every watch ends.
    Cut(Side),
    /// Watches tell nothing, and their connection is reset at the end.
    Silence(Side),
    /// Events of watches come so many milliseconds late.
    Slow(Side, u64),
    /// So many events are lost.
    Swallow(Side, u64),
    /// Lists show the state of so many versions before.
    Stale(Side, u64),
    /// Watches cannot resume: the history is forgotten.
    Compact(Side),
    /// The same, by a server that refuses such a watch with 410 instead of telling it as an event.
    Expire(Side),
    /// The store is restored from a backup that is so many milliseconds old.
    Rewind(Side, u64),
    /// The cluster is replaced by an empty one.
    Replace(Side),
    /// The syncer stands still, and goes on after the length of the fault.
    Freeze,
    /// A second syncer with the same configuration runs.
    Second,
    /// A second syncer with a wrong configuration runs.
    Wrong(Wiring),
}

/// A fault at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Milliseconds after the start.
    pub at: u64,
    /// Milliseconds that it lasts.
    pub length: u64,
    /// Seed of what it hits.
    pub seed: u64,
    /// The fault.
    pub fault: Fault,
}

impl Fault {
    /// The kinds of faults, as the coverage counts them.
    pub const KINDS: [&'static str; 30] = [
        "crash at a poll",
        "crash before a write",
        "crash after a write",
        "crash at a request",
        "stop",
        "429",
        "5xx",
        "401, 403, 404 or 410",
        "lost request",
        "lost answer",
        "hanging request",
        "hanging answer",
        "late answer",
        "duplicated request",
        "late request",
        "cut watches",
        "silent watches",
        "slow watches",
        "lost event",
        "stale list",
        "compaction",
        "compaction answered with 410",
        "rewind",
        "replacement",
        "freeze",
        "second syncer",
        "wrong namespace",
        "swapped clusters",
        "wrong name",
        "hostile writer",
    ];

    /// The kind of the fault.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crash(Moment::Poll(_)) => "crash at a poll",
            Self::Crash(Moment::BeforeWrite(_)) => "crash before a write",
            Self::Crash(Moment::AfterWrite(_)) => "crash after a write",
            Self::Crash(Moment::Request(_)) => "crash at a request",
            Self::Stop => "stop",
            Self::Status { code: 429, .. } => "429",
            Self::Status { code: 500.., .. } => "5xx",
            Self::Status { .. } => "401, 403, 404 or 410",
            Self::Drop(..) => "lost request",
            Self::LostAnswer(..) => "lost answer",
            Self::Hang(..) => "hanging request",
            Self::HangAnswer(..) => "hanging answer",
            Self::LateAnswer(..) => "late answer",
            Self::Twice(..) => "duplicated request",
            Self::Late(..) => "late request",
            Self::Cut(_) => "cut watches",
            Self::Silence(_) => "silent watches",
            Self::Slow(..) => "slow watches",
            Self::Swallow(..) => "lost event",
            Self::Stale(..) => "stale list",
            Self::Compact(_) => "compaction",
            Self::Expire(_) => "compaction answered with 410",
            Self::Rewind(..) => "rewind",
            Self::Replace(_) => "replacement",
            Self::Freeze => "freeze",
            Self::Second => "second syncer",
            Self::Wrong(Wiring::Namespace) => "wrong namespace",
            Self::Wrong(Wiring::Swapped) => "swapped clusters",
            Self::Wrong(Wiring::Name) => "wrong name",
        }
    }
}

//! Faults of the network between the syncer and the API servers, from a seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::random::Random;

/// Share of requests with a fault, in percent.
const FAULTY_REQUESTS: u64 = 6;
/// Share of watches with a fault, in percent.
const FAULTY_WATCHES: u64 = 40;

/// Fault of one request that is not a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFault {
    /// The connection closes before the request reaches the server.
    Drop,
    /// The connection closes after the server has performed the request.
    LoseAnswer,
    /// The request waits.
    Delay(Duration),
    /// The body of the answer ends in the middle.
    Truncate,
    /// The server gets the request twice.
    Duplicate,
    /// The server refuses the request.
    Refuse(StatusCode),
}

/// Fault of one watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchFault {
    /// The connection closes after this time.
    Cut(Duration),
    /// After this time the connection stays open and brings nothing.
    Silent(Duration),
    /// The event with this number, from 0, is missing.
    Swallow(u64),
}

/// State shared by both proxies.
pub(super) struct Network {
    random: Mutex<Random>,
    counts: Mutex<BTreeMap<String, u64>>,
    is_faulty: AtomicBool,
    healed: CancellationToken,
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Mutex::new(Random::of(seed, "network")),
            counts: Mutex::default(),
            is_faulty: AtomicBool::new(false),
            healed: CancellationToken::new(),
        }
    }

    /// Starts the faults, or ends them for good.
    pub(super) fn set_faulty(&self, is_faulty: bool) {
        self.is_faulty.store(is_faulty, Ordering::Relaxed);
        if !is_faulty {
            self.healed.cancel();
        }
    }

    /// Returns a token that is cancelled when the faults end. Silent connections close then.
    pub(super) fn healed(&self) -> CancellationToken {
        self.healed.clone()
    }

    /// Returns the number of faults of each kind.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().clone()
    }

    /// Counts a fault that took effect.
    pub(super) fn count(&self, kind: &str) {
        *self.counts.lock().entry(kind.to_owned()).or_default() += 1;
    }

    /// Returns the fault of the next request.
    pub(super) fn request_fault(&self) -> Option<RequestFault> {
        let fault = self.is_faulty().then(|| draw_request(&mut self.random.lock())).flatten()?;
        self.count(match fault {
            RequestFault::Drop => "request dropped",
            RequestFault::LoseAnswer => "answer lost",
            RequestFault::Delay(_) => "request delayed",
            RequestFault::Truncate => "answer truncated",
            RequestFault::Duplicate => "request duplicated",
            RequestFault::Refuse(StatusCode::TOO_MANY_REQUESTS) => "refused with 429",
            RequestFault::Refuse(StatusCode::INTERNAL_SERVER_ERROR) => "refused with 500",
            RequestFault::Refuse(_) => "refused with 503",
        });
        Some(fault)
    }

    /// Returns the fault of the next watch. It is counted when it takes effect.
    pub(super) fn watch_fault(&self) -> Option<WatchFault> {
        self.is_faulty().then(|| draw_watch(&mut self.random.lock())).flatten()
    }

    fn is_faulty(&self) -> bool {
        self.is_faulty.load(Ordering::Relaxed)
    }
}

fn draw_request(random: &mut Random) -> Option<RequestFault> {
    if !random.chance(FAULTY_REQUESTS) {
        return None;
    }
    Some(match random.below(8) {
        0 => RequestFault::Drop,
        1 => RequestFault::LoseAnswer,
        2 => RequestFault::Delay(random.millis(20, 4_000)),
        3 => RequestFault::Truncate,
        4 => RequestFault::Duplicate,
        5 => RequestFault::Refuse(StatusCode::TOO_MANY_REQUESTS),
        6 => RequestFault::Refuse(StatusCode::INTERNAL_SERVER_ERROR),
        _ => RequestFault::Refuse(StatusCode::SERVICE_UNAVAILABLE),
    })
}

fn draw_watch(random: &mut Random) -> Option<WatchFault> {
    if !random.chance(FAULTY_WATCHES) {
        return None;
    }
    Some(match random.below(5) {
        0 | 1 => WatchFault::Cut(random.millis(0, 30_000)),
        2 => WatchFault::Silent(random.millis(0, 20_000)),
        _ => WatchFault::Swallow(random.below(8)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_faults_and_each_kind_comes() {
        let draw = || {
            let mut random = Random::of(7, "network");
            (0..4_000).map(|_| draw_request(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        let network = Network::new(7);
        assert_eq!((network.request_fault(), network.watch_fault()), (None, None), "not faulty yet");
        network.set_faulty(true);
        for _ in 0..4_000 {
            network.request_fault();
        }
        assert_eq!(network.counts().len(), 8, "{:?}", network.counts());
    }
}

use tenet_translate::digest::digest;
use tenet_translate::keys::{PENDING, PENDING_OVER};

use crate::{Context, Object};

/// The mark on a host object that was made or changed for a request which the virtual API
/// server had not served then.
///
/// ```
/// use tenet_mapper::{Context, Object};
///
/// fn is_waited_for(cx: &Context<'_>, host: &Object) -> bool {
///     cx.reservation(host).is_some_and(|reservation| cx.now() < reservation.until)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Time at which the request is over for sure, in unix seconds: served or failed.
    pub until: i64,
    over: Option<String>,
}

impl Reservation {
    /// Digest of the state before an update, as stored in the mark.
    pub fn base(old: &Object) -> String {
        old.at("/spec").map(digest).unwrap_or_default()
    }

    /// Returns true if the virtual object is what the request makes of it, or something later.
    pub fn has_arrived(&self, virt: &Object) -> bool {
        self.over.as_ref().is_none_or(|over| *over != Self::base(virt))
    }
}

impl Context<'_> {
    /// The reservation that a host object is, if it is one.
    pub fn reservation(&self, host: &Object) -> Option<Reservation> {
        let since = host.annotation(PENDING)?;
        // An unreadable mark counts as over: every consequence is proved by a quorum read.
        let since = since.parse::<i64>().unwrap_or(0).min(self.now());
        let over = host.annotation(PENDING_OVER).map(str::to_owned);
        Some(Reservation { until: since.saturating_add(self.facts().reservation), over })
    }
}

//! Rotation of authorities. The next one is published long before it signs, so
//! that a client which trusts the bundle never sees a certificate of an unknown authority.

use time::OffsetDateTime;

use super::authority::{Authority, AuthorityError};

/// Age at which an authority gets a successor, in percent of its lifetime.
const ANNOUNCE: i64 = 70;
/// Age at which the successor takes over.
const HAND_OVER: i64 = 80;

/// The authorities of one syncer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The one that signs.
    pub(super) current: Authority,
    /// The one that will.
    pub(super) next: Option<Authority>,
    /// The certificate of the one that did, while certificates of its may still be served.
    pub(super) previous: Option<String>,
}

impl Chain {
    pub(super) fn new(name: &str, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        Ok(Self { current: Authority::new(name, now)?, next: None, previous: None })
    }

    /// Returns the next state, if a step is due now.
    pub(super) fn step(&self, name: &str, now: OffsetDateTime) -> Result<Option<Self>, AuthorityError> {
        let validity = self.current.validity()?;
        let seconds = now.unix_timestamp();
        let age = validity.age(seconds);
        let ended = |pem: &String| super::authority::validity(pem).is_ok_and(|validity| validity.until <= seconds);
        match &self.next {
            // There was no rotation in time, so there is nothing left to keep.
            None if validity.until <= seconds => Self::new(name, now).map(Some),
            None if age >= ANNOUNCE => Ok(Some(Self { next: Some(Authority::new(name, now)?), ..self.clone() })),
            Some(next) if age >= HAND_OVER => {
                Ok(Some(Self { current: next.clone(), next: None, previous: Some(self.current.certificate.clone()) }))
            }
            _ if self.previous.as_ref().is_some_and(ended) => Ok(Some(Self { previous: None, ..self.clone() })),
            _ => Ok(None),
        }
    }

    /// Returns all certificates that clients should trust, as PEM.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| &next.certificate);
        let all = [Some(&self.current.certificate), next, self.previous.as_ref()];
        all.into_iter().flatten().map(|pem| pem.trim_end().to_owned() + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::authority::AUTHORITY_LIFETIME;
    use super::*;

    fn at(start: OffsetDateTime, percent: i32) -> OffsetDateTime {
        // The certificate begins an hour early, for clocks that are behind.
        start + AUTHORITY_LIFETIME * percent / 100 + Duration::minutes(1)
    }

    #[test]
    fn a_successor_is_published_before_it_signs_and_the_predecessor_stays_trusted() {
        let start = OffsetDateTime::now_utc();
        let first = Chain::new("vc-1", start).unwrap();
        assert_eq!(first.step("vc-1", at(start, 69)).unwrap(), None);

        let announced = first.step("vc-1", at(start, 71)).unwrap().unwrap();
        assert_eq!(announced.current, first.current);
        assert_eq!(announced.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!(announced.step("vc-1", at(start, 75)).unwrap(), None);

        let handed = announced.step("vc-1", at(start, 81)).unwrap().unwrap();
        assert_eq!(Some(&handed.current), announced.next.as_ref());
        assert!(handed.bundle().contains(first.current.certificate.trim_end()));
        assert_eq!(handed.step("vc-1", at(start, 90)).unwrap(), None);

        let settled = handed.step("vc-1", at(start, 101)).unwrap().unwrap();
        assert_eq!(settled, Chain { previous: None, ..handed });
    }

    #[test]
    fn an_authority_that_has_ended_is_replaced_at_once() {
        let start = OffsetDateTime::now_utc();
        let first = Chain::new("vc-1", start - AUTHORITY_LIFETIME - Duration::days(1)).unwrap();
        let second = first.step("vc-1", start).unwrap().unwrap();
        assert_ne!(second.current, first.current);
        assert_eq!(second.step("vc-1", start).unwrap(), None);
    }
}

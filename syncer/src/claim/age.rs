//! Age of the stores: a store that is older than it was seen before was restored from a backup.
//!
//! A quorum read returns a revision that is not lower than any that was seen before the read began, whichever API
//! server answers. So one lower revision is enough, also when later writes exceed it again. It is kept until both
//! halves of the claim record it, or a person has decided.

use tenet_mapper::Side;

use super::{Claim, ClaimError, Reading, index, went_back};

/// The newest state of a side that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    pub(super) revision: u64,
    pub(super) epoch: u64,
    /// Number of times that the store was found restored. States that were seen before one are not comparable since.
    pub(super) restores: u64,
    pub(super) age: Age,
}

/// Result of all reads of a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Age {
    /// Never older than before.
    #[default]
    Current,
    /// Older than before, and not handled yet.
    WentBack,
    /// Older than before, and the halves of the claim do not record it yet.
    Unrecorded,
}

/// The least revision that a quorum read may return that begins now.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    side: Side,
    revision: u64,
    restores: u64,
}

impl Claim {
    /// Returns the least revision of a read that begins now, of a kind of which this version was seen. Kinds may have
    /// stores of their own, so it is compared with versions of the same kind only.
    pub fn floor(&self, side: Side, seen: u64) -> Floor {
        Floor { side, revision: seen, restores: self.newest.lock()[index(side)].restores }
    }

    /// Checks the revision that a quorum read has returned; 0 when the server did not send it. An older one is not the
    /// present state: the store was restored, and writes are suspended until a person decides.
    pub fn check_floor(&self, floor: &Floor, revision: u64) -> Result<(), ClaimError> {
        if revision == 0 || revision >= floor.revision {
            return Ok(());
        }
        self.suspect(floor.side, floor.restores);
        self.hint.notify_one();
        Err(ClaimError::Suspended(went_back(floor.side).into()))
    }

    /// Returns true if a reading is older than what was seen before it began, and keeps that.
    pub(super) fn went_back(&self, side: Side, reading: &Reading) -> bool {
        let floor = reading.floor;
        let is_older = reading.epoch().is_some_and(|epoch| epoch < floor.epoch)
            || (reading.revision != 0 && reading.revision < floor.revision);
        if is_older {
            self.suspect(side, floor.restores);
        }
        is_older
    }

    fn suspect(&self, side: Side, restores: u64) {
        let newest = &mut self.newest.lock()[index(side)];
        if newest.restores == restores && newest.age == Age::Current {
            newest.age = Age::WentBack;
        }
    }

    /// Returns the reason while a side is older than before, and neither the claim nor a person has confirmed that.
    pub(super) fn check_age(&self) -> Result<(), ClaimError> {
        let older = [Side::Host, Side::Virtual].into_iter().find(|side| self.age(*side) != Age::Current);
        older.map_or(Ok(()), |side| Err(ClaimError::Suspended(went_back(side).into())))
    }

    pub(super) fn age(&self, side: Side) -> Age {
        self.newest.lock()[index(side)].age
    }

    pub(super) fn set_age(&self, side: Side, age: Age) {
        self.newest.lock()[index(side)].age = age;
    }

    pub(super) fn learn(&self, side: Side, reading: &Reading) {
        self.learn_revision(side, reading.revision);
        let newest = &mut self.newest.lock()[index(side)];
        newest.epoch = newest.epoch.max(reading.epoch().unwrap_or(0));
    }

    /// Learns a version of a `ConfigMap`, the kind of the halves.
    pub(super) fn learn_revision(&self, side: Side, revision: u64) {
        let newest = &mut self.newest.lock()[index(side)];
        newest.revision = newest.revision.max(revision);
    }

    /// Forgets how new a store was: it was restored.
    pub(super) fn relearn(&self, side: Side, reading: &Reading) {
        let newest = &mut self.newest.lock()[index(side)];
        let restores = newest.restores + 1;
        *newest = Newest { revision: reading.revision, epoch: reading.epoch().unwrap_or(0), restores, age: newest.age };
    }
}

//! Record of the manifest that an object was made from: `REVISION.DIGEST.DIGEST-OF-THE-TENANT'S-PART`.

use serde_json::Value;
use tenet_mapper::Object;
use tenet_mapper::keys::MANIFEST;
use tenet_mapper::translate::digest::digest;

use super::manifest::{Part, REVISION};

/// Manifest that an object was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    revision: u64,
    whole: String,
    tenants: String,
}

impl Record {
    pub(super) fn of(part: &Part) -> Self {
        let tenants = part.tenants.and_then(|pointer| part.object.pointer(pointer));
        Self { revision: REVISION, whole: digest(&part.object), tenants: tenants.map(digest).unwrap_or_default() }
    }

    pub(super) fn read(found: &Object) -> Option<Self> {
        let mut words = found.annotation(MANIFEST)?.split('.');
        let (revision, whole, tenants) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        Some(Self { revision, whole: whole.to_owned(), tenants: tenants.to_owned() })
    }

    pub(super) fn text(&self) -> String {
        let Self { revision, whole, tenants } = self;
        format!("{revision}.{whole}.{tenants}")
    }

    /// Returns true if a later version of the syncer has written the object.
    pub(super) fn is_newer(&self) -> bool {
        self.revision > REVISION
    }

    /// Returns true if the tenant has changed the part that is theirs. While the configuration sets it, it is not
    /// theirs.
    pub(super) fn is_changed(&self, present: &Value) -> bool {
        !self.tenants.is_empty() && self.tenants != digest(present)
    }
}

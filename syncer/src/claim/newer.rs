//! Copies on the host whose originals are missing. After a restore of the virtual store these are newer than the
//! backup.

use std::fmt;

use futures::future::join_all;
use serde_json::Value;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{Kind, kinds};

use super::Claim;
use crate::api::{ApiError, Target};

/// The kinds that are examined. Copies of ConfigMaps and Secrets are created again, and their content is not read for
/// this.
const KINDS: [Kind; 2] = [kinds::POD, kinds::SERVICE];
/// Number of copies of a kind that are examined.
const MOST: usize = 500;
/// Number of reads at once.
const AT_ONCE: usize = 16;

/// A copy without its original.
pub(super) struct Copy {
    name: String,
    pub(super) record: OwnerRecord,
}

impl Copy {
    /// Returns namespace and name of the original.
    pub(super) fn original(&self) -> String {
        format!("{}/{}", self.record.namespace, self.record.name)
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, the copy of {}", self.record.kind, self.name, self.original())
    }
}

impl Claim {
    /// Returns the copies of a virtual cluster whose originals are missing.
    pub(super) async fn without_original(&self, cluster: &str) -> Result<Vec<Copy>, ApiError> {
        let (vc, limit) = (&self.wiring.name, self.servers.limit);
        let mut without = Vec::new();
        for kind in KINDS {
            let collection = kind.path(&self.wiring.namespace);
            let path = format!("{collection}?limit={MOST}&labelSelector={MANAGED_BY}%3D{vc}");
            let list = self.servers.host.get_path(&path, limit).await?;
            let copies: Vec<_> = list["items"].as_array().into_iter().flatten().collect();
            for some in copies.chunks(AT_ONCE) {
                let found = join_all(some.iter().map(|copy| self.original_of(kind, copy, cluster))).await;
                for (copy, found) in some.iter().zip(found) {
                    if let Some(record) = found? {
                        let name = copy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                        without.push(Copy { name, record });
                    }
                }
            }
        }
        Ok(without)
    }

    /// Returns the owner record of a copy whose original is missing.
    async fn original_of(&self, kind: Kind, copy: &Value, cluster: &str) -> Result<Option<OwnerRecord>, ApiError> {
        let Some(record) = OwnerRecord::read(&copy["metadata"], &self.wiring.name, cluster).ours() else {
            return Ok(None);
        };
        if record.kind != kind || record.is_reservation() {
            return Ok(None);
        }
        let target = Target::new(kind, &record.namespace, &record.name);
        let found = self.servers.virt.get(&target, self.servers.limit).await?;
        let uid = found.as_ref().and_then(|found| found.pointer("/metadata/uid")).and_then(Value::as_str);
        Ok((uid != Some(record.uid.as_str())).then_some(record))
    }
}

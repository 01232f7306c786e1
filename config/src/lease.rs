//! The lease of replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;
use tenet_translate::format::DurationText;

/// The lease of replicas: of several syncers of one virtual cluster, one writes and the others stand by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Lease {
    /// True if there are several replicas. A held lease is renewed all the time, also when nothing else is written.
    pub enabled: bool,
    /// Time for which the others leave a lease alone that is not renewed.
    #[schemars(with = "DurationText")]
    pub duration: Duration,
    /// Time after its last renewal in which the holder writes. Shorter than the duration: the rest is for writes in
    /// flight.
    #[schemars(with = "DurationText")]
    pub renew_deadline: Duration,
    /// Time between two renewals. Shorter than the deadline.
    #[schemars(with = "DurationText")]
    pub retry_period: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            enabled: false,
            duration: Duration::from_secs(4),
            renew_deadline: Duration::from_secs(3),
            retry_period: Duration::from_secs(1),
        }
    }
}

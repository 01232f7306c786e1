//! Settings of the syncer as a process.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;
use tenet_translate::Quantity;
use tenet_translate::format::{DnsLabel, DurationText, FieldPath, LogDirectives, QuantityText, SocketAddress, Text};

/// Amount of work at the same time, and its intervals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Engine {
    /// Number of objects of one kind that are reconciled at the same time. Kinds do not wait for one another.
    #[schemars(range(min = 1, max = 512))]
    pub workers: u16,
    /// Number of requests that may be in flight to the API server of each side; three quarters of them for one kind.
    #[schemars(range(min = 1, max = 1024))]
    pub max_in_flight: u16,
    /// Time between two full comparisons of both sides.
    #[schemars(with = "DurationText")]
    pub patrol_interval: Duration,
    /// Time limit of one API request. The lists and watches that fill the caches have limits of their own.
    #[schemars(with = "DurationText")]
    pub request_timeout: Duration,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            workers: 32,
            max_in_flight: 64,
            patrol_interval: Duration::from_secs(5 * 60),
            request_timeout: Duration::from_secs(15),
        }
    }
}

/// The breaker of deletes: what happens when unusually many objects have lost their counterpart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Breaker {
    /// Kinds, such as `Pod` or `Ingress.networking.k8s.io`, whose deletes a person has released after the breaker has
    /// stopped them: they are spread over time, and not stopped. To be taken back when it is over.
    #[schemars(with = "Vec<Text>")]
    pub release: Vec<String>,
}

/// The budgets of the virtual cluster on the host, whose store it shares with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Budget {
    /// Bytes of all `ConfigMap`s and Secrets on the host. A copy beyond it waits for room.
    #[schemars(with = "QuantityText")]
    pub copies: Quantity,
    /// Writes a second, to both sides together. Those beyond it wait.
    #[schemars(range(min = 1, max = 100_000))]
    pub writes_per_second: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { copies: Quantity::of_mebi(64), writes_per_second: 2000 }
    }
}

/// The endpoint of `/metrics`, `/healthz` and `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Admin {
    /// IP address and port to listen on. Port 0 takes a free one.
    #[schemars(with = "SocketAddress")]
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9090)) }
    }
}

/// Format of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The syncer's log, which goes to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Log {
    /// Log directives: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), and `target=level` for parts of the
    /// syncer, separated by commas.
    #[schemars(with = "LogDirectives")]
    pub level: String,
    /// Format of a line.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::default() }
    }
}

/// Kinds that are synced, and fields that they may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Kinds {
    /// Names of mappers that run although they are off by default: `network-policy`, `ingress`, `ingress-class`,
    /// `volume-snapshot`, `volume-snapshot-class`.
    #[schemars(with = "Vec<DnsLabel>")]
    pub enable: Vec<String>,
    /// Names of mappers that do not run, such as `node`.
    #[schemars(with = "Vec<DnsLabel>")]
    pub disable: Vec<String>,
    /// For each kind, such as `Service` or `Ingress.networking.k8s.io`, field paths that its rule table refuses and
    /// that this installation permits. For pods it is `pods.allow`.
    #[schemars(with = "BTreeMap<String, Vec<FieldPath>>")]
    pub allow: BTreeMap<String, Vec<String>>,
}

//! The sockets that the syncer opens for the virtual API server.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;
use tenet_translate::format::{DurationText, IpAddress, LoopbackAddress, SocketAddress, WebhookTimeoutText};
use tenet_translate::kubelets::NodeAddresses;

/// The kubelet of the virtual nodes: `kubectl exec`, `attach`, `logs`, `port-forward` and the statistics of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Kubelet {
    /// True if the virtual nodes have a kubelet at all.
    pub enabled: bool,
    /// Address at which the virtual API server finds the kubelet of a node.
    pub addresses: NodeAddresses,
    /// Port of the kubelet of every virtual node.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// IP address to listen on when each node has a Service. With loopback addresses each node has its own.
    #[schemars(with = "IpAddress")]
    pub listen: IpAddr,
    /// Signer of the certificates that the kubelets present.
    pub certificate: KubeletCertificate,
    /// Limits of streams.
    pub streams: Streams,
}

impl Default for Kubelet {
    fn default() -> Self {
        Self {
            enabled: true,
            addresses: NodeAddresses::default(),
            port: 10250,
            listen: IpAddr::from([0, 0, 0, 0]),
            certificate: KubeletCertificate::default(),
            streams: Streams::default(),
        }
    }
}

/// Signer of the certificates that the kubelets present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KubeletCertificate {
    /// The syncer's own authority: for API servers that do not check, which is their default.
    #[default]
    SelfSigned,
    /// The signer `kubernetes.io/kubelet-serving` of the virtual cluster: for API servers with
    /// `--kubelet-certificate-authority`.
    Csr,
}

/// Limits of streams: those of exec, attach, port-forward and logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Streams {
    /// Number of streams that may be open at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub total: u32,
    /// Number of streams that may be open at once to one pod.
    #[schemars(range(min = 1, max = 100_000))]
    pub per_pod: u32,
    /// A stream on which nothing moves for so long is closed.
    #[schemars(with = "DurationText")]
    pub idle_timeout: Duration,
}

impl Default for Streams {
    fn default() -> Self {
        Self { total: 4000, per_pod: 1000, idle_timeout: Duration::from_secs(4 * 60 * 60) }
    }
}

/// The webhook that the virtual API server asks before it stores a Service, so that the Service gets the address that
/// the host gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Webhook {
    /// True if the virtual API server asks at all. Without it, a Service has an address of its own for a moment.
    pub enabled: bool,
    /// IP address and port to listen on. The virtual API server has to reach it under this address; it shares the
    /// syncer's pod.
    #[schemars(with = "SocketAddress")]
    pub listen: SocketAddr,
    /// Handling of Services while the syncer does not answer.
    pub failure_policy: FailurePolicy,
    /// Time that the virtual API server waits for an answer: at most 30s.
    #[schemars(with = "WebhookTimeoutText")]
    pub timeout: Duration,
    /// Time for which a reservation is kept for a request of which nothing is heard any more. Longer than any request
    /// to the virtual API server takes: its own limit is 60s, and the answer of the webhook may be the first thing in
    /// it.
    #[schemars(with = "DurationText")]
    pub reservation: Duration,
    /// Number of Services that may have addresses of the host before they are stored. A request beyond that waits some
    /// seconds, and is then denied with the advice to try again.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_reservations: u16,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 10270)),
            failure_policy: FailurePolicy::default(),
            timeout: Duration::from_secs(10),
            reservation: Duration::from_secs(90),
            max_reservations: 64,
        }
    }
}

/// The metrics of pods and nodes inside: `metrics.k8s.io`, for `kubectl top` and autoscalers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Usage {
    /// True if the virtual cluster has metrics, when the host has.
    pub enabled: bool,
    /// IP address and port to listen on. It has to be one of loopback: the virtual API server, which shares the
    /// syncer's pod, finds it as `localhost`.
    #[schemars(with = "LoopbackAddress")]
    pub listen: SocketAddr,
}

impl Default for Usage {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 10271)) }
    }
}

/// Handling of Services while the syncer does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// They cannot be created, nor their spec be changed: no Service ever shows a wrong address.
    #[default]
    Fail,
    /// They are stored with an address of the virtual API server's choice, which the syncer replaces when it is back.
    Ignore,
}

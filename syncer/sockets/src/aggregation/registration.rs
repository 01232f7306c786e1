//! Registration of `metrics.k8s.io` at the virtual API server, while the host can answer.
//!
//! An API that is registered and does not answer stops the deletion of namespaces: it is
//! registered only while the host measures, and taken back when the syncer ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tenet_mapper::{Kind, Side, kinds};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Parts;
use tenet_syncer::Done;
use tenet_syncer::EngineHandle;
use tenet_syncer::api::Target;

/// The registration of an aggregated API.
pub const API_SERVICE: Kind = Kind::of("apiregistration.k8s.io", "v1", "APIService", "apiservices").cluster_scoped();
const API_NAME: &str = "v1beta1.metrics.k8s.io";
const NAMESPACE: &str = "kube-system";
const SERVICE: &str = "tenet-metrics";
/// The name under which the virtual API server expects the certificate.
pub const SERVER_NAME: &str = "tenet-metrics.kube-system.svc";
const LABEL: &str = "app.kubernetes.io/managed-by";

/// Interval of the checks that the host measures, and that the registration is as it should be.
const LOOK: Duration = Duration::from_secs(15);
/// Time without measurements after which the registration is withdrawn: a metrics server may restart.
const AWAY: Duration = Duration::from_secs(120);
const WITHDRAWAL: Duration = Duration::from_secs(5);

/// The registration.
pub(super) struct Registration<'p> {
    pub(super) parts: &'p Parts,
}

impl Registration<'_> {
    /// Keeps it as it should be; takes it back at the end.
    pub(super) async fn keep(&self, stop: &CancellationToken) {
        let engine = &*self.parts.engine;
        let mut last_measured: Option<Instant> = None;
        loop {
            let changed = self.parts.certificates.changed();
            if self.parts.resource_metrics.pods().await.is_ok() {
                last_measured = Some(Instant::now());
                self.register().await;
            } else if last_measured.is_none_or(|last| last.elapsed() > AWAY) {
                withdraw(engine).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = changed => {}
                () = sleep(LOOK) => {}
            }
        }
        if timeout(WITHDRAWAL, withdraw(engine)).await.is_err() {
            tracing::warn!("cannot remove the registration of metrics.k8s.io: the virtual API server does not answer");
        }
    }

    async fn register(&self) {
        let engine = &*self.parts.engine;
        match is_foreign(engine).await {
            Ok(false) => {}
            Ok(true) => {
                return tracing::debug!(
                    "metrics.k8s.io not registered: the virtual cluster has a metrics server of its own"
                );
            }
            Err(error) => return tracing::warn!(%error, "cannot register metrics.k8s.io"),
        }
        for (kind, desired) in [(kinds::SERVICE, self.service()), (API_SERVICE, self.api_service())] {
            match engine.register(kind, &desired, socket_of).await {
                Ok(Done::Wrote) => tracing::info!(%kind, "metrics.k8s.io registered"),
                Ok(Done::Unchanged) => {}
                Err(error) => tracing::warn!(%kind, %error, "cannot register metrics.k8s.io"),
            }
        }
    }

    /// Returns the Service behind the registration: an external name, as an API server resolves that by itself.
    fn service(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": NAMESPACE, "labels": {LABEL: "tenet"}},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [self.port()]},
        })
    }

    fn port(&self) -> Value {
        let port = self.parts.listen.port();
        json!({"name": "https", "protocol": "TCP", "port": port, "targetPort": port})
    }

    fn api_service(&self) -> Value {
        json!({
            "apiVersion": API_SERVICE.api_version(), "kind": API_SERVICE.kind,
            "metadata": {"name": API_NAME, "labels": {LABEL: "tenet"}},
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1",
                "groupPriorityMinimum": 100, "versionPriority": 100,
                "caBundle": STANDARD.encode(self.parts.certificates.bundle()),
                "service": {"name": SERVICE, "namespace": NAMESPACE, "port": self.parts.listen.port()},
            },
        })
    }
}

/// Returns the address at which the metrics of a registration are served: the `APIService` and its Service name a port
/// of this machine.
fn socket_of(registration: &Value) -> Option<SocketAddr> {
    let port = ["/spec/service/port", "/spec/ports/0/port"].iter().find_map(|place| registration.pointer(place))?;
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port.as_u64()?).ok()?)))
}

/// Returns true if the tenant has a metrics server of their own.
async fn is_foreign(engine: &dyn EngineHandle) -> Result<bool, tenet_mapper::MapError> {
    let found = engine.read(Side::Virtual, &Target::new(API_SERVICE, "", API_NAME)).await?;
    let label = |found: &Value| found["metadata"]["labels"][LABEL] == "tenet";
    Ok(found.is_some_and(|found| !label(&found)))
}

/// Removes the registration, if it is ours.
pub async fn withdraw(engine: &dyn EngineHandle) {
    match is_foreign(engine).await {
        Ok(true) => return,
        Ok(false) => {}
        Err(error) => return tracing::warn!(%error, "cannot remove the registration of metrics.k8s.io"),
    }
    for (kind, namespace, name) in [(API_SERVICE, "", API_NAME), (kinds::SERVICE, NAMESPACE, SERVICE)] {
        match engine.unregister(kind, namespace, name, socket_of).await {
            Ok(Done::Wrote) => tracing::info!(%kind, "metrics.k8s.io unregistered"),
            Ok(Done::Unchanged) => {}
            Err(error) => tracing::warn!(%kind, %error, "cannot remove the registration of metrics.k8s.io"),
        }
    }
}

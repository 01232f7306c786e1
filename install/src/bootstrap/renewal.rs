//! Renewal of certificates while the control plane runs.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::runtime::Builder;

use super::command::host;
use super::{Changes, Request, ensure};

/// Time between two checks in the first minutes, in which a load balancer gets its address.
const EARLY: Duration = Duration::from_secs(15);
const EARLY_LOOKS: u32 = 40;
/// Time between two checks afterwards.
const LATER: Duration = Duration::from_secs(600);

/// Task that keeps the certificates of a running control plane.
pub struct Renewal {
    /// The virtual cluster.
    pub request: Request,
    /// Kubeconfig of the host; `None` for the pod's own `ServiceAccount`.
    pub host_kubeconfig: Option<PathBuf>,
}

/// Starts the renewal in a thread of its own, so that it shares nothing with the engine.
pub fn spawn(renewal: Renewal) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("certificates".to_owned()).spawn(move || runtime.block_on(run(renewal)))?;
    Ok(())
}

async fn run(renewal: Renewal) {
    let host = match host(renewal.host_kubeconfig.as_deref()).await {
        Ok(host) => host,
        Err(error) => {
            tracing::error!(%error, "certificates are not renewed: no client of the host");
            return;
        }
    };
    let mut looks = 0;
    loop {
        tokio::time::sleep(if looks < EARLY_LOOKS { EARLY } else { LATER }).await;
        looks = looks.saturating_add(1);
        match ensure(&host, &renewal.request, OffsetDateTime::now_utc()).await {
            Ok(changes) if changes == Changes::default() => {}
            Ok(changes) => {
                let Changes { secrets, endpoints, files } = changes;
                tracing::info!(?files, ?secrets, ?endpoints, "certificates were renewed");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "certificates cannot be checked; the next attempt follows");
            }
        }
    }
}

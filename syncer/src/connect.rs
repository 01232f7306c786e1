//! Clients for both sides, without the defaults that a syncer must not have.

mod tcp;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http::HeaderValue;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config as KubeConfig};
use tenet_config::Config;
use tenet_mapper::Side;
use tower::{BoxError, ServiceBuilder};

use crate::api::Api;
pub use tcp::{Connector, ProxyError};

/// The name under which the syncer appears in audit logs.
pub const USER_AGENT: &str = concat!("tenet-syncer/", env!("CARGO_PKG_VERSION"));

/// Time after which an unused connection is closed. A burst opens one for each request in flight, of which each keeps
/// tens of kilobytes on both sides.
const UNUSED: Duration = Duration::from_secs(10);

/// Returns the client of the host API server.
pub async fn host(config: &Config) -> anyhow::Result<Api> {
    api(Side::Host, host_config(config).await?)
}

/// Returns the client configuration of the host API server.
pub async fn host_config(config: &Config) -> anyhow::Result<KubeConfig> {
    let host = &config.host;
    match &host.kubeconfig {
        Some(file) => from_file("host.kubeconfig", file, host.context.as_deref()).await,
        None => KubeConfig::incluster().context("host.kubeconfig is not set, and this is no pod of the host"),
    }
}

/// Returns the client of the virtual API server.
pub async fn virt(config: &Config) -> anyhow::Result<Api> {
    let virt = &config.r#virtual;
    api(Side::Virtual, from_file("virtual.kubeconfig", &virt.kubeconfig, virt.context.as_deref()).await?)
}

/// Reads the kubeconfig that this field of the configuration names.
async fn from_file(field: &str, file: &Path, context: Option<&str>) -> anyhow::Result<KubeConfig> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let failed = |error: KubeconfigError| {
        // Most messages of kube hold those of their sources, which a chain of errors would repeat.
        let cause = match &error {
            KubeconfigError::ReadConfig(source, _) => source.to_string(),
            other => other.to_string(),
        };
        anyhow!("{field}: cannot use the kubeconfig {}: {cause}", file.display())
    };
    let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
    KubeConfig::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)
}

fn api(side: Side, mut kube: KubeConfig) -> anyhow::Result<Api> {
    kube.headers.push((http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
    Ok(Api::new(client(kube).with_context(|| format!("cannot make a client of the {side} API server"))?))
}

/// Returns a client whose connections are probed, and closed when they are unused. `Client::try_from` takes no
/// connector of the caller's; of its layers, these are missing on purpose: retries, which would repeat creates whose
/// answer was lost below the queue; time limits, as the queue has a deadline for every request and a watch must be able
/// to idle; and compression, as both API servers are near.
fn client(kube: KubeConfig) -> anyhow::Result<Client> {
    let mut hyper = HyperClient::builder(TokioExecutor::new());
    // Without a timer the pool closes connections only when it looks for one.
    hyper.pool_idle_timeout(UNUSED).pool_timer(TokioTimer::new());
    let connector = kube.rustls_https_connector_with_connector(Connector::new(&kube)?)?;
    let service = ServiceBuilder::new()
        .layer(kube.base_uri_layer())
        .option_layer(kube.auth_layer()?)
        .layer(kube.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper.build(connector));
    Ok(Client::new(service, kube.default_namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_named_once_with_its_field() {
        let absent = from_file("host.kubeconfig", Path::new("/absent"), None).await.unwrap_err();
        assert_eq!(
            format!("{absent:#}"),
            "host.kubeconfig: cannot use the kubeconfig /absent: No such file or directory (os error 2)"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let nowhere = from_file("virtual.kubeconfig", file.path(), Some("nowhere")).await.unwrap_err();
        let shown = file.path().display();
        assert_eq!(
            format!("{nowhere:#}"),
            format!("virtual.kubeconfig: cannot use the kubeconfig {shown}: failed to load current context: nowhere")
        );
    }
}

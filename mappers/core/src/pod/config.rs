//! What the configuration says about pods.

use serde::Deserialize;
use tenet_mapper::{Context, HostKey, MapError, VirtualKey};

/// The section `pods`.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Pods {
    /// The `ServiceAccount` in the host namespace that pods run as.
    pub(super) service_account: String,
    /// The host's priority classes that pods may use.
    pub(super) priority_classes: Vec<String>,
}

impl Default for Pods {
    fn default() -> Self {
        Self { service_account: "default".to_owned(), priority_classes: Vec::new() }
    }
}

impl Pods {
    pub(super) fn read(cx: &Context<'_>) -> Result<Self, MapError> {
        Ok(cx.section::<Option<Self>>("pods")?.unwrap_or_default())
    }
}

/// The section `dns`.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Dns {
    /// The domain of the virtual cluster.
    pub(super) cluster_domain: String,
    service: String,
    /// The nameserver while the Service has no address.
    pub(super) address: Option<String>,
}

impl Default for Dns {
    fn default() -> Self {
        Self { cluster_domain: "cluster.local".to_owned(), service: "kube-system/kube-dns".to_owned(), address: None }
    }
}

impl Dns {
    pub(super) fn read(cx: &Context<'_>) -> Result<Self, MapError> {
        Ok(cx.section::<Option<Self>>("dns")?.unwrap_or_default())
    }

    /// The Service whose address is the nameserver.
    pub(super) fn service(&self) -> VirtualKey {
        let (namespace, name) = self.service.split_once('/').unwrap_or(("kube-system", &self.service));
        VirtualKey::new(namespace, name)
    }
}

/// The section `virtual`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Virtual {
    service: Option<String>,
}

/// The host Service that leads to the virtual API server.
pub(super) fn api_service(cx: &Context<'_>) -> Result<HostKey, MapError> {
    let names = &cx.facts().names;
    let configured = cx.section::<Option<Virtual>>("virtual")?.unwrap_or_default().service;
    Ok(HostKey::new(names.host_namespace.as_str(), configured.unwrap_or_else(|| names.cluster.clone())))
}

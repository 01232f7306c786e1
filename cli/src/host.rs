//! The host cluster of a command.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde_json::Value;
use tenet_install::api::{Api, ApiError};

/// Choice of the host cluster and of the namespace in it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct HostArgs {
    /// Host namespace of the virtual cluster [default: that of the context].
    #[arg(long, short, value_name = "NAME", global = true)]
    pub(crate) namespace: Option<String>,
    /// Kubeconfig of the host [default: `KUBECONFIG`, or `~/.kube/config`].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the host in the kubeconfig [default: the current one].
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) context: Option<String>,
}

/// Connection to a host cluster.
pub(crate) struct Host {
    pub(crate) api: Api,
    pub(crate) namespace: String,
}

impl Host {
    /// Returns the same host with another namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Self {
        Self { api: self.api.clone(), namespace: namespace.to_owned() }
    }

    /// Returns an object of the core group in the namespace; null if it does not exist.
    pub(crate) async fn get(&self, resource: &str, name: &str) -> Result<Value, ApiError> {
        let path = format!("/api/v1/namespaces/{}/{resource}/{name}", self.namespace);
        Ok(self.api.get(&path).await?.unwrap_or_default())
    }
}

impl HostArgs {
    /// Connects to the host. Nothing is sent before the first request.
    pub(crate) async fn connect(&self) -> Result<Host> {
        // Two crypto providers may be compiled in, so rustls needs an explicit default.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let kubeconfig = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file)
                .map_err(|error| anyhow!("--kubeconfig {}: {}", file.display(), cause(&error)))?,
            None => Kubeconfig::read()
                .map_err(|error| anyhow!("cannot read the kubeconfig of the host: pass --kubeconfig: {error}"))?,
        };
        let context = self.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| anyhow!("cannot use the context {context:?} of the kubeconfig: {error}"))?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let api = Api::new(Client::try_from(config).with_context(|| format!("cannot use the context {context:?}"))?);
        Ok(Host { api, namespace })
    }
}

/// Returns the message of an error of a kubeconfig whose file is named already. Most messages of kube hold those of
/// their sources, which a chain of errors would repeat.
fn cause(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(source, _) => source.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_read_is_named_once_with_its_flag() {
        let args = HostArgs { kubeconfig: Some("/absent".into()), ..HostArgs::default() };
        let error = args.connect().await.err().expect("an error");
        assert_eq!(format!("{error:#}"), "--kubeconfig /absent: No such file or directory (os error 2)");
    }
}

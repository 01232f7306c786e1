//! `tenet doctor`.

mod finding;
mod host_side;
mod inside_side;
mod leftovers;
mod rights;

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;
use tenet_install::objects::Rights;
use tenet_install::{names, secret};
use tenet_translate::own_objects;
use time::OffsetDateTime;

use crate::host::{Host, HostArgs};
use crate::inside::Inside;
use crate::output::{Output, print};
use crate::verdict::Verdict;
use crate::workloads::Namespaces;
use crate::{RightsOf, certs};
use finding::Finding;

/// Check a virtual cluster and its host. The exit code is 1 if a check fails.
///
/// Nothing is changed; what a check tries is a dry run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Format of the output.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// The target: a virtual cluster, and the commands that help.
struct Target {
    /// The host, with the namespace of the control plane.
    host: Host,
    /// The host, with the namespace of the tenant's objects.
    workloads: Host,
    name: String,
}

pub(crate) async fn run(args: &Args, rights_of: RightsOf) -> Result<ExitCode> {
    let namespaces = Namespaces::of(args.host.connect().await?, &args.name).await;
    let Namespaces { control_plane: host, workloads } = namespaces.context("cannot reach the host cluster")?;
    let target = Target { host, workloads, name: args.name.clone() };
    let findings = target.check(rights_of).await?;
    if args.output == Output::Table {
        for finding in &findings {
            println!("{finding}");
        }
    } else {
        let rows: Vec<Value> = findings.iter().map(Finding::row).collect();
        print(&rows, args.output, &[])?;
    }
    let has_failure = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if has_failure { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Target {
    async fn check(&self, rights_of: RightsOf) -> Result<Vec<Finding>> {
        let version = self.host.api.get("/version").await.context("cannot reach the host cluster")?.unwrap_or_default();
        let mut findings = vec![host_side::version(&version)];
        let mut namespace = namespace(&self.host).await?;
        findings.extend(namespace.as_ref().map(|found| host_side::namespace(&self.host.namespace, found)));
        if self.workloads.namespace != self.host.namespace {
            namespace = self::namespace(&self.workloads).await?;
            findings.extend(namespace.as_ref().map(|found| host_side::namespace(&self.workloads.namespace, found)));
        }
        let sets = format!("/apis/apps/v1/namespaces/{}/statefulsets/{}", self.host.namespace, self.name);
        let set = self.host.api.get(&sets).await?.unwrap_or_default();
        let pod = self.of_host("pods", &names::pod(&self.name)).await?;
        findings.extend(host_side::control_plane(self, &set, &pod));
        let claim = read(&self.workloads, "configmaps", &own_objects::host_claim(&self.name)).await?;
        if set.is_null() {
            findings.push(Finding::or_unchecked(leftovers::CHECK, leftovers::check(self, &claim, rights_of).await));
            return Ok(findings);
        }
        findings.extend(self.rights(rights_of, &findings).await);
        findings.push(Finding::or_unchecked(host_side::SERVICE_RANGE, self.service_range().await));
        let is_paused = set["spec"]["replicas"] == 0;
        let inside = if is_paused { None } else { Some(Inside::connect(&self.host, &self.name).await) };
        let certificates = self.certificates(inside.as_ref().and_then(|inside| inside.as_ref().ok())).await;
        findings.push(Finding::or_unchecked(host_side::CERTIFICATES, certificates));
        if let Some(inside) = inside {
            findings.extend(inside_side::check(self, inside, &version, &namespace.unwrap_or_default(), &claim).await);
        }
        findings.push(Finding::or_unchecked(leftovers::CHECK, leftovers::check(self, &claim, rights_of).await));
        Ok(findings)
    }

    async fn rights(&self, rights_of: RightsOf, findings: &[Finding]) -> Vec<Finding> {
        let needed = match self.needed(rights_of).await {
            Ok(Some(needed)) => needed,
            Ok(None) => {
                let name = names::syncer_config(&self.name);
                let detail = format!("ConfigMap {name} with the configuration is missing");
                return vec![Finding::fail(rights::CHECK, detail, self.command("create", ""))];
            }
            Err(error) => return vec![Finding::or_unchecked(rights::CHECK, Err(error))],
        };
        let is_ready = findings.iter().any(|finding| finding.check == "syncer" && finding.verdict == Verdict::Ok);
        let own = rights::check(self, &needed, is_ready).await;
        let mut findings = vec![Finding::or_unchecked(rights::CHECK, own)];
        for (namespace, rules) in needed.elsewhere() {
            let found = rights::check_elsewhere(self, namespace, rules).await;
            findings.push(Finding::or_unchecked(rights::ELSEWHERE, found));
        }
        findings
    }

    /// Returns the rights that the syncer needs with its configuration; `None` without a configuration.
    async fn needed(&self, rights_of: RightsOf) -> Result<Option<Rights>> {
        let config = self.of_host("configmaps", &names::syncer_config(&self.name)).await?;
        let Some(config) = config["data"][names::SYNCER_CONFIG_FILE].as_str() else { return Ok(None) };
        let documents = rights_of(config).context("the configuration of the syncer")?;
        Ok(Some(Rights::read(&documents)?))
    }

    async fn service_range(&self) -> Result<Finding> {
        let service = self.of_host("services", &self.name).await?;
        let certificates = self.of_host("secrets", &names::certificates(&self.name)).await?;
        let range = secret::text(&certificates, tenet_install::bootstrap::SERVICE_CIDR).unwrap_or_default();
        Ok(host_side::service_range(self, &service, &range))
    }

    async fn certificates(&self, inside: Option<&Inside>) -> Result<Finding> {
        let certificates = certs::gather(&self.host, &self.name, inside).await?;
        Ok(host_side::certificates(self, &certificates, OffsetDateTime::now_utc()))
    }

    /// Returns an object of the namespace of the control plane; null if it does not exist.
    async fn of_host(&self, resource: &str, name: &str) -> Result<Value> {
        read(&self.host, resource, name).await
    }

    /// Returns the line of a command about the virtual cluster.
    fn command(&self, verb: &str, flags: &str) -> String {
        let space = if flags.is_empty() { "" } else { " " };
        format!("tenet {verb} {} -n {}{space}{flags}", self.name, self.host.namespace)
    }
}

async fn read(host: &Host, resource: &str, name: &str) -> Result<Value> {
    host.get(resource, name).await.with_context(|| format!("cannot read {resource}/{name}"))
}

/// Returns the namespace of a host, null if it does not exist; `None` without the right to read it.
async fn namespace(host: &Host) -> Result<Option<Value>> {
    match host.api.get(&format!("/api/v1/namespaces/{}", host.namespace)).await {
        Err(error) if error.code() == Some(403) => Ok(None),
        other => Ok(Some(other.context("cannot read the namespace")?.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use kube::{Client, Config};
    use tenet_install::api::Api;

    use super::*;

    /// Returns a target for checks that send no request.
    pub(super) fn target() -> Target {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let config = Config::new("https://127.0.0.1:1".parse().expect("a URI"));
        let api = Api::new(Client::try_from(config).expect("a client"));
        let host = Host { api, namespace: "team-a".to_owned() };
        Target { workloads: host.in_namespace("team-a"), host, name: "vc-1".to_owned() }
    }
}

//! `tenet delete`.

pub(crate) mod leftovers;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tenet_install::api::Api;
use tokio::time::sleep;

use crate::RightsOf;
use crate::host::HostArgs;
use crate::steps::Steps;
use crate::workloads::Namespaces;
use leftovers::{Found, Places};

/// Delete a virtual cluster: its control plane, everything that it runs on the host, and its data.
///
/// The command ends when nothing is left, and says what is if that takes too long. It can be repeated.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Keep the volume of the store, the volumes of the tenant and the authorities; a later `create` goes on with them.
    #[arg(long)]
    keep_data: bool,
    /// Do not fail if there is no such virtual cluster.
    #[arg(long)]
    ignore_not_found: bool,
    /// Time that a pod of the tenant may take to end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    grace_period: u32,
    /// Time to wait until everything is gone, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Number of requests that are open at the same time.
const AT_ONCE: usize = 16;
const FOREGROUND: &str = "Foreground";

pub(crate) async fn run(args: &Args, rights_of: RightsOf) -> Result<()> {
    let host = args.host.connect().await?;
    let mut steps = Steps::new();
    let namespaces = Namespaces::of(host, &args.name).await.context("cannot reach the host cluster")?;
    let places = Places::of(&namespaces.control_plane, &namespaces.workloads, &args.name, rights_of).await?;
    let deletion = Deletion { args, namespaces, places };
    deletion.run(&mut steps).await
}

struct Deletion<'a> {
    args: &'a Args,
    namespaces: Namespaces,
    places: Places,
}

impl Deletion<'_> {
    async fn run(&self, steps: &mut Steps) -> Result<()> {
        let (name, namespace) = (&self.args.name, &self.namespaces.control_plane.namespace);
        let workloads = &self.namespaces.workloads.namespace;
        if self.namespaces.are_two() {
            // A user without this right would leave the tenant's pods behind.
            let pods = self.api().list(&format!("/api/v1/namespaces/{workloads}/pods?limit=1")).await;
            pods.with_context(|| {
                format!("cannot list the pods of the virtual cluster, which are in namespace {workloads}")
            })?;
        }
        let found = self.places.all(self.api()).await?;
        if found.is_empty() {
            if self.args.ignore_not_found {
                return Ok(());
            }
            bail!("no virtual cluster {name} in namespace {namespace}: tenet list -A shows all");
        }
        // First the syncer, so that nothing is created or deleted while objects go.
        steps.say("deleting the control plane");
        self.delete(found.into_iter().filter(Found::is_control_plane)).await?;
        self.until_gone(steps, Found::is_control_plane_or_its_pod).await?;
        steps.say("deleting what the virtual cluster runs on the host");
        self.delete_and_wait(steps, |found| found.is_copy && !self.is_kept(found)).await?;
        steps.say("deleting the installation");
        if self.namespaces.are_two() {
            // The namespace of the control plane has what leads to this one, for a run that is interrupted here.
            self.delete_and_wait(steps, |found| found.is_in(workloads) && !self.is_kept(found)).await?;
        }
        // The configuration leads to these, for the same reason.
        self.delete_and_wait(steps, |found| found.is_elsewhere([namespace, workloads])).await?;
        self.delete_and_wait(steps, |found| !self.is_kept(found)).await?;
        steps.say(&format!(
            "virtual cluster {name} is deleted: nothing is left in namespace {namespace}{}{}",
            self.elsewhere(),
            self.kept()
        ));
        Ok(())
    }

    fn api(&self) -> &Api {
        &self.namespaces.control_plane.api
    }

    fn is_kept(&self, found: &Found) -> bool {
        self.args.keep_data && found.is_data()
    }

    fn elsewhere(&self) -> String {
        let workloads = &self.namespaces.workloads.namespace;
        if self.namespaces.are_two() { format!(" and in namespace {workloads}") } else { String::new() }
    }

    fn kept(&self) -> &str {
        if self.args.keep_data { " but the data" } else { "" }
    }

    async fn delete_and_wait(&self, steps: &mut Steps, is_meant: impl Fn(&Found) -> bool) -> Result<()> {
        let found = self.places.all(self.api()).await?;
        self.delete(found.into_iter().filter(&is_meant)).await?;
        self.until_gone(steps, is_meant).await
    }

    async fn delete(&self, found: impl Iterator<Item = Found>) -> Result<()> {
        let deletions = found.map(|object| self.delete_one(object));
        stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn delete_one(&self, object: Found) -> Result<()> {
        let mut options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": if object.is_control_plane() { FOREGROUND } else { "Background" },
            "preconditions": {"uid": object.uid},
        });
        if object.is_pod() {
            options["gracePeriodSeconds"] = json!(self.args.grace_period.min(object.grace_period));
        }
        match self.api().delete(&object.path, &options).await {
            // Another client was faster, and another object has the name now: the next round finds it.
            Err(error) if error.code() == Some(409) => {}
            other => drop(other.with_context(|| format!("cannot delete {object}"))?),
        }
        Ok(())
    }

    async fn until_gone(&self, steps: &mut Steps, is_meant: impl Fn(&Found) -> bool) -> Result<()> {
        let end = steps.elapsed() + Duration::from_secs(self.args.timeout);
        let mut last = BTreeSet::new();
        loop {
            let left: BTreeSet<String> = self
                .places
                .all(self.api())
                .await?
                .iter()
                .filter(|found| is_meant(found))
                .map(ToString::to_string)
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if left != last {
                steps.say(&format!(
                    "waiting for {} object(s), such as {}",
                    left.len(),
                    left.first().map_or("", String::as_str)
                ));
            }
            if steps.elapsed() > end {
                let all: Vec<String> = left.into_iter().collect();
                bail!(
                    "still there after {} s:\n  {}\nRepeat the command to go on. A pod on a node that is gone, and an object with \
                     a finalizer, need an administrator of the host.",
                    self.args.timeout,
                    all.join("\n  ")
                );
            }
            last = left;
            sleep(LOOK_EVERY).await;
        }
    }
}

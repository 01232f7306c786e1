//! `tenet list` and `tenet describe`.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_install::names::{self, PART, PART_OF};

use crate::create::{stateful_set, text};
use crate::host::HostArgs;
use crate::output::{Output, print};
use crate::pod;

/// List the virtual clusters in a namespace of the host, or in all.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Look through all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Format of the output.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// Show a virtual cluster: its state, and each container of its control plane.
#[derive(Debug, clap::Args)]
pub(crate) struct DescribeArgs {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Format of the output.
    #[arg(long, short, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
}

/// Columns of a table of virtual clusters.
const COLUMNS: [&str; 5] = ["name", "namespace", "status", "version", "created"];

pub(crate) async fn list(args: &ListArgs) -> Result<()> {
    let host = args.host.connect().await?;
    let place = if args.all_namespaces { String::new() } else { format!("/namespaces/{}", host.namespace) };
    let path = format!("/apis/apps/v1{place}/statefulsets?labelSelector={PART_OF}%3D{PART}");
    let sets = host.api.list(&path).await.context("cannot list the virtual clusters")?;
    let clusters: Vec<Value> = sets.iter().map(summary).collect();
    print(&clusters, args.output, &COLUMNS)
}

pub(crate) async fn describe(args: &DescribeArgs) -> Result<()> {
    let host = args.host.connect().await?;
    let set = stateful_set(&host, &args.name).await?;
    let pod = host.get("pods", &names::pod(&args.name)).await?;
    let containers: Vec<Value> = pod::containers(&pod)
        .filter(|status| status["state"]["terminated"].is_null())
        .map(|status| {
            json!({
                "name": status["name"], "image": status["image"], "ready": status["ready"],
                "restarts": status["restartCount"],
            })
        })
        .collect();
    let mut described = summary(&set);
    described["node"] = pod["spec"]["nodeName"].clone();
    described["containers"] = json!(containers);
    print(&[described], args.output, &COLUMNS)
}

fn summary(set: &Value) -> Value {
    let pod = &set["spec"]["template"]["spec"];
    let of = |field: &str| pod[field].as_array().into_iter().flatten();
    let mut containers = of("initContainers").chain(of("containers"));
    let image = containers.find(|container| ["kube-apiserver", "k3s", "k0s"].contains(&text(&container["name"])));
    let version = image.map(|it| text(&it["image"]).rsplit(':').next().unwrap_or_default().to_owned());
    json!({
        "name": set["metadata"]["name"],
        "namespace": set["metadata"]["namespace"],
        "status": status(set),
        "version": version,
        "created": set["metadata"]["creationTimestamp"],
    })
}

fn status(set: &Value) -> &'static str {
    let ready = set["status"]["readyReplicas"].as_u64().unwrap_or(0);
    match set["spec"]["replicas"].as_u64() {
        _ if !set["metadata"]["deletionTimestamp"].is_null() => "Deleting",
        Some(0) => "Paused",
        Some(wanted) if ready >= wanted => "Ready",
        _ => "NotReady",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_virtual_cluster_follows_its_stateful_set() {
        let set =
            |replicas: u32, ready: u32| json!({"spec": {"replicas": replicas}, "status": {"readyReplicas": ready}});
        for (replicas, ready, expected) in [(1, 1, "Ready"), (1, 0, "NotReady"), (0, 0, "Paused"), (3, 2, "NotReady")] {
            assert_eq!(status(&set(replicas, ready)), expected);
        }
        assert_eq!(status(&json!({"metadata": {"deletionTimestamp": "x"}, "spec": {"replicas": 1}})), "Deleting");
    }
}

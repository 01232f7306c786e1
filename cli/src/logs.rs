//! `tenet logs`.

use std::io::Write as _;

use anyhow::{Context, Result, bail};
use futures::AsyncReadExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use serde_json::Value;
use tenet_install::names;

use crate::create::{stateful_set, text};
use crate::host::HostArgs;

/// Print the log of a program of the control plane.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the virtual cluster.
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Program: syncer, api, controllers, store, bootstrap, or the name of a container.
    #[arg(long, short, value_name = "PROGRAM", default_value = "syncer")]
    container: String,
    /// Print what is logged from now on, too, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Log of the program before it was last restarted.
    #[arg(long, short)]
    previous: bool,
    /// Number of lines from the end [default: all].
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
}

/// Names of programs, and of the containers in which they may run.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("api", &["kube-apiserver", "k3s", "k0s"]),
    ("controllers", &["kube-controller-manager", "k3s", "k0s"]),
    ("store", &["kine", "etcd", "k3s", "k0s"]),
];

pub(crate) async fn run(args: &Args) -> Result<()> {
    let host = args.host.connect().await?;
    let set = stateful_set(&host, &args.name).await?;
    let container = container(&set, &args.container)?;
    let pods: Api<Pod> = Api::namespaced(host.api.client().clone(), &host.namespace);
    let pod = names::pod(&args.name);
    let params = LogParams {
        container: Some(container.to_owned()),
        follow: args.follow,
        previous: args.previous,
        tail_lines: args.tail.map(i64::from),
        ..LogParams::default()
    };
    let log = pods.log_stream(&pod, &params).await;
    let mut log = std::pin::pin!(log.with_context(|| format!("no log of container {container} in pod {pod}"))?);
    let mut part = vec![0; 16 * 1024];
    loop {
        let length =
            log.read(&mut part).await.with_context(|| format!("the log of container {container} broke off"))?;
        // The reader of the output may have closed it.
        let is_read = std::io::stdout().write_all(&part[..length]).and_then(|()| std::io::stdout().flush()).is_ok();
        if length == 0 || !is_read {
            return Ok(());
        }
    }
}

/// Returns the container of a program in the pod of the control plane.
fn container<'s>(set: &'s Value, program: &str) -> Result<&'s str> {
    let pod = &set["spec"]["template"]["spec"];
    let of = |field: &str| pod[field].as_array().into_iter().flatten().map(|container| text(&container["name"]));
    let all: Vec<&str> = of("initContainers").chain(of("containers")).collect();
    let known = PROGRAMS.iter().find(|(name, _)| *name == program).map_or(&[][..], |(_, containers)| containers);
    match all.iter().find(|name| **name == program || known.contains(*name)) {
        Some(found) => Ok(found),
        None => bail!("the control plane has no program {program:?}: its containers are {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_program_is_found_under_its_short_name_and_under_that_of_its_container() {
        let named = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Value>();
        let pod = json!({
            "initContainers": named(&["bootstrap", "etcd", "kube-apiserver"]),
            "containers": named(&["kube-controller-manager", "syncer"]),
        });
        let set = json!({"spec": {"template": {"spec": pod}}});
        for (program, expected) in [
            ("syncer", "syncer"),
            ("api", "kube-apiserver"),
            ("store", "etcd"),
            ("controllers", "kube-controller-manager"),
            ("etcd", "etcd"),
        ] {
            assert_eq!(container(&set, program).unwrap(), expected);
        }
        let error = container(&set, "scheduler").unwrap_err().to_string();
        assert!(error.ends_with("bootstrap, etcd, kube-apiserver, kube-controller-manager, syncer"), "{error}");
    }
}

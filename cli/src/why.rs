//! `tenet why`.

mod cluster;
mod explain;
mod facts;
mod remedy;
mod resource;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::RightsOf;
use crate::output::{Output, print};
use cluster::VirtualCluster;
use explain::Explanation;

/// Explain the state of an object inside: what was decided about it, what was written last, and what blocks it.
///
/// Names are those inside. The context is one of the host, or one of the virtual cluster itself: then nothing of the
/// host is read, unless --host-context or --host-kubeconfig names it. The exit code is 1 if something blocks the
/// object.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind and name inside, such as `pod/nginx` or `ingress.networking.k8s.io/web`.
    #[arg(value_name = "KIND/NAME")]
    object: String,
    /// Namespace inside.
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Name of the virtual cluster [default: the only one in the host namespace].
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Host namespace of the virtual cluster [default: that of the context].
    #[arg(long, value_name = "NAME")]
    host_namespace: Option<String>,
    /// Kubeconfig of the host, or of the virtual cluster [default: `KUBECONFIG`, or `~/.kube/config`].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig [default: the current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Kubeconfig of the host, when the other one leads to the virtual cluster.
    #[arg(long, value_name = "FILE")]
    host_kubeconfig: Option<PathBuf>,
    /// Context of the host, when the other one leads to the virtual cluster.
    #[arg(long, value_name = "NAME")]
    host_context: Option<String>,
    /// Format of the output.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(crate) async fn run(args: &Args, rights_of: RightsOf) -> Result<ExitCode> {
    let (kind, name) = args
        .object
        .split_once('/')
        .filter(|(kind, name)| !kind.is_empty() && !name.is_empty() && !name.contains('/'))
        .with_context(|| format!("{:?} names no object: expected KIND/NAME, such as pod/nginx", args.object))?;
    let cluster = VirtualCluster::find(args).await?;
    let resource = resource::find(&cluster.inside, kind).await?;
    let facts = facts::gather(&cluster, &resource, &args.namespace, name, rights_of).await?;
    let explanation = explain::explain(&facts);
    show(&explanation, args.output)?;
    Ok(if explanation.is_blocked { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(explanation: &Explanation, output: Output) -> Result<()> {
    if output == Output::Table {
        println!("{explanation}");
        return Ok(());
    }
    print(&[explanation.row()], output, &[])
}

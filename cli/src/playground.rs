//! `tenet playground`.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use tenet_playground::{Command, Component, Components, Options, Playground, Progress};

use crate::{demo, end::Ends, kubectl::Kubectl};

mod real;
mod welcome;

use welcome::Welcome;

/// Start a host and a virtual cluster on this machine, with a syncer between them.
///
/// Both are real Kubernetes control planes, run as plain processes; kwok provides nodes on which pods become
/// Running. The first start downloads or builds the Kubernetes components; to build them all takes about ten minutes on
/// two cores.
///
/// All servers listen on 127.0.0.1. kwok runs the commands of `kubectl exec` as local processes of your user and
/// authenticates nobody: do not run a playground on a machine that you share with people you do not trust.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub(crate) struct Args {
    /// Walk through the actions of a tenant, show both sides as they change, and verify every step.
    #[arg(long)]
    demo: bool,
    /// End after the walk (or, without --demo, when the playground is up); status 0 only if everything succeeded.
    #[arg(long)]
    exit: bool,
    /// Folder for all files of this run [default: tenet/playground in the user's state folder].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Number of host nodes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: u16,
    /// Start no syncer, and print the command that starts one.
    #[arg(long, conflicts_with = "demo")]
    no_syncer: bool,
    /// Name of the virtual cluster.
    #[arg(long, default_value = "vc-1", value_parser = dns_label)]
    name: String,
    /// Its namespace on the host [default: tenet-NAME].
    #[arg(long, value_parser = dns_label)]
    namespace: Option<String>,
    /// Let the syncer read the nodes of the host, which is a cluster-wide right.
    #[arg(long)]
    node_access: bool,
    /// Leave out the metrics server; `kubectl top` then has no answer.
    #[arg(long)]
    no_metrics: bool,
    /// Start a host whose nodes run containers instead, without a virtual cluster: for `tenet create`. Needs root on Linux,
    /// containerd, runc and CNI plugins.
    #[arg(long, conflicts_with_all = ["demo", "no_syncer", "name", "namespace", "node_access", "no_metrics"])]
    real: bool,
    /// Only build the missing Kubernetes components.
    #[arg(long, conflicts_with_all = ["demo", "exit", "dir", "no_syncer", "real"])]
    build_only: bool,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let progress = Progress::stderr();
    let ended = if args.real { real::live(args, &progress).await } else { live(args, &progress).await };
    // Before the error is printed, or the bar would be drawn over it.
    progress.clear();
    ended
}

/// Runs the playground from its start to its end.
async fn live(args: &Args, progress: &Progress) -> Result<ExitCode> {
    let mut ends = Ends::new()?;
    let playground = tokio::select! {
        end = ends.next() => return Ok(end.status()),
        playground = start(args, progress) => match playground? {
            Some(playground) => playground,
            None => return Ok(ExitCode::SUCCESS),
        },
    };
    let status = visit(args, &playground, &mut ends).await;
    progress.note("\nending all processes");
    tokio::select! {
        // A second signal ends at once: the guard kills the remaining processes.
        end = ends.next() => return Ok(end.status()),
        () = playground.shutdown() => {}
    }
    status
}

/// Runs from the moment the playground is ready until it has to end.
async fn visit(args: &Args, playground: &Playground, ends: &mut Ends) -> Result<ExitCode> {
    let kubectl = Kubectl::find(playground.components());
    let mut status = ExitCode::SUCCESS;
    if args.demo {
        let walk = demo::Walk::new(playground, &args.name, &kubectl);
        let verified = tokio::select! {
            end = ends.next() => return Ok(end.status()),
            died = playground.until_died() => return Err(died.into()),
            verified = walk.run() => verified?,
        };
        if !verified {
            status = ExitCode::FAILURE;
        }
    }
    if args.exit {
        return Ok(status);
    }
    println!("{}", welcome(args, playground, &kubectl)?);
    tokio::select! {
        _ = ends.next() => Ok(status),
        died = playground.until_died() => Err(died.into()),
    }
}

async fn start(args: &Args, progress: &Progress) -> Result<Option<Playground>> {
    let started = Instant::now();
    if args.build_only {
        let mut components = Components::locate_or_build(progress).await?;
        if !args.no_metrics {
            components.add_if_possible(Component::MetricsServer, progress).await;
        }
        progress.note("all components are there");
        return Ok(None);
    }
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => Playground::default_dir()?,
    };
    let options = Options {
        dir: Some(dir),
        name: args.name.clone(),
        namespace: args.namespace.clone(),
        nodes: usize::from(args.nodes),
        node_access: args.node_access,
        metrics: !args.no_metrics,
        progress: progress.clone(),
        ..Options::default()
    };
    let playground = Playground::start(options).await?;
    let syncer = syncer_command(&playground)?;
    if args.no_syncer {
        playground.give_declared_rights(&syncer).await?;
    } else {
        progress.step("starting the syncer");
        playground.start_syncer(&syncer).await?;
    }
    progress.clear();
    println!("The playground is ready after {:.1} s.\n", started.elapsed().as_secs_f64());
    Ok(Some(playground))
}

fn welcome(args: &Args, playground: &Playground, kubectl: &Kubectl) -> Result<String> {
    Ok(Welcome {
        dir: playground.dir(),
        virtual_kubeconfig: playground.virtual_kubeconfig(),
        host_kubeconfig: playground.host_kubeconfig(),
        namespace: playground.namespace(),
        alias: kubectl.alias(),
        syncer: if args.no_syncer { Some(syncer_command(playground)?.line()) } else { None },
    }
    .to_string())
}

/// Returns the command that runs this program again as a syncer.
fn syncer_command(playground: &Playground) -> Result<Command> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    Ok(Command::new(program).arg("syncer").arg("--config").arg(playground.syncer_config()))
}

/// Checks a name. It is used for namespaces and Services, and as a part of the names of all copies.
fn dns_label(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("it is made of lower-case letters, digits and inner hyphens, and starts with a letter".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["vc-1", "a", "team-a2"] {
            assert!(dns_label(good).is_ok(), "{good}");
        }
        for bad in ["", "VC", "1vc", "-a", "a-", "a.b", "a_b"] {
            assert!(dns_label(bad).is_err(), "{bad}");
        }
    }
}

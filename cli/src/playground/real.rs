//! `tenet playground --real`.

use std::{fmt, path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, Result, bail};
use tenet_playground::{DistroProgram, Progress, RealHost, RealHostOptions, RealNode, RealNodeError};

use super::{Args, Playground};
use crate::{end::Ends, kubectl::Kubectl};

/// Most nodes of a real host.
const MOST_NODES: u16 = 8;

/// Runs a real host until it has to end.
pub(super) async fn live(args: &Args, progress: &Progress) -> Result<ExitCode> {
    if args.nodes > MOST_NODES {
        bail!("--nodes {}: a host of --real has at most {MOST_NODES} nodes", args.nodes);
    }
    let started = Instant::now();
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let options = RealHostOptions {
        dir: Some(args.dir.clone().map_or_else(Playground::default_dir, Ok)?),
        nodes: usize::from(args.nodes),
        syncer: (program, vec!["syncer".to_owned()]),
        distros: DistroProgram::given(),
        progress: progress.clone(),
    };
    let mut ends = Ends::new()?;
    let host = tokio::select! {
        end = ends.next() => return Ok(end.status()),
        host = RealHost::start(options) => host,
    };
    let host = match host {
        Err(RealNodeError::Machine(why)) => bail!("this machine cannot run nodes: {why}"),
        host => host?,
    };
    println!("The host is ready after {:.1} s.\n", started.elapsed().as_secs_f64());
    if args.exit {
        return Ok(ExitCode::SUCCESS);
    }
    let kubectl = Kubectl::find(host.components());
    let welcome = Welcome { kubeconfig: host.kubeconfig(), values: host.values(), alias: kubectl.alias() };
    println!("{welcome}");
    let status = tokio::select! {
        _ = ends.next() => Ok(ExitCode::SUCCESS),
        died = host.until_died() => Err(died.into()),
    };
    progress.note("\nending all processes");
    drop(host);
    status
}

/// Text that is printed when the host is up.
struct Welcome<'a> {
    kubeconfig: &'a Path,
    values: &'a Path,
    /// Alias line that selects a fitting `kubectl`.
    alias: Option<String>,
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Try next, in another terminal:\n")?;
        if let Some(alias) = &self.alias {
            writeln!(f, "  {alias}")?;
        }
        writeln!(f, "  export KUBECONFIG={}", self.kubeconfig.display())?;
        writeln!(f, "  kubectl create namespace vcluster-1")?;
        writeln!(f, "  tenet create vcluster-1 -n vcluster-1 -f {}", self.values.display())?;
        writeln!(f, "  tenet connect vcluster-1 -n vcluster-1")?;
        writeln!(f, "  kubectl run hello --image={} --command -- sleep 3600", RealNode::IMAGE)?;
        writeln!(
            f,
            "\nThe nodes have the images that {} names, and {}; they pull no others.",
            self.values.display(),
            RealNode::IMAGE
        )?;
        write!(f, "\nCtrl-C ends every process and removes the nodes.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_steps_use_the_files_of_the_host() {
        let welcome =
            Welcome { kubeconfig: Path::new("/p/kubeconfig"), values: Path::new("/p/value.yaml"), alias: None };
        let text = welcome.to_string();
        for part in
            ["  export KUBECONFIG=/p/kubeconfig\n", "  tenet create vcluster-1 -n vcluster-1 -f /p/value.yaml\n"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}

//! Kills of the syncer, the API servers and the stores, at random times.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tenet_playground::{Command, Component, ControlPlane, PlaneError, Playground, ProcessError};
use tokio::time::{Instant, sleep};

use super::network::Network;
use crate::random::Random;

/// Attempts to start a component again. Its port may be taken, or another component may have ended with it.
const ATTEMPTS: u32 = 5;

/// Kills processes (SIGKILL) and starts them again until `length` has passed.
pub(super) async fn run(
    playground: &Playground,
    command: &Command,
    network: &Network,
    seed: u64,
    length: Duration,
) -> Result<()> {
    let mut random = Random::of(seed, "kills");
    let end = Instant::now() + length;
    loop {
        let pause = random.millis(4_000, 25_000);
        let outage = random.millis(0, 6_000);
        if Instant::now() + pause + outage > end {
            sleep(end.saturating_duration_since(Instant::now())).await;
            for plane in [playground.host_plane(), playground.virtual_plane()] {
                if plane.died().is_some() {
                    plane.start_again().await?;
                }
            }
            return Ok(playground.restart_kubelets().await?);
        }
        sleep(pause).await;
        let planes = [("host", playground.host_plane()), ("virtual", playground.virtual_plane())];
        let choice = random.below(10);
        let (side, plane) = planes[usize::from(choice % 2 == 1)];
        let component = match choice {
            0..6 => {
                network.count("kill -9 of the syncer");
                playground.kill_syncer();
                sleep(outage).await;
                playground.launch_syncer(command)?;
                continue;
            }
            6..8 => Component::ApiServer,
            _ => Component::Etcd,
        };
        network.count(&format!("kill -9 of {component} ({side})"));
        plane.kill(component);
        sleep(outage).await;
        revive(plane, component).await.with_context(|| format!("{component} of {side} does not start again"))?;
        if side == "host" {
            // A kubelet tries again what failed meanwhile, until it succeeds. These do not, unless they start again.
            playground.restart_kubelets().await?;
        }
        if playground.syncer_died().is_some() {
            // A supervisor would start it again as well.
            network.count("syncer ended by itself");
            playground.launch_syncer(command)?;
        }
    }
}

/// Starts a component again, and everything that has ended with it.
async fn revive(plane: &ControlPlane, component: Component) -> Result<()> {
    for _ in 0..ATTEMPTS {
        match plane.restart(component).await {
            Ok(()) => return Ok(()),
            // A scheduler ends when it has seen a pod on two nodes, since an answer to its binding was lost.
            Err(PlaneError::Process(ProcessError::Died(died))) => {
                eprintln!("faults: {} ended ({}); starting its control plane again", died.name, died.status);
            }
            Err(error) => eprintln!("faults: {error}; starting the control plane again"),
        }
        if plane.start_again().await.is_ok() {
            return Ok(());
        }
    }
    bail!("gave up after {ATTEMPTS} attempts")
}

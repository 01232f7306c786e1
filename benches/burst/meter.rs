//! CPU time of every process of a playground during a phase.

use std::time::Instant;

use anyhow::Result;
use tenet_playground::{Component, Playground};

use crate::quantiles::millis;
use crate::results::Cpu;
use crate::usage;

/// Name for all processes on the machine that do not belong to the bench.
pub const OTHERS: &str = "others on this machine";
/// Name for the syncer under test.
pub const SYNCER: &str = "syncer";

/// CPU times at the start of a phase.
pub struct Meter {
    processes: Vec<(String, u32, u64)>,
    machine: u64,
    start: Instant,
}

impl Meter {
    /// Reads the start values.
    pub fn start(playground: &Playground) -> Self {
        let read = |(name, pid)| (name, pid, usage::cpu_millis(pid));
        Self {
            processes: processes(playground).into_iter().map(read).collect(),
            machine: usage::machine_millis(),
            start: Instant::now(),
        }
    }

    /// Returns the CPU time used since the start.
    pub fn read(&self) -> Vec<Cpu> {
        let used = |(name, pid, start): &(String, u32, u64)| Cpu {
            process: name.clone(),
            millis: usage::cpu_millis(*pid).saturating_sub(*start),
        };
        let mut all: Vec<_> = self.processes.iter().map(used).collect();
        let ours: u64 = all.iter().map(|cpu| cpu.millis).sum();
        let machine = usage::machine_millis() - self.machine;
        all.push(Cpu { process: OTHERS.to_owned(), millis: machine.saturating_sub(ours) });
        all
    }

    /// Returns the share of the machine that foreign processes used since the start, in percent.
    #[allow(clippy::cast_precision_loss)] // A precision of 52 bits is enough for a report.
    pub fn others_percent(&self) -> Result<f64> {
        let others = self.read().pop().map_or(0, |cpu| cpu.millis) as f64;
        let cores = std::thread::available_parallelism()?.get() as f64;
        Ok(others / (millis(self.start.elapsed()) * cores) * 100.0)
    }
}

fn processes(playground: &Playground) -> Vec<(String, u32)> {
    let components = [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::Scheduler];
    let planes = [("virtual", playground.virtual_plane()), ("host", playground.host_plane())];
    let mut all: Vec<_> = planes
        .into_iter()
        .flat_map(|(side, plane)| components.map(|component| (format!("{side} {component}"), plane.pid(component))))
        .filter_map(|(name, pid)| Some((name, pid?)))
        .collect();
    all.extend(usage::children().into_iter().filter(|(_, name)| name == "kwok").map(|(pid, name)| (name, pid)));
    all.push(("bench".to_owned(), std::process::id()));
    all.extend(playground.syncer_pid().map(|pid| (SYNCER.to_owned(), pid)));
    all
}

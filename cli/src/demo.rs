//! Walk through the actions of a tenant, which shows both sides and verifies every step.

mod checks;
mod screen;
mod script;
mod snapshot;
mod table;
mod talk;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tenet_playground::Playground;

use crate::kubectl::{self, Kubectl};
use screen::Screen;
use script::Step;
use snapshot::Snapshot;

/// Time limit of a step; on an idle machine each takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Walk through one playground.
pub(crate) struct Walk<'a> {
    playground: &'a Playground,
    name: &'a str,
    kubectl: &'a Kubectl,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(playground: &'a Playground, name: &'a str, kubectl: &'a Kubectl) -> Self {
        Self { playground, name, kubectl }
    }

    /// Runs every step, and returns true if all were verified. The first step that is not verified ends the walk.
    pub(crate) async fn run(&self) -> Result<bool> {
        println!("The walk. Every command is one of kubectl, with");
        println!("  export KUBECONFIG={}\n", self.playground.virtual_kubeconfig().display());
        let steps = script::steps(&self.write_manifests()?);
        let started = Instant::now();
        for (index, step) in steps.iter().enumerate() {
            println!("({} of {}) {}", index + 1, steps.len(), step.title);
            if !self.take(step).await? {
                return Ok(false);
            }
        }
        println!("The walk is over: all {} steps verified in {:.1} s.\n", steps.len(), started.elapsed().as_secs_f64());
        Ok(true)
    }

    async fn take(&self, step: &Step) -> Result<bool> {
        let started = Instant::now();
        for command in &step.commands {
            println!("  $ {}", kubectl::line(command));
            self.perform(command).await?;
        }
        let mut screen = Screen::new();
        loop {
            let snapshot = Snapshot::take(self.playground, self.name).await?;
            screen.show(&table::side_by_side(&snapshot));
            match (step.check)(&snapshot) {
                Ok(()) => {
                    screen.settle();
                    if !self.talk(step).await {
                        return Ok(false);
                    }
                    println!("  ok ({:.1} s): {}\n", started.elapsed().as_secs_f64(), step.promise);
                    return Ok(true);
                }
                Err(mismatch) if started.elapsed() > PATIENCE => {
                    screen.settle();
                    println!("  FAILED after {} s", PATIENCE.as_secs());
                    println!("    expected: {}", step.promise);
                    println!("    found:    {mismatch}");
                    println!("    the syncer's log: {}\n", self.playground.syncer_log().display());
                    return Ok(false);
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn perform(&self, args: &[String]) -> Result<()> {
        let cache = self.cache();
        let output = self.tenant(&cache).command(args).output().await;
        let output = output.with_context(|| self.kubectl.pinned.display().to_string())?;
        if !output.status.success() {
            bail!("{}: {}", kubectl::line(args), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Returns true if every talk gets the expected answer.
    async fn talk(&self, step: &Step) -> bool {
        let cache = self.cache();
        for talk in &step.talks {
            println!("  $ {}", kubectl::line(&talk.command));
            match self.tenant(&cache).talk(talk).await {
                Ok(answer) => answer.lines().for_each(|line| println!("  {line}")),
                Err(error) => {
                    println!("  FAILED: {error:#}");
                    println!("    the syncer's log: {}\n", self.playground.syncer_log().display());
                    return false;
                }
            }
        }
        true
    }

    fn tenant<'k>(&'k self, cache: &'k Path) -> talk::Kubectl<'k> {
        let kubeconfig = self.playground.virtual_kubeconfig();
        talk::Kubectl { program: &self.kubectl.pinned, kubeconfig, cache }
    }

    fn cache(&self) -> PathBuf {
        self.playground.dir().join("kubectl-cache")
    }

    fn write_manifests(&self) -> Result<script::Manifests> {
        let dir = self.playground.dir().join("demo");
        let mounts = dir.join("mounts.yaml");
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        fs::write(&mounts, script::MOUNTS).with_context(|| mounts.display().to_string())?;
        Ok(script::Manifests { mounts })
    }
}

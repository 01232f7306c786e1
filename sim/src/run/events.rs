//! Events of a world, in their order: the acts and faults of its script, and what follows from them.

use std::time::Duration;

use tenet_mapper::Side;

use super::World;
use crate::oracle::SYNCER;
use crate::random::Random;
use crate::script::{Act, Fault, Moment, Planned};
use crate::syncer::{Extent, GRACE, Setup, Syncer};

/// Milliseconds in which a pod gets its host pod when nothing holds it any more: a full quota is probed every 5
/// seconds, and each pod that finds room lets two others try.
const CROSSED: u64 = 12_000;

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Act(Act),
    Begin(Planned),
    /// A backup is made, for the fault with this number.
    Backup(usize, Side),
    /// A backup is restored.
    Restore(usize, Side),
    Start,
    EndOther(usize),
    /// These pods, by their UIDs, should have got their host pods by now.
    Crossed(Vec<String>),
    /// The last fault ends.
    End,
}

impl World {
    pub(super) fn plan_script(&mut self) {
        self.plan(self.script.end(), Event::End);
        for step in self.script.steps.clone() {
            self.plan(step.at, Event::Act(step.act));
        }
        for (number, planned) in self.script.faults.clone().into_iter().enumerate() {
            if let Fault::Rewind(side, back) = planned.fault {
                self.plan(planned.at.saturating_sub(back), Event::Backup(number, side));
                self.plan(planned.at, Event::Restore(number, side));
            } else {
                self.plan(planned.at, Event::Begin(planned));
            }
        }
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), event);
    }

    pub(super) fn plan_in(&mut self, millis: u64, event: Event) {
        let now = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.plan(now + millis, event);
    }

    pub(super) fn happen(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Act(act) => self.act(&act),
            Event::Begin(planned) => self.begin(planned)?,
            Event::Backup(number, side) => drop(self.backups.insert(number, self.clusters.of(side).snapshot())),
            Event::Restore(number, side) => {
                if let Some(backup) = self.backups.get(&number) {
                    self.clusters.of(side).restore(backup);
                    self.renew("rewind");
                }
            }
            Event::Start => self.syncer.start()?,
            Event::End => {}
            Event::Crossed(due) => self.oracle.lock().check_crossed(&self.clusters, &due),
            Event::EndOther(index) => {
                if let Some(other) = self.others.get_mut(index) {
                    other.kill();
                }
            }
        }
        Ok(())
    }

    fn act(&mut self, act: &Act) {
        if act.is_of_tenant() {
            let mut tenant = self.tenant.lock();
            tenant.intend(act.clone());
            tenant.act();
            drop(tenant);
            if matches!(act, Act::Ungate(_)) {
                self.expect_pods();
            }
            return;
        }
        match act {
            Act::NodeDown(index) => self.nodes.lock().fail(*index),
            Act::NodeUp(index) => self.nodes.lock().recover(*index),
            Act::Quota(pods) => {
                self.oracle.lock().check_refused(&self.clusters, self.clock.now());
                self.user.allow(*pods);
                self.expect_pods();
            }
            act => {
                if self.user.act(act) && matches!(act, Act::Damage(..)) {
                    self.network.count("hostile writer");
                }
            }
        }
        self.nodes_changed.notify_one();
    }

    /// Expects that the pods which should run get their host pods soon.
    fn expect_pods(&mut self) {
        let due = self.oracle.lock().due(&self.clusters);
        if !due.is_empty() {
            self.plan_in(CROSSED, Event::Crossed(due));
        }
    }

    fn begin(&mut self, planned: Planned) -> anyhow::Result<()> {
        let length = Duration::from_millis(planned.length);
        self.oracle.lock().note(format!("{:?} fault {:?} for {length:?}", self.clock.elapsed(), planned.fault));
        match planned.fault {
            Fault::Crash(Moment::Poll(polls)) => {
                if let Some(process) = self.syncer.process() {
                    process.kill_after(polls);
                    self.network.count(planned.fault.kind());
                }
                self.pause = planned.length;
            }
            Fault::Crash(_) => {
                self.network.begin(planned);
                self.pause = planned.length;
            }
            Fault::Stop => {
                self.syncer.stop();
                self.network.count(planned.fault.kind());
                self.plan_in(GRACE + planned.length, Event::Start);
            }
            Fault::Freeze => {
                if let Some(process) = self.syncer.process() {
                    process.freeze(length);
                    self.oracle.lock().freeze(length);
                    self.network.count(planned.fault.kind());
                }
            }
            Fault::Cut(side) => {
                self.clusters.of(side).cut_watches();
                self.network.count(planned.fault.kind());
            }
            Fault::Compact(side) | Fault::Expire(side) => {
                let cluster = self.clusters.of(side);
                cluster.set_refuses_expired(matches!(planned.fault, Fault::Expire(_)));
                cluster.compact(cluster.version());
                cluster.cut_watches();
                self.network.count(planned.fault.kind());
            }
            Fault::Replace(side) => {
                self.clusters.of(side).replace();
                self.renew(planned.fault.kind());
            }
            Fault::Second | Fault::Wrong(_) => {
                let setup = match planned.fault {
                    Fault::Wrong(wiring) => Setup::Wrong(wiring),
                    _ => Setup::Right,
                };
                let (index, random) = (self.others.len(), Random::new(planned.seed));
                let user = format!("{SYNCER}-{}", index + 2);
                let extent = Extent::of(&self.script);
                let mut other = Syncer::new(&user, setup, extent, &self.network, self.clock, &self.polls, random);
                other.start()?;
                self.others.push(other);
                self.network.count(planned.fault.kind());
                self.plan_in(planned.length, Event::EndOther(index));
            }
            _ => self.network.begin(planned),
        }
        if misses_events(planned.fault) {
            self.oracle.lock().blind(length + Duration::from_secs(90));
        }
        Ok(())
    }

    /// The oracle starts anew after a cluster went back or was replaced.
    fn renew(&mut self, kind: &'static str) {
        self.network.count(kind);
        self.oracle.lock().forget(&self.clusters.virt);
    }

    /// Ends all faults, and lets the syncer run.
    pub(super) fn recover(&mut self) -> anyhow::Result<()> {
        self.network.heal();
        if let Some(process) = self.syncer.process() {
            process.spare();
        }
        self.others.iter_mut().for_each(Syncer::kill);
        self.user.allow(None);
        self.nodes.lock().heal();
        self.nodes_changed.notify_one();
        self.oracle.lock().note(format!("{:?} all faults have ended", self.clock.elapsed()));
        self.syncer.start()
    }
}

/// Returns true if the syncer may miss the end of an object during a fault.
fn misses_events(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Crash(_)
            | Fault::Stop
            | Fault::Silence(_)
            | Fault::Swallow(..)
            | Fault::Compact(_)
            | Fault::Expire(_)
            | Fault::Status { .. }
            | Fault::Stale(..)
            | Fault::Replace(_)
            | Fault::Drop(..)
            | Fault::Hang(..)
            | Fault::LostAnswer(..)
            | Fault::HangAnswer(..)
    )
}

//! Measurement of one subject: fresh clusters, possibly a syncer between them, and the requested phases.

use std::time::Duration;

use anyhow::Result;
use tenet_playground::Command;
use tokio::time::sleep;

use crate::admin::Admin;
use crate::args::{Args, Word};
use crate::lab::Lab;
use crate::phases::{self, Pods};
use crate::replayer::Replayer;
use crate::results::{Footprint, Subject};
use crate::usage::Memory;

/// Pause after which allocators have returned most of the free memory.
const SETTLE: Duration = Duration::from_secs(10);
const START_LIMIT: Duration = Duration::from_secs(60);

/// Measures a subject. An error is stored in the result.
pub async fn measure(args: &Args, word: Word) -> Subject {
    let name = match word {
        Word::Direct => "direct",
        Word::Ideal => "ideal",
        _ => "tenet",
    };
    let mut subject = Subject { name, ..Subject::default() };
    if let Err(error) = run(args, word, &mut subject).await {
        eprintln!("{name}: {error:#}");
        subject.trouble = Some(format!("{error:#}"));
    }
    subject
}

async fn run(args: &Args, word: Word, subject: &mut Subject) -> Result<()> {
    say(subject, "starting two control planes");
    let lab = Lab::start(args, subject.name).await?;
    let result = match word {
        Word::Direct => direct(args, &lab, subject).await,
        Word::Ideal => {
            // It has the identity of the syncer, and so its rights.
            lab.playground.give_declared_rights(&command(args, &lab)).await?;
            let _replayer = Replayer::start(&lab).await?;
            inside(args, &lab, subject).await
        }
        _ => {
            lab.playground.start_syncer(&command(args, &lab)).await?;
            Admin(lab.playground.admin_port()).until_converged(START_LIMIT).await?;
            inside(args, &lab, subject).await
        }
    };
    lab.playground.shutdown().await;
    result
}

/// Returns the command that runs the syncer under test.
pub fn command(args: &Args, lab: &Lab) -> Command {
    Command::new(&args.syncer).arg("--config").arg(lab.playground.syncer_config())
}

async fn direct(args: &Args, lab: &Lab, subject: &mut Subject) -> Result<()> {
    if !args.bursts() {
        return Ok(());
    }
    say(subject, "burst");
    let pods = Pods::on_host(lab, args.pods).await?;
    subject.burst = Some(phases::burst(lab, &pods).await?);
    say(subject, "delete");
    subject.delete = Some(phases::delete(lab, &pods).await?);
    Ok(())
}

async fn inside(args: &Args, lab: &Lab, subject: &mut Subject) -> Result<()> {
    if args.bursts() {
        sleep(SETTLE / 2).await;
        let idle = weigh(lab).await;
        say(subject, "burst");
        let pods = Pods::inside(lab, args.pods).await?;
        subject.burst = Some(phases::burst(lab, &pods).await?);
        sleep(SETTLE).await;
        subject.memory = idle.zip(weigh(lab).await).map(|((idle, before), (settled, after))| Footprint {
            idle,
            settled,
            cached_bytes: after.saturating_sub(before),
        });
        hold(args, lab, subject).await?;
        if args.includes(Word::Delete) {
            say(subject, "delete");
            subject.delete = Some(phases::delete(lab, &pods).await?);
        }
    }
    if args.churns() && lab.playground.syncer_pid().is_some() {
        sleep(SETTLE / 2).await;
        say(subject, "churn");
        subject.churn = Some(phases::churn(args, lab).await?);
    }
    if args.includes(Word::Trickle) {
        say(subject, "trickle");
        subject.trickle = Some(phases::trickle(args, lab).await?);
    }
    Ok(())
}

/// Returns the memory of the syncer and the bytes of its caches; `None` without a syncer.
async fn weigh(lab: &Lab) -> Option<(Memory, u64)> {
    let pid = lab.playground.syncer_pid()?;
    let cached = Admin(lab.playground.admin_port()).cached_bytes().await.unwrap_or(0);
    Some((Memory::of(pid), cached))
}

/// Measures the phases that need the pods of the burst.
async fn hold(args: &Args, lab: &Lab, subject: &mut Subject) -> Result<()> {
    if lab.playground.syncer_pid().is_none() {
        return Ok(());
    }
    if args.includes(Word::Rest) {
        say(subject, "rest");
        subject.rest = Some(phases::rest(args, lab).await?);
    }
    if args.includes(Word::Restart) {
        say(subject, "restart");
        subject.restart = Some(phases::restart(args, lab).await?);
    }
    Ok(())
}

fn say(subject: &Subject, what: &str) {
    eprintln!("{}: {what}", subject.name);
}

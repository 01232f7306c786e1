//! Performance targets and the measured values.

use crate::audit;
use crate::meter;
use crate::quantiles::Quantiles;
use crate::report::syncer::rss_bytes_per_pod;
use crate::report::{number, table};
use crate::results::{Results, Subject};

/// Figure with an upper bound.
struct Target {
    name: &'static str,
    most: f64,
    unit: &'static str,
    measured: Option<f64>,
    /// Number of pods that the target is defined for.
    pods: Option<usize>,
}

/// Renders target, measured value, and whether it is met.
pub fn all(results: &Results) -> Option<String> {
    let tenet = results.subject("tenet")?;
    let rows = targets(results, tenet).into_iter().filter_map(|target| row(results, &target)).collect();
    table("Targets", &["", "target", "measured", "met"], rows)
}

fn row(results: &Results, target: &Target) -> Option<Vec<String>> {
    let measured = target.measured?;
    let at = target.pods.filter(|pods| *pods != results.pods);
    let name = at.map_or_else(|| target.name.to_owned(), |pods| format!("{} (at {pods} pods)", target.name));
    let met = match (measured <= target.most, at) {
        (true, None) => "yes",
        (false, None) => "no",
        (true, Some(_)) => "yes, at another size",
        (false, Some(_)) => "no, at another size",
    };
    let text = |value: f64| format!("{}{}", number(value), target.unit);
    Some(vec![name, format!("<= {}", text(target.most)), text(measured), met.to_owned()])
}

fn targets(results: &Results, tenet: &Subject) -> Vec<Target> {
    let seconds = |subject: &Subject| subject.burst.as_ref().map(|burst| burst.seconds);
    let ratio = seconds(tenet).zip(results.subject("ideal").and_then(seconds)).map(|(own, ideal)| own / ideal);
    let cpu = tenet.burst.as_ref().and_then(|burst| burst.cpu.iter().find(|cpu| cpu.process == meter::SYNCER));
    let idle = tenet.memory.as_ref().map(|held| count(held.idle.resident) / 1024.0);
    let lags = tenet.trickle.as_ref().map(|trickle| trickle.lags);
    let (down, up) = (lags.and_then(|lags| lags.down), lags.and_then(|lags| lags.up));
    let rest = tenet.rest.as_ref().map(|rest| audit::writes(&rest.calls));
    let restart = tenet.restart.as_ref();
    let part = |way: Option<Quantiles>, pick: fn(Quantiles) -> f64| way.map(pick);
    vec![
        target("burst: Running, against ideal", 1.15, "x", ratio),
        target("memory, idle", 15.0, " MiB", idle),
        target("memory, for each pod", 8.0, " KiB", rss_bytes_per_pod(results, tenet).map(|bytes| bytes / 1024.0))
            .at(3000),
        target("CPU-ms, for each pod", 3.0, " ms", cpu.map(|cpu| results.per_pod(cpu.millis))),
        target("trickle: create -> host, p50", 5.0, " ms", part(down, |way| way.p50)),
        target("trickle: create -> host, p99", 25.0, " ms", part(down, |way| way.p99)),
        target("trickle: Running -> inside, p50", 5.0, " ms", part(up, |way| way.p50)),
        target("trickle: Running -> inside, p99", 25.0, " ms", part(up, |way| way.p99)),
        target("writes at rest", 0.0, "", rest.map(|writes| count(writes as u64))),
        target("restart: converged", 3.0, " s", restart.map(|restart| restart.converged_seconds)).at(3000),
        target("restart: writes", 0.0, "", restart.map(|restart| count(audit::writes(&restart.calls) as u64))),
    ]
}

fn target(name: &'static str, most: f64, unit: &'static str, measured: Option<f64>) -> Target {
    Target { name, most, unit, measured, pods: None }
}

impl Target {
    fn at(self, pods: usize) -> Self {
        Self { pods: Some(pods), ..self }
    }
}

#[allow(clippy::cast_precision_loss)] // A precision of 52 bits is enough for a report.
fn count(value: u64) -> f64 {
    value as f64
}

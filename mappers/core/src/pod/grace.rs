//! Grace periods. A pod that may take days to end holds a node of the host that is being drained.

use serde_json::{Value, json};
use tenet_mapper::Deletion;

use super::config::Pods;
use super::{Subject, containers};

/// Times of a container that its end may take. The API server refuses a sleep beyond the grace period.
const OF_CONTAINERS: [&str; 5] = [
    "/livenessProbe/terminationGracePeriodSeconds",
    "/readinessProbe/terminationGracePeriodSeconds",
    "/startupProbe/terminationGracePeriodSeconds",
    "/lifecycle/postStart/sleep/seconds",
    "/lifecycle/preStop/sleep/seconds",
];

/// Shortens the grace periods of a host pod that are longer than allowed, and returns a remark about it.
pub(super) fn cap(pods: &Pods, host: &mut Value) -> Option<String> {
    let most = longest(pods);
    let of_containers = containers(host).into_iter().flat_map(|at| OF_CONTAINERS.map(|time| format!("{at}{time}")));
    let fields: Vec<_> = ["/spec/terminationGracePeriodSeconds".to_owned()].into_iter().chain(of_containers).collect();
    let mut shortened = Vec::new();
    for field in fields {
        let Some(value) = host.pointer_mut(&field) else { continue };
        if value.as_i64().is_some_and(|asked| asked > most) {
            shortened.push(format!("{}: {value} is {most} on the host", tenet_mapper::pointer::field(&field)));
            *value = json!(most);
        }
    }
    let reason = "which is the longest grace period that pods.maxTerminationGracePeriod allows";
    (!shortened.is_empty()).then(|| format!("{}, {reason}", shortened.join(", ")))
}

/// Shortens the grace period of a delete to the longest that is allowed.
pub(super) fn shorten(pod: &Subject<'_, '_>, deletion: Deletion) -> Deletion {
    deletion.within(longest(&pod.cx.section::<Pods>()))
}

fn longest(pods: &Pods) -> i64 {
    i64::try_from(pods.max_termination_grace_period.as_secs()).unwrap_or(i64::MAX)
}

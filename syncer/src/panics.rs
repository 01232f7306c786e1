//! Containment of panics. A panic is a bug in code, often in that of a mapper; each costs one object or one
//! round of a task, and is counted.

use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::sleep;

use crate::metrics::Metrics;

/// Pause before a task that panicked starts again.
const PAUSE: Duration = Duration::from_secs(1);

/// Handles one object. Returns `None` if that panicked: the object is skipped until it changes again.
pub fn contain<T>(
    metrics: Option<&Metrics>,
    task: &'static str,
    object: impl Display,
    handle: impl FnOnce() -> T,
) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(handle));
    if result.is_err() {
        if let Some(metrics) = metrics {
            metrics.task_panicked(task);
        }
        tracing::error!(task, %object, "task panicked: object skipped");
    }
    result.ok()
}

/// Runs a task until it ends by itself. A task that panics starts again.
pub async fn restart<F: Future<Output = ()>>(metrics: Arc<Metrics>, task: &'static str, run: impl Fn() -> F) {
    while AssertUnwindSafe(run()).catch_unwind().await.is_err() {
        metrics.task_panicked(task);
        tracing::error!(task, "task panicked: starting again");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_starts_again() {
        let (metrics, starts) = (Arc::new(Metrics::new().unwrap()), AtomicUsize::new(0));
        let run = async || assert!(starts.fetch_add(1, Ordering::Relaxed) >= 2, "a bug");
        restart(Arc::clone(&metrics), "patrol", run).await;
        assert_eq!(starts.load(Ordering::Relaxed), 3);
        let text = String::from_utf8(metrics.text()).unwrap();
        assert!(text.contains("tenet_task_panics_total{task=\"patrol\"} 2"), "{text}");
    }
}

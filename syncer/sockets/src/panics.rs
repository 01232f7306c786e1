//! Containment of panics in the tasks of the sockets. A panic is a bug; it costs one request, one stream, or one round
//! of a task, and is counted.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tenet_syncer::EngineHandle;
use tokio::time::sleep;

/// Pause before a task that panicked starts again.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts panics in the metric of the engine.
#[derive(Clone)]
pub struct Panics(Arc<dyn EngineHandle>);

impl Panics {
    /// Counts panics in the metrics of this engine.
    pub fn new(engine: &Arc<dyn EngineHandle>) -> Self {
        Self(Arc::clone(engine))
    }

    /// Waits for a future. Returns `None` if it panicked.
    pub async fn contain<F: Future>(&self, task: &'static str, run: F) -> Option<F::Output> {
        let result = AssertUnwindSafe(run).catch_unwind().await;
        if result.is_err() {
            self.0.task_panicked(task);
            tracing::error!(task, "task of a socket panicked");
        }
        result.ok()
    }

    /// Runs a task until it ends by itself. A task that panics starts again.
    pub async fn restart<F: Future<Output = ()>>(&self, task: &'static str, run: impl Fn() -> F) {
        while self.contain(task, run()).await.is_none() {
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::fake_engine::FakeEngine;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_at_the_engine_and_starts_again() {
        let (engine, starts) = (Arc::new(FakeEngine::default()), AtomicUsize::new(0));
        let panics = Panics::new(&(Arc::clone(&engine) as Arc<dyn EngineHandle>));
        let run = async || assert!(starts.fetch_add(1, Ordering::Relaxed) >= 2, "a bug");
        panics.restart("webhook", run).await;
        assert_eq!((starts.load(Ordering::Relaxed), engine.panics()), (3, vec!["webhook", "webhook"]));
        assert_eq!(panics.contain("stream", async { 7 }).await, Some(7));
    }
}

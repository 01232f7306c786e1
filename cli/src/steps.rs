//! Progress of a command on standard error: one line for each step, with the elapsed time.

use std::time::{Duration, Instant};

/// Progress of one command.
pub(crate) struct Steps {
    start: Instant,
    last: String,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), last: String::new() }
    }

    /// Prints a step, unless it is the one that was printed last.
    pub(crate) fn say(&mut self, step: &str) {
        if self.last != step {
            eprintln!("{:>6.1}s  {step}", self.elapsed().as_secs_f64());
            step.clone_into(&mut self.last);
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

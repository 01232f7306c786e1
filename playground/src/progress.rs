//! Progress messages: a bar on a terminal, plain lines elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// Output of progress messages.
#[derive(Clone, Debug)]
pub struct Progress(Sink);

#[derive(Clone, Debug)]
enum Sink {
    Silent,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// Writes to standard error: a bar on a terminal, else a line for every step.
    pub fn stderr() -> Self {
        if io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            Self(Sink::Bar(bar))
        } else {
            Self(Sink::Lines)
        }
    }

    /// Discards all messages.
    pub fn silent() -> Self {
        Self(Sink::Silent)
    }

    /// Shows the current step.
    pub fn step(&self, message: &str) {
        match &self.0 {
            Sink::Silent => {}
            Sink::Lines => line(message),
            Sink::Bar(bar) => {
                bar.set_style(spinner());
                bar.set_message(message.to_owned());
            }
        }
    }

    /// Prints a line that stays on the screen.
    pub fn note(&self, message: &str) {
        match &self.0 {
            Sink::Silent => {}
            Sink::Lines => line(message),
            Sink::Bar(bar) => bar.suspend(|| line(message)),
        }
    }

    /// Removes the bar permanently.
    pub fn clear(&self) {
        if let Sink::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// Shows a transfer.
    pub(crate) fn bytes(&self, message: &str, bytes: u64) {
        if let Sink::Bar(bar) = &self.0 {
            bar.set_style(spinner());
            bar.set_message(format!("{message}: {} MB", bytes / 1_000_000));
        }
    }

    /// Shows the progress of a long job with a known list of parts.
    pub(crate) fn part(&self, part: &Part<'_>) {
        if let Sink::Bar(bar) = &self.0 {
            bar.set_style(counted());
            bar.set_length(part.total.as_secs().max(1));
            bar.set_position(part.position().as_secs());
            bar.set_message(format!(
                "building {} ({} of {}), {} so far, {}",
                part.name,
                part.number,
                part.of,
                clock(part.elapsed),
                part.left(),
            ));
        }
    }
}

/// One part of a long job, and the durations of the whole.
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) number: usize,
    pub(crate) of: usize,
    /// Usual time of the parts before this one.
    pub(crate) before: Duration,
    /// Usual time of this part.
    pub(crate) usual: Duration,
    /// Usual time of all parts.
    pub(crate) total: Duration,
    /// Time that this part has taken.
    pub(crate) elapsed: Duration,
}

impl Part<'_> {
    /// Position of the bar. A part that takes longer than usual stops just before its end.
    fn position(&self) -> Duration {
        self.before + self.elapsed.min(self.usual.mul_f64(0.97))
    }

    fn left(&self) -> String {
        let minutes = (self.total.saturating_sub(self.position())).as_secs().div_ceil(60);
        format!("about {minutes} min left in all")
    }
}

/// Formats a duration: `7 s` or `6:51 min`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        _ => format!("{}:{:02} min", seconds / 60, seconds % 60),
    }
}

fn line(message: &str) {
    // Not `eprintln!`: the test harness would hold the lines back, and a first build takes minutes.
    let _ = writeln!(io::stderr(), "{message}");
}

fn spinner() -> ProgressStyle {
    style("{spinner} {msg} {elapsed:.dim}")
}

fn counted() -> ProgressStyle {
    style("{spinner} [{bar:30}] {msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_part_does_not_run_past_its_share() {
        let part = Part {
            name: "kube-apiserver",
            number: 2,
            of: 3,
            before: Duration::from_secs(60),
            usual: Duration::from_secs(400),
            total: Duration::from_secs(500),
            elapsed: Duration::from_secs(900),
        };
        assert_eq!(part.position(), Duration::from_secs(448));
        assert_eq!(part.left(), "about 1 min left in all");
    }

    #[test]
    fn times_read_as_on_a_clock() {
        assert_eq!(clock(Duration::from_secs(7)), "7 s");
        assert_eq!(clock(Duration::from_secs(411)), "6:51 min");
    }
}

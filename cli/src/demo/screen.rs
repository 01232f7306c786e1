//! Display of a changing text: in place on a terminal, else printed again after a change.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Shortest time between two prints when there is no terminal.
const PRINT_EVERY: Duration = Duration::from_secs(1);

/// Changing text on the screen.
pub(super) struct Screen {
    /// Number of lines of the terminal; `None` when there is no terminal.
    height: Option<usize>,
    latest: String,
    printed: String,
    at: Option<Instant>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { height: terminal_height(), latest: String::new(), printed: String::new(), at: None }
    }

    /// Shows the text if it differs from the text on the screen.
    pub(super) fn show(&mut self, text: &str) {
        text.clone_into(&mut self.latest);
        if self.latest != self.printed && (self.height.is_some() || self.at.is_none_or(|at| at.elapsed() > PRINT_EVERY))
        {
            self.print();
        }
    }

    /// Shows the last state, which stays on the screen.
    pub(super) fn settle(&mut self) {
        if self.latest != self.printed {
            self.print();
        }
    }

    fn print(&mut self) {
        let mut out = io::stdout();
        let lines = self.printed.lines().count();
        if lines > 0 && self.height.is_some_and(|height| lines < height) {
            // Move to the first printed line, and clear from there.
            let _ = write!(out, "\x1b[{lines}A\x1b[J");
        } else if lines > 0 {
            let _ = writeln!(out);
        }
        let _ = writeln!(out, "{}", self.latest);
        let _ = out.flush();
        self.printed.clone_from(&self.latest);
        self.at = Some(Instant::now());
    }
}

fn terminal_height() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(stdout).ok().map(|size| usize::from(size.ws_row))
}

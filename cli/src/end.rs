//! Signals that end a command.

use std::{io, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receiver of the signals that end a command. While it exists, they do not end the process by themselves.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// Signal that ends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, the default of `kill`.
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
}

impl Ends {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub(crate) async fn next(&mut self) -> End {
        tokio::select! {
            _ = self.interrupt.recv() => End::Interrupt,
            _ = self.terminate.recv() => End::Terminate,
            _ = self.hang_up.recv() => End::HangUp,
        }
    }
}

impl End {
    /// Returns the exit status by which a shell recognizes the signal.
    pub(crate) fn status(self) -> ExitCode {
        ExitCode::from(match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        })
    }
}

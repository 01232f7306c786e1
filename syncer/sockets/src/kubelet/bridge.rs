//! Passes bytes between two streams until both have ended. Available bytes are read up
//! to a bound and written at once, because API servers send frames in small pieces and each
//! piece that is written alone is a TLS record and a system call of its own. While the writer
//! does not take it, nothing more is read; when all is written, nothing is held.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Time for which the other side may be silent after one side has ended.
const LINGER: Duration = Duration::from_secs(5);

/// Size of the buffer of one direction.
const BATCH: usize = 64 * 1024;

/// A stream that is bridged.
pub trait Stream: AsyncBufRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncBufRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Reason of the end of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A side has closed.
    Closed,
    /// A side has broken off.
    Broken,
    /// Nothing moved for too long.
    Idle,
    /// The syncer stops.
    Stopped,
}

impl End {
    /// The word for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::Stopped => "stopped",
        }
    }
}

/// Bytes that were forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes from the client to the host.
    pub down: u64,
    /// Bytes from the host to the client.
    pub up: u64,
}

/// Bridges until both sides have ended, or there is a reason to end it.
pub async fn bridge(
    client: &mut impl Stream,
    host: &mut impl Stream,
    idle: Duration,
    stop: &CancellationToken,
) -> (End, Passed) {
    let (mut down, mut up) = (Direction::default(), Direction::default());
    let mut seen = Passed::default();
    let mut deadline = Instant::now() + idle;
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => Err(End::Stopped),
            () = sleep_until(deadline) => Ok(false),
            ended = poll_fn(|cx| both(cx, client, host, &mut down, &mut up)) => ended.map(|()| true).map_err(|_| End::Broken),
        };
        let passed = Passed { down: down.passed, up: up.passed };
        let is_ending = down.is_done() || up.is_done();
        match ended {
            Err(end) => return (end, passed),
            Ok(true) if down.is_done() && up.is_done() => return (down.end(), passed),
            Ok(false) if passed == seen => return (if is_ending { down.end() } else { End::Idle }, passed),
            // One side has ended just now, or the deadline is reached. It is moved only then: a timer for each packet
            // costs.
            Ok(_) => {
                seen = passed;
                deadline = Instant::now() + if is_ending { LINGER } else { idle };
            }
        }
    }
}

/// Ready when a direction has just ended.
fn both(
    cx: &mut Context<'_>,
    client: &mut (impl Stream + ?Sized),
    host: &mut (impl Stream + ?Sized),
    down: &mut Direction,
    up: &mut Direction,
) -> Poll<Result<(), Broken>> {
    let mut ended = Poll::Pending;
    if !down.is_done() {
        match down.pass(cx, client, host) {
            Poll::Pending => {}
            // The host takes nothing more once a command has ended, and what it has sent before may still be in flight.
            Poll::Ready(Err(Broken::Writer)) => {
                down.state = State::Broken;
                ended = Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(())) => ended = Poll::Ready(Ok(())),
            Poll::Ready(Err(Broken::Reader)) => return Poll::Ready(Err(Broken::Reader)),
        }
    }
    if !up.is_done() && up.pass(cx, host, client)?.is_ready() {
        ended = Poll::Ready(Ok(()));
    }
    ended
}

/// The stream of a direction that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Reader,
    Writer,
}

/// One direction of a bridge.
#[derive(Default)]
struct Direction {
    held: BytesMut,
    passed: u64,
    unflushed: bool,
    state: State,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Passing,
    /// The reader has ended.
    Closing,
    Done,
    /// The writer takes nothing more.
    Broken,
}

impl Direction {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::Broken)
    }

    fn end(&self) -> End {
        if self.state == State::Broken { End::Broken } else { End::Closed }
    }

    /// Passes what there is; ready when the reader has ended and the writer knows.
    fn pass<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), Broken>>
    where
        R: AsyncBufRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            self.take(cx, from).map_err(|_| Broken::Reader)?;
            if self.held.is_empty() {
                break;
            }
            ready!(self.write(cx, to)).map_err(|_| Broken::Writer)?;
        }
        if self.state == State::Passing {
            // An idle stream holds nothing.
            self.held = BytesMut::new();
            if self.unflushed {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::Writer)?;
                self.unflushed = false;
            }
            return Poll::Pending;
        }
        ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Broken::Writer)?;
        self.state = State::Done;
        Poll::Ready(Ok(()))
    }

    /// Takes what can be read now, up to the bound.
    fn take<R: AsyncBufRead + Unpin + ?Sized>(&mut self, cx: &mut Context<'_>, from: &mut R) -> io::Result<()> {
        while self.state == State::Passing && self.held.len() < BATCH {
            let chunk = match Pin::new(&mut *from).poll_fill_buf(cx) {
                Poll::Ready(Ok(chunk)) => chunk,
                // Go closes without the last word of TLS. Both protocols say by themselves
                // where they end, so nothing can be cut off unnoticed.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => &[],
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            };
            if chunk.is_empty() {
                self.state = State::Closing;
                break;
            }
            let taken = chunk.len().min(BATCH - self.held.len());
            self.held.extend_from_slice(&chunk[..taken]);
            Pin::new(&mut *from).consume(taken);
        }
        Ok(())
    }

    fn write<W: AsyncWrite + Unpin + ?Sized>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>> {
        let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.held))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.held.advance(written);
        self.passed += written as u64;
        self.unflushed = true;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;

//! Body of an answer with a deadline.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use kube::client::Body;
use tokio::time::{Instant, Sleep, sleep_until};

/// A body that fails when it is not complete, or not continued, in time.
pub(crate) struct Timed {
    body: Body,
    /// Longest time between two frames; the deadline is that of the whole body when absent.
    silence: Option<Duration>,
    deadline: Pin<Box<Sleep>>,
}

impl Timed {
    /// A body that has to end before the deadline.
    pub(crate) fn until(body: Body, deadline: Instant) -> Self {
        Self { body, silence: None, deadline: Box::pin(sleep_until(deadline)) }
    }

    /// A body that may not be silent for longer than this.
    pub(crate) fn with_silence(body: Body, silence: Duration) -> Self {
        Self { silence: Some(silence), ..Self::until(body, Instant::now() + silence) }
    }
}

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = tower::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if let Some(silence) = self.silence {
                self.deadline.as_mut().reset(Instant::now() + silence);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.deadline.as_mut().poll(cx));
        let reason = match self.silence {
            Some(silence) => format!("the watch was silent for {silence:?}"),
            None => "the list was not complete in time".to_owned(),
        };
        Poll::Ready(Some(Err(reason.into())))
    }
}

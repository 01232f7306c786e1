//! Logs, chunk by chunk: none is read from the host before the tenant has taken the last.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::session::Slot;
use crate::serving::{Answer, BodyError};

/// A log that is being read.
struct Log {
    from: Incoming,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    passed: u64,
    end: &'static str,
    slot: Slot,
}

/// Answers with the log that the host has begun to send.
pub(super) fn answer(host: Response<Incoming>, slot: Slot, stop: &CancellationToken) -> Response<Answer> {
    let stop = Box::pin(stop.clone().cancelled_owned());
    let log = Log { from: host.into_body(), stop, passed: 0, end: "closed", slot };
    let mut response = Response::new(log.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

impl Body for Log {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.stop.as_mut().poll(cx).is_ready() {
            self.end = "stopped";
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(Pin::new(&mut self.from).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.passed += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) => self.end = "broken",
            None => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.from.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.from.size_hint()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.slot.ended(self.end, 0, self.passed);
    }
}

//! Bodies of answers: those of watches may be late, silent, or lose events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tenet_mapper::Side;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower::BoxError;

use super::{Delivery, Network};
use crate::api::ApiBody;

/// The body of an answer, on its way to the syncer.
pub(super) struct WireBody {
    inner: ApiBody,
    watch: Option<Watched>,
    /// An event that is late.
    held: Option<(Bytes, Pin<Box<Sleep>>)>,
    /// The time at which a silent connection is reset.
    silent: Option<Pin<Box<Sleep>>>,
}

/// The watch that a body belongs to.
pub(super) struct Watched {
    pub(super) network: Arc<Network>,
    pub(super) side: Side,
    /// User of the syncer that watches.
    pub(super) user: Arc<str>,
    pub(super) is_of_pods: bool,
}

impl Watched {
    /// Hands lines to the syncer.
    fn deliver(&self, lines: Bytes) -> Next {
        if self.side == Side::Host && self.is_of_pods {
            self.network.deliver(&self.user, &lines);
        }
        Poll::Ready(Some(Ok(Frame::data(lines))))
    }
}

impl WireBody {
    pub(super) fn new(inner: ApiBody, watch: Option<Watched>) -> Self {
        Self { inner, watch, held: None, silent: None }
    }

    fn silence(&mut self, until: Instant) {
        self.silent = Some(Box::pin(sleep_until(until)));
    }
}

type Next = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Body for WireBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next {
        let this = &mut *self;
        loop {
            if let Some(end) = &mut this.silent {
                return end.as_mut().poll(cx).map(|()| Some(Err("connection reset by peer".into())));
            }
            if let Some((bytes, until)) = &mut this.held {
                if until.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let bytes = bytes.clone();
                this.held = None;
                return match &this.watch {
                    Some(watch) => watch.deliver(bytes),
                    None => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                };
            }
            let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => None,
                Poll::Ready(Some(frame)) => frame.ok().and_then(|frame| frame.into_data().ok()),
            };
            let Some(watch) = &this.watch else {
                return Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))));
            };
            let is_change = frame.as_ref().is_some_and(|bytes| is_change(bytes));
            match (watch.network.delivery(watch.side, is_change), frame) {
                (Delivery::Silent(until), _) => this.silence(until),
                (_, None) => return Poll::Ready(None),
                (Delivery::Now, Some(bytes)) => return watch.deliver(bytes),
                (Delivery::Later(delay), Some(bytes)) => this.held = Some((bytes, Box::pin(sleep(delay)))),
                (Delivery::Lost, Some(_)) => {}
            }
        }
    }
}

fn is_change(line: &[u8]) -> bool {
    !line.starts_with(br#"{"type":"BOOKMARK""#)
        && !line.starts_with(br#"{"type":"ERROR""#)
        && !line.starts_with(br#"{"object""#)
}

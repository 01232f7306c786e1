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
    /// The network and the side of a watch.
    watch: Option<(Arc<Network>, Side)>,
    /// An event that is late.
    held: Option<(Bytes, Pin<Box<Sleep>>)>,
    /// The time at which a silent connection is reset.
    silent: Option<Pin<Box<Sleep>>>,
}

impl WireBody {
    pub(super) fn new(inner: ApiBody, watch: Option<(Arc<Network>, Side)>) -> Self {
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
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => None,
                Poll::Ready(Some(frame)) => frame.ok().and_then(|frame| frame.into_data().ok()),
            };
            let Some((network, side)) = &this.watch else {
                return Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))));
            };
            let is_change = frame.as_ref().is_some_and(|bytes| is_change(bytes));
            match (network.delivery(*side, is_change), frame) {
                (Delivery::Silent(until), _) => this.silence(until),
                (_, None) => return Poll::Ready(None),
                (Delivery::Now, Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
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

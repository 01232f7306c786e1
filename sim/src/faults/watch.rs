//! Body of a watch with a fault.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use tokio::time::{Instant, sleep_until};

use super::network::{Network, WatchFault};
use super::proxy::Answer;

/// Splits a body into events, and applies a fault to them.
pub(super) fn events(body: Body, fault: Option<WatchFault>, network: Arc<Network>) -> Answer {
    let lines = lines(body.into_data_stream().map(|part| part.map_err(io::Error::other)));
    let frames = faulty(lines, fault, network).map(|line| line.map(Frame::data));
    StreamBody::new(frames).boxed_unsync()
}

/// Joins the parts of a stream to whole lines.
fn lines(
    parts: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let state = (Box::pin(parts), BytesMut::new(), VecDeque::new());
    stream::unfold(state, async |(mut parts, mut rest, mut ready)| {
        loop {
            if let Some(line) = ready.pop_front() {
                return Some((Ok(line), (parts, rest, ready)));
            }
            match parts.next().await? {
                Err(error) => return Some((Err(error), (parts, rest, ready))),
                Ok(part) => rest.extend_from_slice(&part),
            }
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                ready.push_back(rest.split_to(end + 1).freeze());
            }
        }
    })
}

fn faulty(
    lines: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    fault: Option<WatchFault>,
    network: Arc<Network>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let start = Instant::now();
    let state = (Box::pin(lines), 0_u64, network);
    stream::unfold(state, move |(mut lines, mut changes, network)| async move {
        loop {
            let line = match fault {
                Some(WatchFault::Cut(after) | WatchFault::Silent(after)) => tokio::select! {
                    line = lines.next() => line?,
                    () = sleep_until(start + after) => {
                        network.count(if matches!(fault, Some(WatchFault::Cut(_))) { "watch cut" } else { "watch silent" });
                        if matches!(fault, Some(WatchFault::Silent(_))) {
                            network.healed().cancelled().await;
                        }
                        return Some((Err(io::ErrorKind::ConnectionReset.into()), (lines, changes, network)));
                    }
                },
                _ => lines.next().await?,
            };
            let is_change = line.as_ref().is_ok_and(|line| is_change(line));
            changes += u64::from(is_change);
            if let Some(WatchFault::Swallow(number)) = fault
                && is_change
                && changes == number + 1
            {
                network.count("watch event swallowed");
                continue;
            }
            return Some((line, (lines, changes, network)));
        }
    })
}

/// Returns true for an event that tells of a change of an object.
fn is_change(line: &[u8]) -> bool {
    [&br#"{"type":"ADDED""#[..], br#"{"type":"MODIFIED""#, br#"{"type":"DELETED""#]
        .iter()
        .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn exactly_the_chosen_change_is_missing() {
        let text =
            "{\"type\":\"ADDED\",1}\n{\"type\":\"BOOKMARK\"}\n{\"type\":\"MODIFIED\",2}\n{\"type\":\"DELETED\",3}\n";
        // Parts do not end where events end.
        let parts: Vec<_> = text.as_bytes().chunks(7).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let network = Arc::new(Network::new(1));
        let told: Vec<_> =
            faulty(lines(stream::iter(parts)), Some(WatchFault::Swallow(1)), Arc::clone(&network)).collect().await;
        let told: Vec<_> = told.into_iter().map(|line| String::from_utf8(line.unwrap().to_vec()).unwrap()).collect();
        assert_eq!(told.concat(), text.replace("{\"type\":\"MODIFIED\",2}\n", ""));
        assert_eq!(network.counts()["watch event swallowed"], 1);
    }
}

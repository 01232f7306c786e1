//! `run`: a command whose output is the answer. The host has only streams for it.

use aws_lc_rs::rand;
use futures::StreamExt;
use http::{Response, StatusCode};
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::failure::Failure;
use super::upgrade::Upgrade;
use super::upstream::Agreed;
use crate::serving::{Answer, text};

/// Maximum size of the output in bytes; more is left out.
const LONGEST: usize = 16 << 20;

/// The channels of the stream protocol.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;

/// The upgrade that asks for the streams of a command.
pub(super) fn upgrade() -> Upgrade {
    let mut key = [0; 16];
    // It protects caches of proxies, and nothing else: a fixed key would do.
    if rand::fill(&mut key).is_err() {
        tracing::debug!("cannot read random bytes for the key of a WebSocket");
    }
    Upgrade::WebSocket { key, protocols: vec!["v5.channel.k8s.io", "v4.channel.k8s.io"] }
}

/// Reads the streams to their end.
pub(super) async fn collect(agreed: Agreed) -> Result<Response<Answer>, Failure> {
    let early = agreed.early.to_vec();
    let mut stream = WebSocketStream::from_partially_read(agreed.stream, early, Role::Client, None).await;
    let (mut output, mut verdict) = (Vec::new(), None);
    while let Some(message) = stream.next().await {
        let message = message.map_err(|_| Failure::not_available("the host broke the stream off"))?;
        let Message::Binary(frame) = message else { continue };
        match frame.split_first() {
            Some((&(STDOUT | STDERR), data)) if output.len() + data.len() <= LONGEST => output.extend_from_slice(data),
            Some((&ERROR, data)) => verdict = Some(data.to_vec()),
            _ => {}
        }
    }
    let code = if succeeded(verdict.as_deref()) { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    Ok(text(code, String::from_utf8_lossy(&output).into_owned()))
}

/// Returns true if the error stream carries a Status `Success`.
fn succeeded(verdict: Option<&[u8]>) -> bool {
    let status: Option<Value> = verdict.and_then(|verdict| serde_json::from_slice(verdict).ok());
    status.is_some_and(|status| status["status"] == "Success")
}

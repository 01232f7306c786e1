//! `kubectl exec` over a WebSocket: the first byte of a message is its channel.

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::link::Raw;

const STDOUT: u8 = 1;

/// Reads this many bytes of standard output.
pub async fn drain(stream: &mut WebSocketStream<Raw>, count: u64) -> Result<()> {
    let mut left = count;
    while left > 0 {
        match stream.next().await.context("the connection has ended")?? {
            Message::Binary(message) if message.first() == Some(&STDOUT) => {
                left = left.checked_sub(message.len() as u64 - 1).context("more came than was sent")?;
            }
            Message::Close(why) => bail!("the connection was closed with {left} bytes to go: {why:?}"),
            _ => {}
        }
    }
    Ok(())
}

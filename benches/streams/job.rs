//! Kinds of streams that are measured.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;

use crate::link::Link;
use crate::spdy::{Pair, Reader, Writer};
use crate::spot::Spot;
use crate::websocket;

/// Port of the echo server in the pod.
const ECHO: &str = "7";
const EXEC: &str = "v4.channel.k8s.io";
const EXEC_WEBSOCKET: &str = "v5.channel.k8s.io";
const FORWARD: &str = "portforward.k8s.io";

/// Kind of stream that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Output of a command over SPDY.
    ExecOut,
    /// Output of a command over a WebSocket.
    ExecOutWebSocket,
    /// Input of a command, until it has reported the length.
    ExecIn,
    /// Log.
    Log,
    /// Port-forward to an echo server, there and back.
    Forward,
}

impl Job {
    /// Jobs whose first byte is measured.
    pub const FIRST: [Self; 4] = [Self::ExecOut, Self::ExecOutWebSocket, Self::Log, Self::Forward];
    /// Jobs whose throughput is measured.
    pub const BULK: [Self; 5] = [Self::ExecOut, Self::ExecOutWebSocket, Self::ExecIn, Self::Log, Self::Forward];

    /// Returns the name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExecOut => "exec, output, SPDY",
            Self::ExecOutWebSocket => "exec, output, WebSocket",
            Self::ExecIn => "exec, input, SPDY",
            Self::Log => "logs",
            Self::Forward => "port-forward, echo, SPDY",
        }
    }

    /// Returns the endpoint label in the syncer's metrics.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::ExecOut | Self::ExecOutWebSocket | Self::ExecIn => "exec",
            Self::Log => "containerLogs",
            Self::Forward => "portForward",
        }
    }

    /// Measures from the request on an open connection to the first byte from the pod.
    pub async fn first_byte(self, spot: &Spot) -> Result<Duration> {
        let link = Link::open(spot).await?;
        let start = Instant::now();
        match self {
            Self::Log => {
                let frame = link.get(&spot.log(true)).await?.frame().await.context("an empty log")??;
                ensure!(frame.data_ref().is_some_and(|data| !data.is_empty()), "an empty log");
                Ok(start.elapsed())
            }
            job => job.bulk_on(link, spot, 1, start).await,
        }
    }

    /// Measures from the request to the last of `bytes` bytes.
    pub async fn bulk(self, spot: &Spot, bytes: u64) -> Result<Duration> {
        self.bulk_on(Link::open(spot).await?, spot, bytes, Instant::now()).await
    }

    async fn bulk_on(self, link: Link, spot: &Spot, bytes: u64, start: Instant) -> Result<Duration> {
        match self {
            Self::ExecOut => {
                let (mut writer, mut reader) = link.spdy(&spot.exec(&output(bytes), false), EXEC).await?;
                writer.open(&[("streamtype", "error")]).await?;
                let out = writer.open(&[("streamtype", "stdout")]).await?;
                reader.drain(out, bytes).await?;
            }
            Self::ExecOutWebSocket => {
                let mut stream = link.websocket(&spot.exec(&output(bytes), false), EXEC_WEBSOCKET).await?;
                websocket::drain(&mut stream, bytes).await?;
            }
            Self::ExecIn => {
                let command = spot.exec(&format!("head -c {bytes} | wc -c"), true);
                input(link.spdy(&command, EXEC).await?, bytes).await?;
            }
            Self::Log => log(link, spot, bytes).await?,
            Self::Forward => {
                let (mut writer, mut reader, data) = forward(link, spot).await?;
                tokio::try_join!(writer.fill(data, bytes), reader.drain(data, bytes))?;
            }
        }
        Ok(start.elapsed())
    }
}

/// Opens a port-forward to the echo server.
pub async fn forward(link: Link, spot: &Spot) -> Result<(Writer, Reader, u32)> {
    let (mut writer, reader) = link.spdy(&spot.forward(), FORWARD).await?;
    writer.open(&[("streamtype", "error"), ("port", ECHO), ("requestid", "0")]).await?;
    let data = writer.open(&[("streamtype", "data"), ("port", ECHO), ("requestid", "0")]).await?;
    Ok((writer, reader, data))
}

fn output(bytes: u64) -> String {
    format!("head -c {bytes} /dev/zero")
}

async fn input((mut writer, mut reader): Pair, bytes: u64) -> Result<()> {
    writer.open(&[("streamtype", "error")]).await?;
    let to = writer.open(&[("streamtype", "stdin")]).await?;
    let out = writer.open(&[("streamtype", "stdout")]).await?;
    let (told, ()) = tokio::try_join!(reader.read(out), writer.fill(to, bytes))?;
    let told = String::from_utf8_lossy(&told).trim().parse::<u64>().context("the count of a command")?;
    ensure!(told == bytes, "{told} bytes of {bytes} arrived");
    Ok(())
}

async fn log(link: Link, spot: &Spot, bytes: u64) -> Result<()> {
    let mut body = link.get(&spot.log(false)).await?;
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    ensure!(read >= bytes, "{read} bytes of a log that has {bytes}");
    Ok(())
}

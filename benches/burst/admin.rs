//! Admin port of the syncer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Port on which a syncer serves `/readyz` and `/metrics`.
#[derive(Clone, Copy, Debug)]
pub struct Admin(pub u16);

impl Admin {
    /// Waits until the syncer is ready and its queue is empty.
    pub async fn until_converged(self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.is_ready().await && self.depth().await == Some(0) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("the syncer has not converged within {limit:?}")
    }

    async fn is_ready(self) -> bool {
        self.get("/readyz").await.is_ok_and(|answer| answer.lines().next().is_some_and(|line| line.contains(" 200 ")))
    }

    /// Returns the number of queued keys, of all kinds and lanes.
    async fn depth(self) -> Option<u64> {
        self.sum("tenet_queue_depth").await
    }

    /// Returns the bytes of all cached objects.
    pub async fn cached_bytes(self) -> Option<u64> {
        self.sum("tenet_cache_bytes").await
    }

    /// Sums the series of a metric; `None` without any series.
    async fn sum(self, metric: &str) -> Option<u64> {
        let metrics = self.get("/metrics").await.ok()?;
        let is_of = |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{'));
        let series: Vec<_> = metrics.lines().filter(is_of).collect();
        let value = |line: &&str| line.rsplit(' ').next()?.parse::<u64>().ok();
        if series.is_empty() { None } else { series.iter().map(value).sum() }
    }

    async fn get(self, path: &str) -> Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.0));
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

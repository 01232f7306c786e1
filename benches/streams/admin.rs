//! Stream metrics of the syncer.

use std::net::Ipv4Addr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Port on which a syncer serves `/metrics`.
#[derive(Clone, Copy, Debug)]
pub struct Admin(pub u16);

/// Number of streams opened so far, and the total time of opening them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opened {
    /// Number of streams.
    pub count: f64,
    /// Total time in seconds.
    pub seconds: f64,
}

impl Admin {
    /// Reads the values of an endpoint.
    pub async fn opened(self, endpoint: &str) -> Result<Opened> {
        let metrics = self.metrics().await?;
        let value = |name: &str| {
            let series = format!("tenet_stream_open_seconds_{name}{{endpoint=\"{endpoint}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0.0)
        };
        Ok(Opened { count: value("count"), seconds: value("sum") })
    }

    /// Returns the number of open streams.
    pub async fn open(self) -> Result<f64> {
        let metrics = self.metrics().await?;
        let series = metrics.lines().filter(|line| line.starts_with("tenet_streams_open{"));
        Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    async fn metrics(self) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0)).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

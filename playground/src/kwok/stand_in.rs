//! Stand-ins for the containers that do not run: a web server, an echo server, and one shared log.
//!
//! kwok selects pods by name only, so all containers share the log, and every port except [`ECHO`] leads to
//! the web server. Both servers listen on loopback and are tasks of this process.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// Port of the echo protocol (RFC 862), which returns all bytes it receives.
pub(super) const ECHO: u16 = 7;

const LONGEST_REQUEST: usize = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// The servers and their log. Dropping the value stops them.
#[derive(Debug)]
pub(super) struct StandIn {
    log: PathBuf,
    web_port: u16,
    echo_port: u16,
    _servers: JoinSet<()>,
}

impl StandIn {
    pub(super) async fn start(log: &Path) -> io::Result<Self> {
        let lines = Arc::new(Log::create(log)?);
        lines.write("the playground runs no containers; this log stands for all of them");
        lines.write("web server: every port is mine but 7, which is an echo; try kubectl port-forward POD 8080:80");
        let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (web_port, echo_port) = (web.local_addr()?.port(), echo.local_addr()?.port());
        let mut servers = JoinSet::new();
        servers.spawn(serve(web, move |connection| answer(connection, lines.clone())));
        servers.spawn(serve(echo, repeat));
        Ok(Self { log: log.to_owned(), web_port, echo_port, _servers: servers })
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn web_port(&self) -> u16 {
        self.web_port
    }

    pub(super) fn echo_port(&self) -> u16 {
        self.echo_port
    }
}

/// Accepts connections. They end with the server, as they would end with a container.
async fn serve<F: Future<Output = io::Result<()>> + Send + 'static>(
    listener: TcpListener,
    handle: impl Fn(TcpStream) -> F,
) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((connection, _)) => drop(connections.spawn(handle(connection))),
            // `accept` can fail for lack of file descriptors, for example; without a pause this loop would spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn repeat(mut connection: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = connection.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

async fn answer(mut connection: TcpStream, log: Arc<Log>) -> io::Result<()> {
    let request = timeout(PATIENCE, head(&mut connection)).await??;
    let line = request.lines().next().unwrap_or_default();
    let known = line.split(' ').count() == 3 && line.contains(" HTTP/1.");
    let (status, body) = if known {
        ("200 OK", format!("Hello from the playground.\nYou asked for: {line}\n"))
    } else {
        ("400 Bad Request", "This is a web server, and that was no request.\n".to_owned())
    };
    log.write(&format!("web server: {line:?} {status}"));
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
    connection.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await?;
    connection.shutdown().await
}

/// Reads the head of a request up to the empty line. The body is ignored.
async fn head(connection: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") && bytes.len() < LONGEST_REQUEST {
        match connection.read(&mut piece).await? {
            0 => break,
            read => bytes.extend_from_slice(&piece[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Log in the format of a container runtime; kwok answers 400 to any other format.
#[derive(Debug)]
struct Log(File);

impl Log {
    fn create(path: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(path).map(Self)
    }

    /// Writes one line with a single call, so that lines of two connections never mix.
    fn write(&self, line: &str) {
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let _ = (&self.0).write_all(format!("{now} stdout F {line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn exchange(port: u16, request: &[u8]) -> String {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("a connection");
        connection.write_all(request).await.expect("a request");
        connection.shutdown().await.expect("half a close");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn requests_are_answered_and_logged_as_a_container_runtime_would() {
        let dir = tempfile::tempdir().expect("a folder");
        let stand_in = StandIn::start(&dir.path().join("log")).await.expect("the stand-in");
        let answer = exchange(stand_in.web_port(), b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("GET /a HTTP/1.1\n"), "{answer}");
        assert!(exchange(stand_in.web_port(), b"\x16\x03\x01").await.starts_with("HTTP/1.1 400 "));
        assert_eq!(exchange(stand_in.echo_port(), b"there and back").await, "there and back");
        let log = std::fs::read_to_string(stand_in.log()).expect("the log");
        let last: Vec<&str> = log.lines().nth(2).expect("a line").splitn(4, ' ').collect();
        assert!(OffsetDateTime::parse(last[0], &Rfc3339).is_ok(), "{log}");
        assert_eq!(last[1..], ["stdout", "F", r#"web server: "GET /a HTTP/1.1" 200 OK"#]);
    }
}

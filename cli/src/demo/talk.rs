//! Conversations of a tenant with a pod. The output of kubectl is shown and checked.

use std::{io, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Conversation with a pod.
pub(super) struct Talk {
    /// Arguments of kubectl.
    pub(super) command: Vec<String>,
    /// Path that is requested through a forwarded port.
    pub(super) ask: Option<&'static str>,
    /// Text that the answer must contain.
    pub(super) expect: &'static str,
}

/// Settings for running kubectl.
pub(super) struct Kubectl<'a> {
    pub(super) program: &'a Path,
    pub(super) kubeconfig: &'a Path,
    pub(super) cache: &'a Path,
}

impl Kubectl<'_> {
    /// Builds a command that is killed when it is dropped.
    pub(super) fn command(&self, args: &[String]) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(args)
            .env("KUBECONFIG", self.kubeconfig)
            // Leave the cache of the user's own kubectl alone.
            .env("KUBECACHEDIR", self.cache)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Holds a conversation, and returns the output.
    pub(super) async fn talk(&self, talk: &Talk) -> Result<String> {
        let answer = match talk.ask {
            None => timeout(PATIENCE, self.output(&talk.command)).await,
            Some(ask) => timeout(PATIENCE, self.forward(&talk.command, ask)).await,
        };
        let answer = answer.with_context(|| format!("no answer after {} s", PATIENCE.as_secs()))??;
        if !answer.contains(talk.expect) {
            bail!("expected {:?}, found {:?}", talk.expect, answer.trim());
        }
        Ok(answer)
    }

    async fn output(&self, args: &[String]) -> Result<String> {
        let output = self.command(args).output().await.with_context(|| self.program.display().to_string())?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Forwards a port, requests a page there, and ends.
    async fn forward(&self, args: &[String], page: &str) -> Result<String> {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let Some(line) = lines.next_line().await? else {
            let mut why = String::new();
            if let Some(mut errors) = child.stderr.take() {
                errors.read_to_string(&mut why).await?;
            }
            bail!("{}", why.trim());
        };
        let port = port_of(&line).with_context(|| format!("no port in {line:?}"))?;
        let body = get(port, page).await.with_context(|| format!("127.0.0.1:{port}"))?;
        child.kill().await?;
        Ok(format!("{line}\n$ curl localhost:{port}{page}\n{body}"))
    }
}

/// Parses the local port from `Forwarding from 127.0.0.1:41234 -> 80`.
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("Forwarding from 127.0.0.1:")?.split(' ').next()?.parse().ok()
}

/// Requests a page and returns its body.
async fn get(port: u16, page: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    // A forwarded connection stays open after the server has closed its end, so rely on the content length.
    let mut answer = Vec::new();
    loop {
        if let Some(body) = whole_body(&answer) {
            return Ok(body);
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::Error::other("no whole answer of a web server"));
        }
    }
}

/// Returns the body of an answer once it is complete.
fn whole_body(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    (body.len() >= length?).then(|| body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_in_the_line_that_kubectl_prints() {
        assert_eq!(port_of("Forwarding from 127.0.0.1:41234 -> 80"), Some(41234));
        assert_eq!(port_of("Forwarding from [::1]:41234 -> 80"), None);
    }

    #[test]
    fn a_body_is_whole_when_its_length_says_so() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(whole_body(format!("{head}hello").as_bytes()), Some("hello".to_owned()));
        assert_eq!(whole_body(format!("{head}hell").as_bytes()), None);
        assert_eq!(whole_body(b"HTTP/1.1 200 OK\r\n"), None);
    }
}

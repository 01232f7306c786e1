//! Questions to a DNS server for IPv4 addresses, and an upstream server with one answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Address that the upstream server gives every name.
pub const UPSTREAM: &str = "192.0.2.80";

const HEADER: usize = 12;
const A: u16 = 1;
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks a server for the addresses of a name; none when it does not answer.
pub async fn ask(server: SocketAddr, name: &str) -> Result<Vec<Ipv4Addr>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    // One question, recursion desired.
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    socket.send_to(&question, server).await?;
    let mut answer = [0; 1500];
    match timeout(PATIENCE, socket.recv(&mut answer)).await {
        Ok(Ok(length)) => addresses(&answer[..length], question.len()).context("a malformed answer"),
        _ => Ok(Vec::new()),
    }
}

/// Reads the addresses behind the question.
fn addresses(answer: &[u8], mut at: usize) -> Option<Vec<Ipv4Addr>> {
    let number = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    let mut found = Vec::new();
    for _ in 0..number(6)? {
        // A name is a list of labels, or ends in a pointer to another one.
        while *answer.get(at)? != 0 && *answer.get(at)? < 0xc0 {
            at += usize::from(*answer.get(at)?) + 1;
        }
        at += if *answer.get(at)? == 0 { 1 } else { 2 };
        let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
        let data = answer.get(at + 10..at + 10 + length)?;
        if let (A, &[a, b, c, d]) = (kind, data) {
            found.push(Ipv4Addr::new(a, b, c, d));
        }
        at += 10 + length;
    }
    Some(found)
}

/// Answers every question with [`UPSTREAM`], until it is dropped.
pub async fn upstream() -> Result<(u16, tokio::task::JoinHandle<()>)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = socket.local_addr()?.port();
    let address: Ipv4Addr = UPSTREAM.parse()?;
    let task = tokio::spawn(async move {
        let mut question = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut question).await {
            let Some(end) = question[HEADER.min(length)..length].iter().position(|byte| *byte == 0) else { continue };
            let Some(asked) = question.get(..HEADER + end + 5) else { continue };
            let mut answer = asked.to_vec();
            // An answer, one question, one record, and nothing else.
            answer[2..HEADER].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
            drop(socket.send_to(&answer, client).await);
        }
    });
    Ok((port, task))
}

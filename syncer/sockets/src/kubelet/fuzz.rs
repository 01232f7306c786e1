//! Properties that hold for every input: for the fuzzers under `fuzz/`, and for the corpus that
//! runs as a test.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, duplex};
use tokio_util::sync::CancellationToken;

use super::bridge::{End, bridge};
use super::route::{Route, parse};
use super::upgrade::Upgrade;

/// A method, a path and a query. An accepted request names exactly the pod in its path, and the request to the host
/// has safe characters only.
pub fn uri(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (method, target) = text.split_once(' ').unwrap_or(("GET", &text));
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Ok(Route::Pod(pod, action)) = parse(&method, path, query) else { return };
    let mut parts = vec![action.name(), &pod.namespace, &pod.name];
    parts.extend(pod.uid.as_deref());
    parts.extend(action.container());
    assert_eq!(format!("/{}", parts.join("/")), path, "another pod than the one that was named");
    let asked = action.subresource();
    let safe = |c: char| c.is_ascii_alphanumeric() || "-._~/%?&=".contains(c);
    assert!(asked.chars().all(safe) && asked.matches('?').count() <= 1, "{asked}");
    let containers = asked.split(['?', '&']).filter(|pair| pair.starts_with("container=")).count();
    assert_eq!(containers, usize::from(action.container().is_some()), "{asked}");
}

/// The headers of a request, an empty line, a status and the headers of the answer. Only a
/// 101 is agreed to, and no header passes that was not built here.
pub fn upgrade(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (request, answer) = text.split_once("\n\n").unwrap_or((&text, ""));
    let method = if request.contains("websocket") { Method::GET } else { Method::POST };
    let Ok(upgrade) = Upgrade::read(&method, &headers(request)) else { return };
    let mut asked = HeaderMap::new();
    upgrade.ask(&mut asked);
    check(&asked);
    assert_eq!(Upgrade::read(&method, &asked).as_ref(), Ok(&upgrade), "what is asked for is what was asked for");
    let (status, rest) = answer.split_once('\n').unwrap_or((answer, ""));
    let status = status.trim().parse().ok().and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or_default();
    if let Ok(told) = upgrade.agree(status, &headers(rest)) {
        assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
        check(&told);
    }
}

fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(':')
            && let Ok(name) = HeaderName::from_bytes(name.trim().as_bytes())
            && let Ok(value) = HeaderValue::from_str(value.trim())
        {
            headers.append(name, value);
        }
    }
    headers
}

fn check(built: &HeaderMap) {
    const KNOWN: [&str; 7] = [
        "connection",
        "upgrade",
        "x-stream-protocol-version",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-protocol",
        "sec-websocket-accept",
    ];
    for (name, value) in built {
        assert!(KNOWN.contains(&name.as_str()), "{name} was not built here");
        assert!(!value.as_bytes().windows(6).any(|part| part == b"bearer"), "a token passes in {name}");
    }
}

/// Each byte is a step of one side: it writes so many bytes, or ends. What was written
/// before the first end arrives, in order, on the other side.
pub fn bytes(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    if let Ok(runtime) = runtime {
        runtime.block_on(exchange(input));
    }
}

async fn exchange(input: &[u8]) {
    let room = usize::from(input.first().copied().unwrap_or(0)) + 1;
    let ((client, inner_client), (host, inner_host)) = (duplex(room), duplex(room));
    let bridged = tokio::spawn(async move {
        let (mut client, mut host) = (BufReader::new(inner_client), BufReader::new(inner_host));
        bridge(&mut client, &mut host, Duration::from_secs(60), &CancellationToken::new()).await
    });
    let (client_read, mut client_write) = tokio::io::split(client);
    let (host_read, mut host_write) = tokio::io::split(host);
    let (at_client, at_host) = (tokio::spawn(all(client_read)), tokio::spawn(all(host_read)));
    let (mut down, mut up) = (Vec::new(), Vec::new());
    for (number, step) in input.iter().skip(1).enumerate() {
        let chunk = vec![u8::try_from(number % 251).unwrap_or(0); usize::from(step >> 1)];
        if chunk.is_empty() {
            break;
        }
        let (to, written) = if step & 1 == 0 { (&mut client_write, &mut down) } else { (&mut host_write, &mut up) };
        assert!(to.write_all(&chunk).await.is_ok(), "the other side has not ended");
        written.extend(chunk);
    }
    drop(client_write.shutdown().await);
    drop(host_write.shutdown().await);
    assert_eq!(at_host.await.ok(), Some(down));
    assert_eq!(at_client.await.ok(), Some(up));
    assert!(matches!(bridged.await, Ok((End::Closed, _))));
}

async fn all(mut side: ReadHalf<DuplexStream>) -> Vec<u8> {
    let mut read = Vec::new();
    drop(side.read_to_end(&mut read).await);
    read
}

#[cfg(test)]
mod corpus {
    use std::path::Path;

    /// The inputs that fuzzers start from, and those that they have found.
    fn run(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&std::fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count >= 5, "{count} inputs in {}", folder.display());
    }

    #[test]
    fn no_uri_leads_to_another_pod() {
        run("uri", super::uri);
    }

    #[test]
    fn no_header_passes_that_was_not_built() {
        run("upgrade", super::upgrade);
    }

    #[test]
    fn no_byte_is_lost_between_two_ends() {
        run("bytes", super::bytes);
    }
}

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

const SPDY_REQUEST: &[(&str, &str)] = &[
    ("connection", "Upgrade"),
    ("upgrade", "SPDY/3.1"),
    ("x-stream-protocol-version", "v4.channel.k8s.io"),
    ("x-stream-protocol-version", "v3.channel.k8s.io"),
];
/// The example of RFC 6455.
const WEBSOCKET_REQUEST: &[(&str, &str)] = &[
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0"),
];
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn changed(lines: &[(&str, &str)], name: &str, value: Option<&str>) -> HeaderMap {
    let mut changed = headers(lines);
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    match value {
        None => drop(changed.remove(name)),
        Some(value) => drop(changed.insert(name, HeaderValue::from_str(value).unwrap())),
    }
    changed
}

#[test]
fn both_protocols_are_asked_for_anew() {
    let spdy = Upgrade::read(&Method::POST, &headers(SPDY_REQUEST)).unwrap();
    let mut asked = HeaderMap::new();
    spdy.ask(&mut asked);
    assert_eq!(asked, headers(SPDY_REQUEST));

    let websocket = Upgrade::read(&Method::GET, &headers(WEBSOCKET_REQUEST)).unwrap();
    let mut asked = HeaderMap::new();
    websocket.ask(&mut asked);
    assert_eq!(asked["sec-websocket-protocol"], "v4.channel.k8s.io", "a token is no protocol");
    assert_eq!(asked["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(asked.len(), 5);
}

#[test]
fn a_request_that_is_no_clean_upgrade_is_none() {
    for (method, headers) in [
        (Method::POST, changed(SPDY_REQUEST, "connection", None)),
        (Method::POST, changed(SPDY_REQUEST, "connection", Some("close"))),
        (Method::POST, changed(SPDY_REQUEST, "upgrade", None)),
        (Method::POST, changed(SPDY_REQUEST, "upgrade", Some("h2c"))),
        (Method::POST, changed(SPDY_REQUEST, "content-length", Some("5"))),
        (Method::POST, changed(SPDY_REQUEST, "transfer-encoding", Some("chunked"))),
        (Method::POST, changed(SPDY_REQUEST, "x-stream-protocol-version", Some("v99.channel.k8s.io"))),
        (Method::POST, headers(WEBSOCKET_REQUEST)),
        (Method::GET, changed(WEBSOCKET_REQUEST, "sec-websocket-version", Some("8"))),
        (Method::GET, changed(WEBSOCKET_REQUEST, "sec-websocket-key", Some("c2hvcnQ="))),
        (Method::GET, changed(WEBSOCKET_REQUEST, "sec-websocket-key", None)),
    ] {
        assert!(Upgrade::read(&method, &headers).is_err(), "{method} {headers:?}");
    }
}

#[test]
fn only_a_clean_101_to_what_was_asked_for_is_agreed_to() {
    let spdy = Upgrade::read(&Method::POST, &headers(SPDY_REQUEST)).unwrap();
    let good: &[(&str, &str)] =
        &[("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v4.channel.k8s.io")];
    let answer = spdy.agree(StatusCode::SWITCHING_PROTOCOLS, &changed(good, "set-cookie", Some("a=b"))).unwrap();
    assert_eq!(answer, headers(good), "nothing else of the answer passes");
    for status in [200, 204, 206, 301, 302, 307, 400, 401, 403, 404, 426, 500, 503] {
        assert!(spdy.agree(StatusCode::from_u16(status).unwrap(), &headers(good)).is_err(), "{status}");
    }
    for (name, value) in [
        ("connection", None),
        ("upgrade", None),
        ("upgrade", Some("websocket")),
        ("x-stream-protocol-version", Some("v5.channel.k8s.io")),
        ("x-stream-protocol-version", Some("")),
    ] {
        let answer = spdy.agree(StatusCode::SWITCHING_PROTOCOLS, &changed(good, name, value));
        assert!(answer.is_err(), "{name} {value:?}");
    }

    let websocket = Upgrade::read(&Method::GET, &headers(WEBSOCKET_REQUEST)).unwrap();
    let good: &[(&str, &str)] = &[
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", ACCEPT),
        ("sec-websocket-protocol", "v4.channel.k8s.io"),
    ];
    assert_eq!(websocket.agree(StatusCode::SWITCHING_PROTOCOLS, &headers(good)), Ok(headers(good)));
    for (name, value) in [
        ("sec-websocket-accept", None),
        ("sec-websocket-accept", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("sec-websocket-protocol", Some("v5.channel.k8s.io")),
    ] {
        let answer = websocket.agree(StatusCode::SWITCHING_PROTOCOLS, &changed(good, name, value));
        assert!(answer.is_err(), "{name} {value:?}");
    }
}

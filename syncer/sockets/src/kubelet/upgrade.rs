//! The handshake of an upgrade: the upgrades that a client may ask for, the request to the host,
//! and the answer that has to come back before a single byte passes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const SPDY: &str = "SPDY/3.1";
const WEBSOCKET: &str = "websocket";
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// The protocols that may run over a stream. Clients also offer tokens under names of
/// protocols; those go no further.
const PROTOCOLS: [&str; 10] = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "base64.channel.k8s.io",
    "portforward.k8s.io",
    "SPDY/3.1+portforward.k8s.io",
    "v2.portforward.k8s.io",
];

/// An upgrade that is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// The request asks for none.
    #[error("an upgrade to SPDY/3.1 or websocket is required")]
    Missing,
    /// The request is not one that can be upgraded.
    #[error("the request cannot be upgraded: {0}")]
    Request(&'static str),
    /// No known protocol is offered.
    #[error("none of the offered stream protocols is known")]
    Protocols,
    /// The answer does not switch to the requested protocol.
    #[error("the host did not switch to the requested protocol: {0}")]
    Answer(&'static str),
}

/// The protocol that a client asks to switch to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// SPDY/3.1 with these protocols in it.
    Spdy(Vec<&'static str>),
    /// WebSocket with these.
    WebSocket {
        /// The client's nonce.
        key: [u8; 16],
        /// The protocols, in the order of preference.
        protocols: Vec<&'static str>,
    },
}

impl Upgrade {
    /// Reads the upgrade that a request asks for.
    pub fn read(method: &Method, headers: &HeaderMap) -> Result<Self, UpgradeError> {
        if !list(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
            return Err(UpgradeError::Missing);
        }
        if headers.contains_key(http::header::TRANSFER_ENCODING) || has_body(headers) {
            return Err(UpgradeError::Request("it has a body"));
        }
        match one(headers, &UPGRADE).ok_or(UpgradeError::Missing)? {
            spdy if spdy.eq_ignore_ascii_case(SPDY) => Ok(Self::Spdy(protocols(headers, &STREAM_PROTOCOL)?)),
            websocket if websocket.eq_ignore_ascii_case(WEBSOCKET) => Self::websocket(method, headers),
            _ => Err(UpgradeError::Missing),
        }
    }

    fn websocket(method: &Method, headers: &HeaderMap) -> Result<Self, UpgradeError> {
        if *method != Method::GET {
            return Err(UpgradeError::Request("a websocket begins with GET"));
        }
        if one(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(UpgradeError::Request("the version of the websocket is not 13"));
        }
        let key = one(headers, &SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key).ok()?.try_into().ok());
        let key = key.ok_or(UpgradeError::Request("the key of the websocket is not 16 bytes"))?;
        Ok(Self::WebSocket { key, protocols: protocols(headers, &SEC_WEBSOCKET_PROTOCOL)? })
    }

    /// Writes the headers that ask the host for the same.
    pub fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        match self {
            Self::Spdy(protocols) => {
                headers.insert(UPGRADE, HeaderValue::from_static(SPDY));
                for protocol in protocols {
                    headers.append(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
                }
            }
            Self::WebSocket { key, protocols } => {
                headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                set(headers, SEC_WEBSOCKET_KEY, &STANDARD.encode(key));
                if !protocols.is_empty() {
                    set(headers, SEC_WEBSOCKET_PROTOCOL, &protocols.join(", "));
                }
            }
        }
    }

    /// Checks the answer of the host, and returns the headers of the answer to the client.
    pub fn agree(&self, status: StatusCode, headers: &HeaderMap) -> Result<HeaderMap, UpgradeError> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpgradeError::Answer("its status is not 101"));
        }
        if !list(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
            return Err(UpgradeError::Answer("its connection is not upgraded"));
        }
        let (name, header, offered) = match self {
            Self::Spdy(offered) => (SPDY, STREAM_PROTOCOL, offered),
            Self::WebSocket { protocols, .. } => (WEBSOCKET, SEC_WEBSOCKET_PROTOCOL, protocols),
        };
        if !one(headers, &UPGRADE).is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(name)) {
            return Err(UpgradeError::Answer("it speaks another protocol"));
        }
        let mut answer = HeaderMap::new();
        answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.insert(UPGRADE, HeaderValue::from_static(name));
        if let Self::WebSocket { key, .. } = self {
            let accept = derive_accept_key(STANDARD.encode(key).as_bytes());
            if one(headers, &SEC_WEBSOCKET_ACCEPT) != Some(&accept) {
                return Err(UpgradeError::Answer("it does not answer to this websocket"));
            }
            set(&mut answer, SEC_WEBSOCKET_ACCEPT, &accept);
        }
        if headers.contains_key(&header) {
            let chosen = one(headers, &header).and_then(|chosen| offered.iter().find(|offer| **offer == chosen));
            let chosen = chosen.ok_or(UpgradeError::Answer("it has chosen a protocol that was not offered"))?;
            answer.insert(header, HeaderValue::from_static(chosen));
        }
        Ok(answer)
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.get_all(http::header::CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0")
}

/// Returns the known protocols of those that are offered. Offering none is allowed, offering only
/// unknown ones is not.
fn protocols(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<&'static str>, UpgradeError> {
    let mut known = Vec::new();
    for offer in list(headers, name) {
        known.extend(PROTOCOLS.iter().find(|protocol| **protocol == offer && !known.contains(*protocol)));
    }
    if known.is_empty() && headers.contains_key(name) { Err(UpgradeError::Protocols) } else { Ok(known) }
}

/// Returns the members of a list, over all headers of that name.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// Returns the value of a header that occurs once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next()?, values.next());
    if more.is_some() { None } else { value.to_str().ok() }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;

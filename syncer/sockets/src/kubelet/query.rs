//! The query of a request, read once and strictly.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::route::RouteError;

/// Bytes that are escaped in a query. All that is safe stays readable, for people who read audit logs.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The parameters of a request, each of which has to be taken.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, RouteError> {
        if text.contains(';') {
            return Err(RouteError::Query("a semicolon separates nothing".to_owned()));
        }
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// Takes all values of a parameter.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        let (taken, rest) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| key == name);
        self.0 = rest;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// Takes the one value of a parameter.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>, RouteError> {
        let mut all = self.all(name);
        match all.len() {
            0 | 1 => Ok(all.pop()),
            _ => Err(RouteError::Query(format!("{name} is given more than once"))),
        }
    }

    /// Takes a switch: `1` and `true` are on.
    pub(super) fn switch(&mut self, name: &str) -> Result<bool, RouteError> {
        match self.one(name)?.as_deref() {
            None | Some("" | "0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(other) => Err(RouteError::Query(format!("{name} is {other:?}, neither true nor false"))),
        }
    }

    /// Takes a number of at most 63 bits.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, RouteError> {
        let Some(text) = self.one(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number <= i64::MAX.unsigned_abs());
        number.map(Some).ok_or_else(|| RouteError::Query(format!("{name} is {text:?}, which is no count")))
    }

    /// Checks that every parameter was taken.
    pub(super) fn end(self) -> Result<(), RouteError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(RouteError::Query(format!("{name:?} is not known here"))),
        }
    }
}

/// Decodes once. A value that is not UTF-8, or has a NUL, cannot be passed to a container.
fn decode(text: &str) -> Result<String, RouteError> {
    let bytes = text.as_bytes();
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !whole(at)) {
        return Err(RouteError::Query("a percent sign stands alone".to_owned()));
    }
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => Err(RouteError::Query("it is not UTF-8".to_owned())),
    }
}

/// A query that is built, never copied.
#[derive(Default)]
pub(super) struct Builder(String);

impl Builder {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let separator = if self.0.is_empty() { '?' } else { '&' };
        self.0.push(separator);
        self.0.extend(utf8_percent_encode(name, ENCODED));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, ENCODED));
    }

    pub(super) fn set_all(&mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<str>>) {
        for value in values {
            self.set(name, value.as_ref());
        }
    }

    pub(super) fn switch(&mut self, name: &str, on: bool) {
        if on {
            self.set(name, "true");
        }
    }

    pub(super) fn number(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.set(name, &number.to_string());
        }
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

//! Text formats of a configuration. One table gives the `format` and `pattern` of the JSON schema, the
//! check of a file, and the message of a problem.
//!
//! ```
//! # use schemars::JsonSchema;
//! use tenet_translate::format::DnsLabel;
//!
//! #[derive(JsonSchema)]
//! struct Backups {
//!     /// Namespace of the host that takes the copies.
//!     #[schemars(with = "DnsLabel")]
//!     namespace: String,
//! }
//! ```

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::dns_name::{is_label, is_subdomain};
use crate::keys::PREFIX;
use crate::{Duration, HostServiceRef, Quantity, ServiceRef};

/// Text format.
pub struct Format {
    /// Name in the schema, under `format`.
    pub name: &'static str,
    /// Regular expression for editors that check against the schema. It may accept more than `accepts`.
    pub pattern: &'static str,
    /// Noun for a text of this format, for the message of a problem: "... is not {noun}".
    pub noun: &'static str,
    /// Returns true if a text has the format.
    pub accepts: fn(&str) -> bool,
}

/// Finds a format by its name in the schema.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

macro_rules! formats {
    ($($marker:ident { $name:literal, $types:tt, $pattern:literal, $noun:literal, $accepts:expr })*) => {
        const FORMATS: &[Format] = &[
            $(Format { name: $name, pattern: $pattern, noun: $noun, accepts: $accepts }),*
        ];
        $(
            #[doc = concat!("Schema of the text format `", $name, "`, for `#[schemars(with = ...)]`.")]
            pub struct $marker;

            impl JsonSchema for $marker {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    $name.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    let pattern = find($name).map(|format| format.pattern);
                    json_schema!({ "type": $types, "format": $name, "pattern": pattern })
                }
            }
        )*
    };
}

formats! {
    Text {
        "text", "string", r"^[^\x00]+$",
        "a non-empty text without NUL bytes",
        |text| !text.is_empty() && !text.contains('\0')
    }
    DnsLabel {
        "dns-label", "string", r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        "a DNS label (lower-case letters, digits and '-', at most 63 characters)",
        is_label
    }
    DnsSubdomain {
        "dns-subdomain", "string", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a DNS name (labels of lower-case letters, digits and '-', joined by dots)",
        is_subdomain
    }
    ServiceRefText {
        "service-reference", "string", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a Service as namespace/name",
        |text| text.parse::<ServiceRef>().is_ok()
    }
    HostServiceRefText {
        "host-service-reference", "string", r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a Service of the host as name or namespace/name",
        |text| text.parse::<HostServiceRef>().is_ok()
    }
    DurationText {
        "tenet-duration", "string", r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
        "a duration from 1s to 24h, such as 30s, 5m or 1h30m",
        |text| text.parse::<Duration>().is_ok()
    }
    WebhookTimeoutText {
        "webhook-timeout", "string", r"^[0-9]+s$",
        "a duration from 1s to 30s, which is all that an API server waits for a webhook",
        |text| text.ends_with('s') && text.parse::<Duration>().is_ok_and(|timeout| timeout <= Duration::from_secs(30))
    }
    QuantityText {
        "quantity", ["string", "number"], r"^([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$",
        "a Kubernetes quantity such as 16, 500m or 64Gi",
        |text| text.parse::<Quantity>().is_ok()
    }
    AnnotationGlob {
        "annotation-glob", "string", r"^[-A-Za-z0-9_./*]+$",
        "a glob of annotation keys that may cross (keys under tenet.sh/ never do)",
        is_annotation_glob
    }
    KeyGlob {
        "key-glob", "string", r"^[-A-Za-z0-9_./*]+$",
        "a glob of keys, such as dedicated or example.com/*",
        |text| !text.is_empty() && text.bytes().all(is_key_byte)
    }
    FieldPath {
        "field-path", "string", r"^[A-Za-z][A-Za-z0-9]*(\[\])?(\.[A-Za-z][A-Za-z0-9]*(\[\])?)*$",
        "a field path such as spec.hostNetwork or spec.volumes[].hostPath",
        |text| text.split('.').all(is_path_segment)
    }
    IpAddress {
        "ip", "string", r"^[0-9a-fA-F:.]+$",
        "an IP address such as 10.96.0.10",
        |text| text.parse::<IpAddr>().is_ok()
    }
    SocketAddress {
        "socket-address", "string", r"^.+:[0-9]+$",
        "an IP address and port such as 127.0.0.1:9090 or [::]:9090",
        |text| text.parse::<SocketAddr>().is_ok()
    }
    LoopbackAddress {
        "loopback-address", "string", r"^.+:[0-9]+$",
        "an IP address of loopback and a port such as 127.0.0.1:9090 or [::1]:9090",
        |text| text.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    }
    LogDirectives {
        "log-directives", "string", r"^[^, ]+(,[^, ]+)*$",
        "a log level (off, error, warn, info, debug, trace) or target=level, several joined by ','",
        |text| text.split(',').all(is_log_directive)
    }
}

/// Returns true unless the glob can match only our own keys. A wider one is fine, as our keys are always left out.
fn is_annotation_glob(text: &str) -> bool {
    let ours = text.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with(['/', '*']));
    !text.is_empty() && text.bytes().all(is_key_byte) && !ours
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./*".contains(&byte)
}

fn is_path_segment(segment: &str) -> bool {
    let name = segment.strip_suffix("[]").unwrap_or(segment);
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns true for a valid directive. Stricter than tracing-subscriber, which reads a misspelt level as the name of a
/// target and logs all of it.
fn is_log_directive(directive: &str) -> bool {
    let level = match directive.rsplit_once('=') {
        Some((target, level)) if !target.is_empty() && !target.contains(char::is_whitespace) => level,
        Some(_) => return false,
        None => directive,
    };
    ["off", "error", "warn", "info", "debug", "trace"].iter().any(|known| known.eq_ignore_ascii_case(level))
}

#[cfg(test)]
mod tests;

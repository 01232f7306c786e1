use std::fmt;
use std::str::FromStr;

use crate::as_text::serde_as_text;
use crate::dns_name::is_label;

/// Reference to a Service of the virtual cluster, written as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
}

/// Error of parsing a reference to a Service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a Service as namespace/name")]
pub struct ServiceRefError {
    text: String,
}

impl ServiceRef {
    /// Creates a reference to the Service `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceRef {
    type Err = ServiceRefError;

    fn from_str(text: &str) -> Result<Self, ServiceRefError> {
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_label(name) => Ok(Self::new(namespace, name)),
            _ => Err(ServiceRefError { text: text.to_owned() }),
        }
    }
}

/// Reference to a Service of the host, written as `name` or `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostServiceRef {
    /// Namespace of the Service; that of the tenant's objects when absent.
    pub namespace: Option<String>,
    /// Name of the Service.
    pub name: String,
}

/// Error of parsing a reference to a Service of the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a Service as name or namespace/name")]
pub struct HostServiceRefError {
    text: String,
}

impl fmt::Display for HostServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for HostServiceRef {
    type Err = HostServiceRefError;

    fn from_str(text: &str) -> Result<Self, HostServiceRefError> {
        let (namespace, name) = text.split_once('/').map_or((None, text), |(namespace, name)| (Some(namespace), name));
        if is_label(name) && namespace.is_none_or(is_label) {
            return Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned() });
        }
        Err(HostServiceRefError { text: text.to_owned() })
    }
}

serde_as_text!(ServiceRef, HostServiceRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_the_host_may_name_its_namespace() {
        for (text, expected) in [
            ("postgres", Some((None, "postgres"))),
            ("shared/postgres", Some((Some("shared"), "postgres"))),
            ("", None),
            ("/postgres", None),
            ("shared/", None),
            ("a/b/c", None),
            ("shared/*", None),
        ] {
            let parsed = text.parse::<HostServiceRef>().ok();
            let found = parsed.as_ref().map(|it| (it.namespace.as_deref(), it.name.as_str()));
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(parsed.map(|it| it.to_string()), expected.map(|_| text.to_owned()));
        }
    }
}

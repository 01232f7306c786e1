use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dns_name::is_label;

/// Reference to a Service of the virtual cluster, written as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl TryFrom<String> for ServiceRef {
    type Error = ServiceRefError;

    fn try_from(text: String) -> Result<Self, ServiceRefError> {
        text.parse()
    }
}

impl From<ServiceRef> for String {
    fn from(service: ServiceRef) -> Self {
        service.to_string()
    }
}

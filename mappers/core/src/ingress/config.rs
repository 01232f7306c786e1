//! The section `ingresses` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_mapper::format::Text;

/// Claims that Ingresses of tenants may make. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Ingresses {
    /// Globs of host names that Ingresses may claim, such as `*.team-a.example.com`.
    #[schemars(with = "Vec<Text>")]
    pub hosts: Vec<String>,
    /// Globs of names of classes that Ingresses may name. Empty: every class, and the default class of the host.
    #[schemars(with = "Vec<Text>")]
    pub classes: Vec<String>,
    /// Allows rules without a host, which take the requests for all hosts.
    pub allow_any_host: bool,
    /// Allows a default backend, which takes the requests that no rule takes.
    pub allow_default_backend: bool,
}

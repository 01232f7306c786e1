//! The audit log of an API server: the outside judge of who wrote what.

use std::fmt::Write;

/// How much of every request is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audit {
    /// No log.
    Off,
    /// Who did what to which object, with which result.
    #[default]
    Metadata,
    /// And what was sent, except the data of Secrets and ConfigMaps.
    Request,
    /// And what was answered, except the data of Secrets and ConfigMaps.
    RequestResponse,
}

impl Audit {
    /// The policy file; none when there is no log.
    pub(crate) fn policy(self) -> Option<String> {
        let level = match self {
            Self::Off => return None,
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        };
        let mut policy = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*]
- level: Metadata
  resources:
  - group: \"\"
    resources: [secrets, configmaps, serviceaccounts/token]
"
        .to_owned();
        let _ = writeln!(policy, "- level: {level}");
        Some(policy)
    }
}

//! Audit log of an API server, an independent record of who wrote what.

use std::fmt::Write;

/// Audit level: how much of every request is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audit {
    /// No audit log.
    Off,
    /// User, verb, object and result of each request.
    #[default]
    Metadata,
    /// Metadata and the request body, except for Secrets and ConfigMaps. A delete is logged when it arrives, too: an
    /// API server that is killed has no other record of it.
    Request,
    /// Request body and response body, except for Secrets and ConfigMaps.
    RequestResponse,
}

impl Audit {
    /// Returns the text of the audit policy file, or `None` when there is no log.
    pub(crate) fn policy(self) -> Option<String> {
        let level = match self {
            Self::Off => return None,
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        };
        let mut policy = "apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*]
"
        .to_owned();
        if self == Self::Request {
            policy.push_str("- level: Request\n  verbs: [delete, deletecollection]\n");
        }
        policy.push_str(
            "- level: Metadata
  omitStages: [RequestReceived]
  resources:
  - group: \"\"
    resources: [secrets, configmaps, serviceaccounts/token]
",
        );
        let _ = writeln!(policy, "- level: {level}\n  omitStages: [RequestReceived]");
        Some(policy)
    }
}

//! Classification of API errors, which decides the retry.

use http::StatusCode;
use tenet_mapper::{MapError, ObjectRef, Side};

use crate::api::ApiError;

/// Returns the class of an error.
pub fn classify(error: ApiError) -> MapError {
    let is_lost_race = error.is_lost_race();
    match error {
        ApiError::Status { message, .. } if is_lost_race => MapError::Conflict(message),
        ApiError::Status { code, reason, message, retry_after } => match code {
            StatusCode::NOT_FOUND => MapError::Conflict(message),
            StatusCode::FORBIDDEN => match exceeded_quota(&message).map(str::to_owned) {
                Some(quota) => MapError::QuotaExceeded { quota, message },
                // A webhook or a right; either may change, so the key is tried again.
                None => MapError::Rejected(message),
            },
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {
                MapError::Rejected(message)
            }
            _ if code.is_server_error() && is_too_large(&message) => MapError::Rejected(message),
            _ => MapError::Transient {
                reason: format!("{code} {reason} {message}").trim().to_owned(),
                after: retry_after,
            },
        },
        ApiError::Claim(error) => error.into(),
        ApiError::Timeout(_) | ApiError::Transport(_) | ApiError::NotHeld => {
            MapError::Transient { reason: error.to_string(), after: None }
        }
    }
}

/// Returns true if a server error says that the object is too large for the store, which no retry changes: the API
/// server passes on the refusal of etcd, or of its own client of etcd.
fn is_too_large(message: &str) -> bool {
    message.contains("request is too large") || message.contains("message larger than max")
}

/// Returns the class of the error of a write to this object. A resource that the host does not serve rejects it;
/// a virtual API server that answers so is starting.
pub fn of_write(target: &ObjectRef, error: ApiError) -> MapError {
    let is_unserved = error.code() == Some(StatusCode::NOT_FOUND) && !error.is_object_absent();
    match target.side {
        Side::Host if is_unserved => MapError::Rejected(format!("the host does not serve {}: {error}", target.kind)),
        Side::Virtual if is_unserved => MapError::Transient { reason: error.to_string(), after: None },
        _ => classify(error),
    }
}

/// Returns the name of the `ResourceQuota` in the message of the API server's admission:
/// `pods "x" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=1, limited: pods=1`.
fn exceeded_quota(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("exceeded quota: ")?;
    rest.split_once(", requested:").map(|(quota, _)| quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_an_earlier_object_of_the_name_is_a_lost_race() {
        let answered = |message: &str| {
            let code = StatusCode::UNPROCESSABLE_ENTITY;
            classify(ApiError::Status { code, reason: "Invalid".into(), message: message.into(), retry_after: None })
        };
        let replaced = r#"Pod "a" is invalid: metadata.uid: Invalid value: "u-1": field is immutable"#;
        assert_eq!(answered(replaced), MapError::Conflict(replaced.into()));
        let refused = r#"Pod "a" is invalid: spec.containers: Required value"#;
        assert_eq!(answered(refused), MapError::Rejected(refused.into()));
    }

    #[test]
    fn a_denial_by_a_quota_is_told_from_other_denials() {
        let denied = |message: &str| {
            let code = StatusCode::FORBIDDEN;
            classify(ApiError::Status { code, reason: "Forbidden".into(), message: message.into(), retry_after: None })
        };
        let full =
            r#"pods "a" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=1, limited: pods=1"#;
        assert_eq!(denied(full), MapError::QuotaExceeded { quota: "compute".into(), message: full.into() });
        let failed = |message: &str| {
            let code = StatusCode::INTERNAL_SERVER_ERROR;
            classify(ApiError::Status { code, reason: String::new(), message: message.into(), retry_after: None })
        };
        for message in [
            "etcdserver: request is too large",
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2100000 vs. 2097152)",
        ] {
            assert_eq!(failed(message), MapError::Rejected(message.into()));
        }
        assert!(matches!(failed("etcdserver: leader changed"), MapError::Transient { .. }));
        let webhook = r#"admission webhook "q" denied the request: exceeded quota: ask your administrator"#;
        assert_eq!(denied(webhook), MapError::Rejected(webhook.into()));
    }
}

//! Classification of API errors, which decides the retry.

use http::StatusCode;
use tenet_mapper::MapError;

use crate::api::ApiError;

/// Returns the class of an error.
pub fn classify(error: ApiError) -> MapError {
    match error {
        ApiError::Status { code, reason, message, retry_after } => match code {
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => MapError::Conflict(message),
            // A 403 for an exceeded quota can pass, and so can the denial of a webhook.
            StatusCode::FORBIDDEN
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE => MapError::Rejected(message),
            _ => MapError::Transient {
                reason: format!("{code} {reason} {message}").trim().to_owned(),
                after: retry_after,
            },
        },
        ApiError::Timeout(_) | ApiError::Transport(_) => MapError::Transient { reason: error.to_string(), after: None },
    }
}

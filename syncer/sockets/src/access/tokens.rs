//! Authentication of bearer tokens by the virtual API server (`TokenReview`).

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenet_mapper::Kind;

use super::ttl_cache::TtlCache;
use super::{Denied, User};
use tenet_syncer::api::{Api, Target};

/// Review that asks for the user of a token.
pub const TOKEN_REVIEW: Kind = Kind::of("authentication.k8s.io", "v1", "TokenReview", "tokenreviews").cluster_scoped();
/// Lifetime of a positive answer, and so of a token that was revoked.
const KNOWN: Duration = Duration::from_secs(60);
const UNKNOWN: Duration = Duration::from_secs(5);
/// Maximum length of a token in bytes.
const LONGEST: usize = 64 * 1024;

/// Authenticator of bearer tokens.
pub struct Tokens {
    virt: Api,
    limit: Duration,
    cache: TtlCache<[u8; 32], Option<User>>,
}

impl Tokens {
    /// An authenticator that asks this API server.
    pub fn new(virt: Api, limit: Duration) -> Self {
        Self { virt, limit, cache: TtlCache::default() }
    }

    /// Returns the user of the one bearer token in these headers.
    pub async fn user(&self, headers: &HeaderMap) -> Result<User, Denied> {
        let token = bearer(headers).ok_or(Denied::Unauthorized)?;
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.cache.get(&key) {
            return known.ok_or(Denied::Unauthorized);
        }
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token},
        });
        let answer =
            self.virt.create(&Target::new(TOKEN_REVIEW, "", ""), &review, self.limit).await.map_err(Denied::Unknown)?;
        let user = user_of(&answer);
        self.cache.put(key, user.clone(), if user.is_some() { KNOWN } else { UNKNOWN });
        user.ok_or(Denied::Unauthorized)
    }
}

/// Returns the user of a review, only if it says `authenticated: true` and reports no error.
fn user_of(review: &Value) -> Option<User> {
    let status = review.get("status")?;
    let good = status.get("authenticated") == Some(&Value::Bool(true))
        && status.get("error").and_then(Value::as_str).is_none_or(str::is_empty);
    let user: User = serde_json::from_value(status.get("user")?.clone()).ok()?;
    (good && !user.name.is_empty()).then_some(user)
}

/// Returns the bearer token, if the headers have exactly one and it is well-formed.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (one, more) = (all.next()?, all.next());
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let shape = token.bytes().all(|byte| byte.is_ascii_graphic()) && !token.is_empty() && token.len() <= LONGEST;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer") && shape).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_one_whole_token_counts() {
        for (values, token) in [
            (&["Bearer abc.def"][..], Some("abc.def")),
            (&["bearer abc"], Some("abc")),
            (&["Bearer "], None),
            (&["Bearer"], None),
            (&["Bearer a b"], None),
            (&["Basic YTpi"], None),
            (&["Bearer a", "Bearer b"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers), token, "{values:?}");
        }
    }

    #[test]
    fn a_review_has_to_say_yes() {
        let user = json!({"username": "a", "groups": ["g"]});
        for (status, good) in [
            (json!({"authenticated": true, "user": user}), true),
            (json!({"authenticated": false, "user": user}), false),
            (json!({"authenticated": "true", "user": user}), false),
            (json!({"user": user}), false),
            (json!({"authenticated": true}), false),
            (json!({"authenticated": true, "user": {"username": ""}}), false),
            (json!({"authenticated": true, "user": user, "error": "expired"}), false),
        ] {
            assert_eq!(user_of(&json!({ "status": status })).is_some(), good, "{status}");
        }
    }
}

//! Authorization by the virtual API server (`SubjectAccessReview`).

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tenet_mapper::Kind;

use super::ttl_cache::TtlCache;
use super::{Denied, User};
use tenet_syncer::api::{Api, Target};

/// Review that asks if a user has a right.
pub const ACCESS_REVIEW: Kind =
    Kind::of("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews").cluster_scoped();
/// Lifetime of a positive answer, and so of a right that was taken away.
const ALLOWED: Duration = Duration::from_secs(60);
const REFUSED: Duration = Duration::from_secs(5);

/// Attributes of a request, as a `SubjectAccessReview` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Attributes {
    /// `get`, `create`, ...
    pub verb: &'static str,
    /// The API group.
    pub group: &'static str,
    /// The API version.
    pub version: &'static str,
    /// The resource, in its plural.
    pub resource: &'static str,
    /// A subresource.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub subresource: &'static str,
    /// The namespace; empty for all, or for what has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name; empty for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Authorizer that asks the virtual API server.
pub struct Authorizer {
    virt: Api,
    limit: Duration,
    cache: TtlCache<(User, Attributes), bool>,
}

impl Authorizer {
    /// An authorizer that asks this API server.
    pub fn new(virt: Api, limit: Duration) -> Self {
        Self { virt, limit, cache: TtlCache::default() }
    }

    /// Checks that the user has one of these rights, asked in their order.
    pub async fn any(&self, user: &User, wanted: &[Attributes]) -> Result<(), Denied> {
        for attributes in wanted {
            if self.is_allowed(user, attributes).await? {
                return Ok(());
            }
        }
        Err(Denied::Forbidden(refusal(user, wanted)))
    }

    async fn is_allowed(&self, user: &User, attributes: &Attributes) -> Result<bool, Denied> {
        let key = (user.clone(), attributes.clone());
        if let Some(known) = self.cache.get(&key) {
            return Ok(known);
        }
        let mut spec = serde_json::to_value(user).unwrap_or_default();
        spec["resourceAttributes"] = serde_json::to_value(attributes).unwrap_or_default();
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        let answer = self
            .virt
            .create(&Target::new(ACCESS_REVIEW, "", ""), &review, self.limit)
            .await
            .map_err(Denied::Unknown)?;
        let allowed = answer.pointer("/status/allowed") == Some(&Value::Bool(true));
        self.cache.put(key, allowed, if allowed { ALLOWED } else { REFUSED });
        Ok(allowed)
    }
}

fn refusal(user: &User, wanted: &[Attributes]) -> String {
    let rights: Vec<_> = wanted
        .iter()
        .map(|right| match right.subresource {
            "" => format!("{} {}", right.verb, right.resource),
            subresource => format!("{} {}/{subresource}", right.verb, right.resource),
        })
        .collect();
    format!("user={}, needs {}", user.name, rights.join(" or "))
}

//! Result of a quorum read, stored in the cache and passed to the router.

use serde_json::Value;

use crate::cache::{Cache, Change, NamespacedName};
use crate::router::Router;

/// Replaces what the cache holds of an object by what the server says. An object that lost the label by which its
/// stream selects has left the cache, as an absent one; `cached` is the UID that was known before the read. Returns
/// true if the cache has changed.
pub(crate) fn take(
    cache: &Cache,
    router: &Router,
    key: &NamespacedName,
    cached: Option<&str>,
    found: Option<Value>,
) -> bool {
    if let Some(found) = found.filter(|found| cache.selects(found)) {
        let Change::Stored(object, sight) = cache.store(found) else { return false };
        router.changed(cache, &object, &sight);
        return true;
    }
    let Some(last) = cached.and_then(|uid| cache.evict(&key.namespace, &key.name, uid)) else { return false };
    router.gone(cache, &last);
    true
}

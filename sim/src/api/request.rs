//! Requests, as a path and its query say them.

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::resource::ResourceId;
use super::status::Status;
use super::store::Store;

/// Format of the body of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// By key, as Kubernetes does.
    Strategic,
}

/// Action of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads a collection.
    List,
    /// Follows a collection.
    Watch,
    /// Creates an object.
    Create,
    /// Replaces an object.
    Update,
    /// Changes an object.
    Patch(PatchType),
    /// Deletes an object.
    Delete,
    /// Deletes every object of a collection.
    DeleteCollection,
}

/// Options in the query of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// True for a dry run: nothing is stored.
    pub dry_run: bool,
    /// Largest number of items of a page; 0 for all.
    pub limit: usize,
    /// Token of the page before.
    pub continue_token: String,
    /// The version of a list or the start of a watch, as text.
    pub resource_version: String,
    /// `Exact` or `NotOlderThan`.
    pub version_match: String,
    /// Label selector.
    pub labels: String,
    /// Field selector.
    pub fields: String,
    /// Length of a watch in seconds.
    pub timeout: Option<u64>,
    /// True if a watch tells bookmarks.
    pub bookmarks: bool,
    /// True if a watch begins with the objects that exist.
    pub initial_events: bool,
    /// The version as of which a read is answered: a cache that lags behind.
    pub as_of: Option<u64>,
}

/// One request about a resource.
#[derive(Clone, Debug)]
pub struct Request {
    /// User who sends it.
    pub user: String,
    /// Action.
    pub verb: Verb,
    /// Resource.
    pub resource: ResourceId,
    /// Namespace; empty for a cluster-scoped object or all namespaces.
    pub namespace: String,
    /// Name of the object; empty for a collection.
    pub name: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
    /// Query.
    pub options: RequestOptions,
    /// True if only metadata is asked for.
    pub metadata_only: bool,
    /// Body: an object, a patch, options.
    pub body: Value,
}

/// Target of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    Version,
    Health,
    /// The resources of one group and version.
    Resources(&'p str, &'p str),
    Groups,
    CoreVersions,
    Object(ResourceRoute<'p>),
    Unknown,
}

#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct ResourceRoute<'p> {
    pub(super) group: &'p str,
    pub(super) version: &'p str,
    pub(super) namespace: &'p str,
    pub(super) plural: &'p str,
    pub(super) name: &'p str,
    pub(super) subresource: &'p str,
}

/// Reads a path.
pub(super) fn route(path: &str) -> Route<'_> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["version"] => return Route::Version,
        ["healthz" | "livez" | "readyz", ..] => return Route::Health,
        ["api"] => return Route::CoreVersions,
        ["apis"] => return Route::Groups,
        ["api", version] => return Route::Resources("", version),
        ["apis", group, version] => return Route::Resources(group, version),
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Route::Unknown,
    };
    let base = ResourceRoute { group, version, ..ResourceRoute::default() };
    Route::Object(match rest {
        ["namespaces", name, subresource @ ("status" | "finalize")] if group.is_empty() => {
            ResourceRoute { plural: "namespaces", name, subresource, ..base }
        }
        ["namespaces", namespace, plural] => ResourceRoute { namespace, plural, ..base },
        ["namespaces", namespace, plural, name] => ResourceRoute { namespace, plural, name, ..base },
        ["namespaces", namespace, plural, name, subresource] => {
            ResourceRoute { namespace, plural, name, subresource, ..base }
        }
        [plural] => ResourceRoute { plural, ..base },
        [plural, name] => ResourceRoute { plural, name, ..base },
        [plural, name, subresource] => ResourceRoute { plural, name, subresource, ..base },
        _ => return Route::Unknown,
    })
}

impl RequestOptions {
    /// Reads a query.
    pub(super) fn parse(query: &str) -> (Self, bool) {
        let (mut options, mut is_watch) = (Self::default(), false);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            let is_true = matches!(value.as_str(), "true" | "1" | "");
            match name {
                "watch" => is_watch = is_true,
                "dryRun" => options.dry_run = value == "All",
                "limit" => options.limit = value.parse().unwrap_or(0),
                "continue" => options.continue_token = value,
                "resourceVersion" => options.resource_version = value,
                "resourceVersionMatch" => options.version_match = value,
                "labelSelector" => options.labels = value,
                "fieldSelector" => options.fields = value,
                "timeoutSeconds" => options.timeout = value.parse().ok(),
                "allowWatchBookmarks" => options.bookmarks = is_true,
                "sendInitialEvents" => options.initial_events = is_true,
                "tenetSimAsOf" => options.as_of = value.parse().ok(),
                _ => {}
            }
        }
        (options, is_watch)
    }
}

/// Decides what an HTTP request about a resource asks for.
pub(super) fn verb(method: &Method, route: &ResourceRoute<'_>, is_watch: bool, mime: &str) -> Result<Verb, Status> {
    let has_name = !route.name.is_empty();
    Ok(match *method {
        Method::GET if is_watch => Verb::Watch,
        Method::GET if has_name => Verb::Get,
        Method::GET => Verb::List,
        Method::POST if !has_name || !route.subresource.is_empty() => Verb::Create,
        Method::PUT if has_name => Verb::Update,
        Method::PATCH if has_name => Verb::Patch(patch_type(mime)?),
        Method::DELETE if has_name => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ => return Err(Status::method_not_allowed()),
    })
}

fn patch_type(mime: &str) -> Result<PatchType, Status> {
    match mime.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
        _ => Err(Status::unsupported_media_type()),
    }
}

/// Finds the resource of a route.
pub(super) fn resource_of(store: &Store, route: &ResourceRoute<'_>) -> Option<ResourceId> {
    let id = store.serving(route.group, route.version, route.plural)?;
    let kind = store.tables[id].resource.kind;
    let fits = kind.namespaced || route.namespace.is_empty();
    let has_namespace = !kind.namespaced || !route.namespace.is_empty() || route.name.is_empty();
    (fits && has_namespace).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_resource() {
        let base = ResourceRoute { version: "v1", ..ResourceRoute::default() };
        assert_eq!(
            route("/api/v1/namespaces/a/pods/b/binding"),
            Route::Object(ResourceRoute { plural: "pods", namespace: "a", name: "b", subresource: "binding", ..base })
        );
        let base = ResourceRoute { version: "v1", ..ResourceRoute::default() };
        assert_eq!(
            route("/api/v1/namespaces/a/status"),
            Route::Object(ResourceRoute { plural: "namespaces", name: "a", subresource: "status", ..base })
        );
        let base = ResourceRoute { group: "apps", version: "v1", ..ResourceRoute::default() };
        assert_eq!(
            route("/apis/apps/v1/namespaces/a/deployments"),
            Route::Object(ResourceRoute { plural: "deployments", namespace: "a", ..base })
        );
        assert_eq!(route("/apis/apps/v1"), Route::Resources("apps", "v1"));
        assert_eq!(route("/nonsense"), Route::Unknown);
    }
}

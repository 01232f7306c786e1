//! Failures as a user reads them: a sentence about the pod that they know, without a name of the
//! host.

use http::{HeaderValue, Response, StatusCode, header};
use tenet_mapper::translate::Wording;
use tenet_syncer::api::{ApiError, chain};

use super::pod_resolver::ResolvedPod;
use super::route::{PodName, RouteError};
use super::upgrade::UpgradeError;
use super::upstream::UpstreamError;
use crate::access::Denied;
use crate::serving::{Answer, status, text};

/// Answer to a request that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub code: StatusCode,
    /// The reason, as Kubernetes writes it.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into() }
    }

    /// The node has no such pod.
    pub fn no_pod(pod: &PodName) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!("pod {}/{} does not run on this node", pod.namespace, pod.name),
        )
    }

    /// The pod has no such container.
    pub fn no_container(container: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("container not found ({container:?})"))
    }

    /// The container of the pod is not on the host: it is new there, or may not cross. The API server shows the message
    /// of this status, and hides that of 404.
    pub fn container_not_on_host(pod: &PodName, container: &str) -> Self {
        let message = format!(
            "container {container:?} in pod {:?} is not available; the events of the pod may say why",
            pod.name
        );
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// There is no host pod, or it is another one's.
    pub fn not_on_host(pod: &PodName) -> Self {
        let message = format!("pod {}/{} is not on its host", pod.namespace, pod.name);
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// The pod is not the one any more that it was a moment ago.
    pub fn replaced(pod: &PodName) -> Self {
        let message = format!("pod {}/{} was replaced while the stream was opened", pod.namespace, pod.name);
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// There are too many streams.
    pub fn too_many(what: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", format!("too many streams are open to {what}"))
    }

    /// The syncer is about to stop.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "the syncer stops; try again")
    }

    /// There is no answer to this question here.
    pub fn not_available(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// The virtual API server could not be read.
    pub fn virtual_api(error: &ApiError) -> Self {
        tracing::warn!(%error, "cannot read a pod from the virtual API server");
        Self::not_available("the API server does not answer its kubelet")
    }

    /// The host API server could not be read.
    pub fn host_api(error: &ApiError) -> Self {
        tracing::warn!(%error, "cannot read a pod from the host API server");
        match error.code() {
            Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => missing_right("get pods"),
            _ => Self::not_available("the host of the pod does not answer"),
        }
    }

    /// Fails with the error of the host. Its message is translated to the names that the tenant knows.
    pub fn upstream(error: UpstreamError, pod: &ResolvedPod, right: &'static str) -> Self {
        tracing::debug!(error = %chain(&error), pod = pod.name.name, "the host opened no stream");
        match error {
            UpstreamError::Refused { status: StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, .. } => {
                missing_right(right)
            }
            UpstreamError::Refused { status, body } if status.is_client_error() || status.is_server_error() => {
                let reason = status_text(&body, "reason").filter(|reason| known_reason(reason).is_some());
                let message = status_text(&body, "message").unwrap_or(body);
                let message = tell(&message, pod);
                Self::new(status, reason.and_then(|reason| known_reason(&reason)).unwrap_or(reason_of(status)), message)
            }
            UpstreamError::Timeout | UpstreamError::Connect(_) | UpstreamError::Broken(_) => {
                Self::not_available("the host of the pod does not answer")
            }
            UpstreamError::Refused { .. } | UpstreamError::Upgrade(_) => {
                Self::new(StatusCode::BAD_GATEWAY, "InternalError", "the host of the pod answers with no stream")
            }
        }
    }

    /// Returns the answer as text, which the API server passes on.
    pub fn plain(&self) -> Response<Answer> {
        text(self.code, self.message.clone() + "\n")
    }

    /// Returns the answer as a `Status`, which clients of streams read.
    pub fn status(&self) -> Response<Answer> {
        let mut response = status(self.code, self.reason, &self.message);
        if self.code == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        let message = error.to_string();
        match error {
            RouteError::NotFound => Self::new(StatusCode::NOT_FOUND, "NotFound", message),
            RouteError::Method => Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message),
            RouteError::Query(_) => Self::new(StatusCode::BAD_REQUEST, "BadRequest", message),
        }
    }
}

impl From<UpgradeError> for Failure {
    fn from(error: UpgradeError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", error.to_string())
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let message = denied.to_string();
        match denied {
            Denied::Unauthorized => Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message),
            Denied::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "Forbidden", message),
            Denied::Unknown(error) => {
                tracing::warn!(%error, "authorization check failed");
                Self::not_available(message)
            }
        }
    }
}

/// Returns the failure of a right that the syncer lacks. The message of the host holds names of the host, so it is left
/// out.
fn missing_right(right: &str) -> Failure {
    let message = format!("the syncer lacks the right to {right} on the host");
    Failure::new(StatusCode::BAD_GATEWAY, "InternalError", message)
}

fn status_text(body: &str, member: &str) -> Option<String> {
    let status: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(status.get(member)?.as_str()?.to_owned()).filter(|text| !text.is_empty())
}

fn known_reason(reason: &str) -> Option<&'static str> {
    ["BadRequest", "NotFound", "Conflict", "TooManyRequests", "InternalError", "ServiceUnavailable", "Timeout"]
        .into_iter()
        .find(|known| *known == reason)
}

fn reason_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InternalError",
    }
}

const LONGEST: usize = 2048;

/// Returns a message of the host in the names that the tenant knows.
fn tell(message: &str, pod: &ResolvedPod) -> String {
    let message: String = message.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    Wording::new(pod.host.namespace(), &*pod.name.namespace)
        .uid(&pod.host_uid, &pod.uid)
        .object(pod.host.name(), &pod.name.name)
        .hiding_addresses()
        .redact(&message)
}

#[cfg(test)]
mod tests {
    use tenet_mapper::HostKey;

    use super::*;

    fn pod() -> ResolvedPod {
        ResolvedPod {
            name: PodName { namespace: "shop".to_owned(), name: "web".to_owned(), uid: None },
            uid: "virtual-uid".to_owned(),
            host: HostKey::new("team-a", "web-x-shop-x-vc-1"),
            host_uid: "host-uid".to_owned(),
            node: "worker-1".to_owned(),
        }
    }

    #[test]
    fn what_the_host_says_is_told_in_the_names_of_the_tenant() {
        for (said, told) in [
            (
                r#"container "main" in pod "web-x-shop-x-vc-1" is waiting to start: ContainerCreating"#,
                r#"container "main" in pod "web" is waiting to start: ContainerCreating"#,
            ),
            (r#"pods "web-x-shop-x-vc-1" not found"#, r#"pods "web" not found"#),
            (
                "unable to upgrade connection: pod not found (\"web-x-shop-x-vc-1_team-a\")",
                "unable to upgrade connection: pod not found (\"web_shop\")",
            ),
            (
                r#"Get "https://192.0.2.7:10250/containerLogs/team-a/web-x-shop-x-vc-1/main": dial tcp 192.0.2.7:10250: connect: connection refused"#,
                "Get the host: dial tcp the host: connect: connection refused",
            ),
            ("read tcp 10.0.0.1:4->10.0.0.2:5: i/o timeout", "read tcp the host: i/o timeout"),
            ("no such namespace team-a", "no such namespace the host"),
            (
                "exec: \"bash\": executable file not found in $PATH",
                "exec: \"bash\": executable file not found in $PATH",
            ),
            ("dial tcp 127.0.0.1:80: connection refused", "dial tcp 127.0.0.1:80: connection refused"),
        ] {
            assert_eq!(tell(said, &pod()), told);
        }
    }

    #[test]
    fn a_status_of_the_host_keeps_its_reason_and_a_lack_of_rights_names_the_right() {
        let refused = |status: u16, body: &str| {
            let error = UpstreamError::Refused { status: StatusCode::from_u16(status).unwrap(), body: body.to_owned() };
            Failure::upstream(error, &pod(), "create pods/exec")
        };
        let status = r#"{"kind":"Status","reason":"BadRequest","message":"pod web-x-shop-x-vc-1 does not have a host assigned"}"#;
        let failure = refused(400, status);
        assert_eq!((failure.code.as_u16(), failure.reason), (400, "BadRequest"));
        assert_eq!(failure.message, "pod web does not have a host assigned");

        let failure = refused(403, r#"{"message":"User \"system:serviceaccount:team-a:syncer\" cannot"}"#);
        assert_eq!(failure.message, "the syncer lacks the right to create pods/exec on the host");
        assert_eq!(refused(302, "<a href=https://elsewhere>").message, "the host of the pod answers with no stream");
        assert_eq!(refused(500, "no JSON").message, "no JSON");
    }
}

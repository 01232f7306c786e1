//! Denials of requests, in words for the tenant: no name of the host is in them.

use http::StatusCode;
use tenet_mapper::translate::Wording;
use tenet_mapper::{HostKey, Kind, MapError, Object};

use tenet_syncer::api::ApiError;

/// A denied request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The HTTP status that the client gets.
    pub code: u16,
    /// The reason of that status.
    pub reason: &'static str,
    /// For metrics.
    pub class: &'static str,
    /// Fields of the object that it is about, for the log.
    pub field: Option<String>,
    /// For people.
    pub message: String,
}

impl Denial {
    fn new(code: StatusCode, reason: &'static str, class: &'static str, message: impl Into<String>) -> Self {
        Self { code: code.as_u16(), reason, class, field: None, message: message.into() }
    }

    fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The host did not answer in time.
    pub fn silent() -> Self {
        let message = "the host cluster does not answer; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "unavailable", message)
    }

    /// The mapper of the kind is off.
    pub fn off(kind: Kind) -> Self {
        let message = format!(
            "the {kind} cannot be brought to the host at present, because the syncer lacks an API or a right there"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "off", message)
    }

    /// The code of the mapper panicked.
    pub fn panicked() -> Self {
        let message = "the syncer has a bug; its log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "panic", message)
    }

    /// A foreign object on the host has the name of the copy.
    pub fn taken(kind: Kind) -> Self {
        let message = format!(
            "metadata.name: something else on the host has the place of a {kind} of this name; choose another name"
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", "foreign", message).at("metadata.name")
    }

    /// The host object of an earlier object of the name is still being deleted.
    pub fn leaving(kind: Kind) -> Self {
        let message = format!(
            "the {kind} that had this name before is still being removed on the host; try again in some seconds"
        );
        Self::new(StatusCode::CONFLICT, "Conflict", "leaving", message)
    }

    /// Another request for the same name asked for something else.
    pub fn contended(kind: Kind, seconds: i64) -> Self {
        let message = format!(
            "another request to create a {kind} of this name asked for something else and may still succeed; \
             try again in {seconds} seconds"
        );
        Self::new(StatusCode::CONFLICT, "Conflict", "contended", message)
    }

    /// Too many requests to create objects of this kind are not finished yet.
    pub fn crowded(kind: Kind, most: usize) -> Self {
        let message = format!(
            "{most} requests to create a {kind} are not finished yet, which is as many as this cluster may have; \
             try again in some seconds"
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "crowded", message)
    }

    /// Others change the host object all the time.
    pub fn busy(kind: Kind) -> Self {
        let message = format!("the {kind} is being changed by others at the same time; try again");
        Self::new(StatusCode::CONFLICT, "Conflict", "busy", message)
    }

    /// Denies for an error of the mapper.
    pub fn of_mapper(error: &MapError, kind: Kind) -> Self {
        match error {
            MapError::Refused(refusals) => {
                let fields: Vec<&str> = refusals.iter().map(|refusal| refusal.field.as_str()).collect();
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "refused", error.to_string())
                    .at(fields.join(", "))
            }
            MapError::Foreign { .. } => Self::taken(kind),
            MapError::Conflict(_) => Self::busy(kind),
            MapError::Transient { .. } | MapError::Suspended(_) => Self::silent(),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "failed",
                "it cannot be brought to the host",
            ),
        }
    }

    /// Denies for an error of the host's API server about the host object of `virt`.
    pub fn of_host(error: &ApiError, kind: Kind, virt: &Object, host: &HostKey) -> Self {
        let ApiError::Status { code, message, .. } = error else { return Self::silent() };
        match *code {
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
                let told = known(message).unwrap_or_else(|| told(message, virt, host));
                let field = field_of(message).map(str::to_owned);
                Self { field, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "rejected", told) }
            }
            StatusCode::FORBIDDEN if message.contains("exceeded quota") => {
                let message = format!("the quota on the host has no room for another {kind} like this");
                Self::new(StatusCode::FORBIDDEN, "Forbidden", "quota", message)
            }
            StatusCode::FORBIDDEN => {
                Self::new(StatusCode::FORBIDDEN, "Forbidden", "rejected", told(message, virt, host))
            }
            _ => Self::silent(),
        }
    }
}

/// Returns the field that a message of an API server is about: `Service "web" is invalid: spec.ports: Required value`.
fn field_of(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("is invalid: ")?;
    let field = rest.trim_start_matches('[').split(": ").next()?;
    let is_path = !field.is_empty() && !field.contains(char::is_whitespace);
    is_path.then_some(field)
}

/// Returns a sentence for what API servers say about addresses and node ports, tried with 1.37.2.
fn known(message: &str) -> Option<String> {
    let after = |start: &str| {
        let rest = &message[message.find(start)? + start.len()..];
        Some(rest.split([':', ',', ']']).next().unwrap_or(rest).trim_matches(['[', '"', ' ']).to_owned())
    };
    let value = after("Invalid value: ")?;
    if message.contains("provided IP is already allocated") {
        return Some(format!(
            "spec.clusterIP: {} is taken on the host",
            after("failed to allocate IP ").unwrap_or(value)
        ));
    }
    if message.contains("provided port is already allocated") {
        return Some(format!("spec.ports: the node port {value} is taken on the host"));
    }
    if message.contains("provided port is not in the valid range") {
        return Some(format!("spec.ports: the node port {value} is outside of the range of the host"));
    }
    if message.contains("not in the valid range") || message.contains("does not match network") {
        return Some(format!("spec.clusterIP: {value} is outside of the service ranges of the host"));
    }
    None
}

/// Returns the message of the host in the tenant's names, if no name of another object is left.
fn told(message: &str, virt: &Object, host: &HostKey) -> String {
    let text = message.split_once("is invalid: ").map_or(message, |(_, rest)| rest);
    let text = Wording::new(host.namespace(), virt.namespace()).object(host.name(), virt.name()).redact(text);
    if text.contains("-x-") || text.is_empty() {
        return "the host does not accept it".to_owned();
    }
    format!("the host does not accept it: {text}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenet_mapper::kinds;
    use tenet_mapper::rules::Refusal;

    use super::*;

    #[test]
    fn the_hosts_words_reach_the_tenant_without_its_names() {
        let virt = Object::new(json!({"metadata": {"name": "web", "namespace": "shop"}}));
        let host = HostKey::new("team-a", "web-x-shop-x-vc-1");
        for (code, message, field, words) in [
            (
                422,
                r#"Service "web-x-shop-x-vc-1" is invalid: spec.clusterIPs: Invalid value: ["10.96.7.7"]: failed to allocate IP 10.96.7.7: provided IP is already allocated"#,
                Some("spec.clusterIPs"),
                "spec.clusterIP: 10.96.7.7 is taken on the host",
            ),
            (
                422,
                r#"Service "web-x-shop-x-vc-1" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"#,
                Some("spec.ports[0].nodePort"),
                "spec.ports: the node port 30080 is taken on the host",
            ),
            (
                422,
                r#"Service "web-x-shop-x-vc-1" is invalid: spec.ports: Required value"#,
                Some("spec.ports"),
                "the host does not accept it: spec.ports: Required value",
            ),
            (
                403,
                r#"services "web-x-shop-x-vc-1" is forbidden: exceeded quota: q, requested: count/services=1"#,
                None,
                "the quota on the host has no room for another Service like this",
            ),
            (
                403,
                r#"admission webhook "w" denied the request: web-x-shop-x-vc-1 in team-a clashes with db-x-shop-x-vc-1"#,
                None,
                "the host does not accept it",
            ),
            (500, "boom in team-a", None, "the host cluster does not answer; try again"),
        ] {
            let error = ApiError::Status {
                code: StatusCode::from_u16(code).unwrap(),
                reason: String::new(),
                message: message.to_owned(),
                retry_after: None,
            };
            let denial = Denial::of_host(&error, kinds::SERVICE, &virt, &host);
            assert_eq!((denial.field.as_deref(), denial.message.as_str()), (field, words));
        }
    }

    #[test]
    fn a_denial_names_the_fields_that_it_is_about() {
        let refused = |field: &str| Refusal { field: field.to_owned(), why: "no".to_owned() };
        let error = MapError::Refused(vec![refused("spec.type"), refused("spec.ports[0].nodePort")]);
        for (denial, field) in [
            (Denial::of_mapper(&error, kinds::SERVICE), Some("spec.type, spec.ports[0].nodePort")),
            (Denial::taken(kinds::SERVICE), Some("metadata.name")),
            (Denial::busy(kinds::SERVICE), None),
        ] {
            assert_eq!(denial.field.as_deref(), field, "{}", denial.message);
        }
    }
}

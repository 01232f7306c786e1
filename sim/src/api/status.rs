//! Errors, in the words of a kube-apiserver.

use serde_json::{Value, json};

use super::resource::Resource;

/// One cause of an error: a field and why its value is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable: `FieldValueInvalid`.
    pub reason: &'static str,
    /// Sentence for people.
    pub message: String,
    /// Path of the field; empty for none.
    pub field: String,
}

/// Details of an error: the object, the causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Name of the object; empty for none.
    pub name: String,
    /// API group of the object.
    pub group: String,
    /// Resource or kind of the object; empty for none.
    pub kind: String,
    /// Causes.
    pub causes: Vec<Cause>,
    /// Seconds that the client has to wait.
    pub retry_after: Option<u32>,
}

/// An error answer of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
    /// Machine-readable: `AlreadyExists`.
    pub reason: &'static str,
    /// Sentence for people.
    pub message: String,
    /// Details.
    pub details: Option<Box<Details>>,
}

impl Status {
    /// An error without an object.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Some(Box::default()) }
    }

    /// An error that asks the client to wait.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.detailed(|details| details.retry_after = Some(seconds))
    }

    fn bare(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { details: None, ..Self::new(code, reason, message) }
    }

    /// The same error with other details.
    #[must_use]
    pub(super) fn detailed(mut self, change: impl FnOnce(&mut Details)) -> Self {
        change(self.details.get_or_insert_default());
        self
    }

    /// The same error with a cause.
    #[must_use]
    pub(super) fn because(self, cause: Cause) -> Self {
        self.detailed(|details| details.causes.push(cause))
    }

    /// The same error about an object of a resource.
    #[must_use]
    pub fn about(self, resource: &Resource, name: &str) -> Self {
        self.detailed(|details| {
            name.clone_into(&mut details.name);
            resource.kind.group.clone_into(&mut details.group);
            resource.kind.plural.clone_into(&mut details.kind);
        })
    }

    /// The same error about an object, which is named by its kind instead of its resource.
    #[must_use]
    fn about_kind(self, resource: &Resource, name: &str) -> Self {
        self.about(resource, name).detailed(|details| resource.kind.kind.clone_into(&mut details.kind))
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::bare(400, "BadRequest", message)
    }

    /// 404: the object is absent.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    /// 404: the server does not serve the path.
    pub fn not_served() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 403: a rule forbids the request.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// 405: the resource does not have this verb.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 409: the name is taken.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// 409: the object is not what the request expects.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 409: another version is stored.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 409 of a precondition of a delete, which names the kind instead of the resource.
    pub fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let kind = resource.kind;
        let message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about_kind(resource, name)
    }

    /// 409 of the store itself.
    pub fn storage_conflict(resource: &Resource, key: &str, name: &str, why: &str) -> Self {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: {why}"
        );
        Self::conflict(resource, name, &why)
    }

    /// 422: the object has wrong values.
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let kind = resource.kind.to_string();
        let status = invalid_message(&kind, name, &causes);
        status.about_kind(resource, name).detailed(|details| details.causes = causes)
    }

    /// 422 about something that is no stored object: options, a `TokenRequest`.
    pub fn invalid_options(group: &str, kind: &str, causes: Vec<Cause>) -> Self {
        let status = invalid_message(&format!("{kind}.{group}"), "", &causes);
        status.detailed(|details| {
            group.clone_into(&mut details.group);
            kind.clone_into(&mut details.kind);
            details.causes = causes;
        })
    }

    /// 422 of a JSON patch that does not fit.
    pub fn patch_failed() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
    }

    /// 415: no such kind of patch.
    pub fn unsupported_media_type() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
    }

    /// 410: the version of a watch or a list is compacted.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::bare(410, "Expired", message)
    }

    /// 504: the version of a list is in the future.
    pub fn too_large_version(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        };
        Self::new(504, "Timeout", message).because(cause).retry_after(1)
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::bare(500, "", message)
    }

    /// The body of the answer.
    pub fn to_value(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            body["details"] = details.to_value();
        }
        body
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut value = json!({});
        for (member, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind)] {
            if !text.is_empty() {
                value[member] = json!(text);
            }
        }
        if !self.causes.is_empty() {
            value["causes"] = self.causes.iter().map(Cause::to_value).collect();
        }
        if let Some(seconds) = self.retry_after {
            value["retryAfterSeconds"] = json!(seconds);
        }
        value
    }
}

fn invalid_message(kind: &str, name: &str, causes: &[Cause]) -> Status {
    let told: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    let told = if let [one] = told.as_slice() { one.clone() } else { format!("[{}]", told.join(", ")) };
    Status::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {told}"))
}

impl Cause {
    /// A value that is wrong.
    pub fn invalid(field: &str, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {value}: {why}");
        Self { reason: "FieldValueInvalid", message, field: field.to_owned() }
    }

    /// A value that is missing.
    pub fn required(field: &str, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired", message, field: field.to_owned() }
    }

    /// A value that may not be there.
    pub fn forbidden(field: &str, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.to_owned() }
    }

    fn to_value(&self) -> Value {
        let mut value = json!({"reason": self.reason, "message": self.message});
        if !self.field.is_empty() {
            value["field"] = json!(self.field);
        }
        value
    }
}

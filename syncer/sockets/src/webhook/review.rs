//! What the virtual API server asks, and how it is answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tenet_mapper::{Kind, Object, Operation, Request, patch};
use thiserror::Error;

use super::denial::Denial;

/// Why a review cannot be answered at all.
#[derive(Debug, Error)]
pub enum ReviewError {
    /// It is no `AdmissionReview`.
    #[error("this is no AdmissionReview of admission.k8s.io/v1")]
    Unreadable,
    /// It asks about something else than was registered.
    #[error("the operation {0:?} is not reviewed here")]
    Operation(String),
    /// It asks about objects of another kind.
    #[error("{0:?} is not reviewed here")]
    Resource(String),
}

/// A question of the virtual API server.
#[derive(Debug)]
pub struct Review {
    uid: String,
    /// What is about to happen.
    pub operation: Operation,
    /// Whether it is only tried.
    pub dry_run: bool,
    /// The namespace of the object.
    pub namespace: String,
    /// Its name; empty when the API server is to make one.
    pub name: String,
    object: Value,
    old: Option<Value>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "apiVersion")]
    api_version: String,
    request: Question,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    uid: String,
    operation: String,
    resource: Resource,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    resource: String,
}

impl Review {
    /// Reads the body of a request about objects of this kind. A tenant may register the same
    /// address for others.
    pub fn read(body: &[u8], kind: Kind) -> Result<Self, ReviewError> {
        let Body { api_version, request } = serde_json::from_slice(body).map_err(|_| ReviewError::Unreadable)?;
        if api_version != "admission.k8s.io/v1" || !request.object.is_object() {
            return Err(ReviewError::Unreadable);
        }
        if (request.resource.group.as_str(), request.resource.resource.as_str()) != (kind.group, kind.plural) {
            return Err(ReviewError::Resource(request.resource.resource));
        }
        let operation = match request.operation.as_str() {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            other => return Err(ReviewError::Operation(other.to_owned())),
        };
        let Question { uid, dry_run, namespace, mut name, mut object, old_object, .. } = request;
        // Asked again after another webhook, the object has the name that it got here.
        if name.is_empty() {
            object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().clone_into(&mut name);
        }
        object["metadata"]["namespace"] = json!(namespace);
        let old = old_object.is_object().then_some(old_object);
        Ok(Self { uid, operation, dry_run, namespace, name, object, old })
    }

    /// For metrics.
    pub fn operation_word(&self) -> &'static str {
        match self.operation {
            Operation::Create => "create",
            Operation::Update => "update",
        }
    }

    /// What the name is to begin with, when the API server is to make one.
    pub fn beginning(&self) -> Option<&str> {
        let beginning = self.object.pointer("/metadata/generateName").and_then(Value::as_str)?;
        (self.name.is_empty() && self.operation == Operation::Create).then_some(beginning)
    }

    /// The request, for an object of this name.
    pub fn request(&self, name: &str) -> Request {
        let mut object = self.object.clone();
        object["metadata"]["name"] = json!(name);
        // A client need not say of which incarnation it speaks; the API server knows.
        if let Some(uid) = self.old.as_ref().and_then(|old| old.pointer("/metadata/uid")) {
            object["metadata"]["uid"] = uid.clone();
        }
        Request { operation: self.operation, object: Object::new(object), old: self.old.clone().map(Object::new) }
    }

    /// The answer: what the object takes on, or why not.
    pub fn answer(&self, result: Result<Vec<(String, Value)>, Denial>) -> Value {
        let mut response = json!({"uid": self.uid, "allowed": result.is_ok()});
        match result {
            Ok(values) => {
                let changes = self.changes(&values);
                if !changes.is_empty() {
                    response["patchType"] = json!("JSONPatch");
                    response["patch"] = json!(STANDARD.encode(Value::Array(changes).to_string()));
                }
            }
            Err(denial) => {
                response["status"] = json!({"code": denial.code, "reason": denial.reason, "message": denial.message});
            }
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    fn changes(&self, values: &[(String, Value)]) -> Vec<Value> {
        let differs = |(pointer, value): &&(String, Value)| {
            !patch::same(self.object.pointer(pointer).unwrap_or(&Value::Null), value)
        };
        let change = |(pointer, value): &(String, Value)| match value {
            Value::Null => json!({"op": "remove", "path": pointer}),
            value => json!({"op": "add", "path": pointer, "value": value}),
        };
        values.iter().filter(differs).map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::kinds;

    use super::*;

    fn services() -> Value {
        json!({"group": "", "version": "v1", "resource": "services"})
    }

    fn review(object: &Value) -> Review {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "operation": "CREATE", "resource": services(), "namespace": "team", "object": object, "oldObject": null}});
        Review::read(body.to_string().as_bytes(), kinds::SERVICE).unwrap()
    }

    #[test]
    fn an_answer_changes_only_what_differs() {
        let review = review(&json!({"metadata": {"generateName": "web-"}, "spec": {"type": "ClusterIP", "a": 1}}));
        assert_eq!(review.beginning(), Some("web-"));
        assert_eq!(review.request("web-1").object.name(), "web-1");
        let values = [
            ("/spec/type", json!("ClusterIP")),
            ("/spec/clusterIP", json!("1.2.3.4")),
            ("/spec/a", Value::Null),
            ("/spec/b", Value::Null),
        ];
        let values = values.map(|(pointer, value)| (pointer.to_owned(), value));
        assert_eq!(
            review.changes(&values),
            [
                json!({"op": "add", "path": "/spec/clusterIP", "value": "1.2.3.4"}),
                json!({"op": "remove", "path": "/spec/a"})
            ]
        );
        let answer = review.answer(Ok(Vec::new()));
        assert_eq!(answer["response"], json!({"uid": "u", "allowed": true}));
    }

    #[test]
    fn asked_again_it_keeps_the_name_that_it_got() {
        let review = review(&json!({"metadata": {"generateName": "web-", "name": "web-1"}}));
        assert_eq!((review.beginning(), review.name.as_str()), (None, "web-1"));
    }

    #[test]
    fn an_update_is_of_the_stored_incarnation() {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "u", "operation": "UPDATE", "resource": services(), "namespace": "team", "name": "web", "object": {"metadata": {}},
            "oldObject": {"metadata": {"uid": "u-1"}}}});
        let review = Review::read(body.to_string().as_bytes(), kinds::SERVICE).unwrap();
        assert_eq!(review.request("web").object.uid(), "u-1");
        assert_eq!(review.beginning(), None);
    }

    #[test]
    fn what_is_no_review_is_not_answered() {
        let good = json!({"apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "u", "operation": "CREATE", "resource": services(), "object": {"metadata": {}}}});
        assert!(Review::read(good.to_string().as_bytes(), kinds::SERVICE).is_ok());
        for (pointer, value) in [
            ("/apiVersion", json!("admission.k8s.io/v1beta1")),
            ("/request", json!({})),
            ("/request/object", Value::Null),
            ("/request/operation", json!("DELETE")),
            ("/request/resource/resource", json!("configmaps")),
            ("/request/resource/group", json!("apps")),
        ] {
            let mut body = good.clone();
            *body.pointer_mut(pointer).unwrap() = value;
            assert!(Review::read(body.to_string().as_bytes(), kinds::SERVICE).is_err(), "{body}");
        }
    }
}

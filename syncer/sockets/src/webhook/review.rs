//! Reviews: the questions of the virtual API server about objects, and their answers.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1};
use serde_json::{Value, json};
use tenet_mapper::{Kind, Object, Operation, Request, patch};
use thiserror::Error;

use super::denial::Denial;

/// A review that cannot be answered at all.
#[derive(Debug, Error)]
pub enum ReviewError {
    /// It is no `AdmissionReview`.
    #[error("cannot parse the body as an AdmissionReview of admission.k8s.io/v1")]
    Unreadable,
    /// The operation was not registered.
    #[error("the operation {0:?} is not reviewed here")]
    Operation(String),
    /// The objects are of a kind that was not registered.
    #[error("{0:?} is not reviewed here")]
    Resource(String),
}

/// A question of the virtual API server.
#[derive(Debug)]
pub struct Review {
    /// The answer that allows the request as it is.
    response: AdmissionResponse,
    /// Operation of the request.
    pub operation: Operation,
    /// True for a dry run.
    pub dry_run: bool,
    /// The namespace of the object.
    pub namespace: String,
    /// Its name; empty when the API server is to make one.
    pub name: String,
    object: Value,
    old: Option<Value>,
}

impl Review {
    /// Reads the body of a request about objects of this kind. A tenant may register the same
    /// address for others.
    pub fn read(body: &[u8], kind: Kind) -> Result<Self, ReviewError> {
        let review: AdmissionReview<DynamicObject> =
            serde_json::from_slice(body).map_err(|_| ReviewError::Unreadable)?;
        let request: AdmissionRequest<DynamicObject> = review.try_into().map_err(|_| ReviewError::Unreadable)?;
        if request.types.api_version != META_API_VERSION_V1 {
            return Err(ReviewError::Unreadable);
        }
        let resource = &request.resource;
        if (resource.group.as_str(), resource.resource.as_str()) != (kind.group, kind.plural) {
            return Err(ReviewError::Resource(resource.resource.clone()));
        }
        let operation = match request.operation {
            kube::core::admission::Operation::Create => Operation::Create,
            kube::core::admission::Operation::Update => Operation::Update,
            other => return Err(ReviewError::Operation(format!("{other:?}"))),
        };
        let value = |object: &DynamicObject| serde_json::to_value(object).map_err(|_| ReviewError::Unreadable);
        let mut object = value(request.object.as_ref().ok_or(ReviewError::Unreadable)?)?;
        let old = request.old_object.as_ref().map(value).transpose()?;
        // Asked again after another webhook, the object has the name that it got here.
        let name = match request.name.as_str() {
            "" => object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default(),
            name => name,
        };
        let (name, namespace) = (name.to_owned(), request.namespace.clone().unwrap_or_default());
        object["metadata"]["namespace"] = json!(namespace);
        let response = AdmissionResponse::from(&request);
        Ok(Self { response, operation, dry_run: request.dry_run, namespace, name, object, old })
    }

    /// Returns the operation, for metrics.
    pub fn operation_name(&self) -> &'static str {
        match self.operation {
            Operation::Create => "create",
            Operation::Update => "update",
        }
    }

    /// Returns `generateName`, when the API server is to make the name.
    pub fn beginning(&self) -> Option<&str> {
        let beginning = self.object.pointer("/metadata/generateName").and_then(Value::as_str)?;
        (self.name.is_empty() && self.operation == Operation::Create).then_some(beginning)
    }

    /// Returns the request, for an object of this name.
    pub fn request(&self, name: &str) -> Request {
        let mut object = self.object.clone();
        object["metadata"]["name"] = json!(name);
        // A client may leave out the UID; the API server knows it.
        if let Some(uid) = self.old.as_ref().and_then(|old| old.pointer("/metadata/uid")) {
            object["metadata"]["uid"] = uid.clone();
        }
        Request { operation: self.operation, object: Object::new(object), old: self.old.clone().map(Object::new) }
    }

    /// Returns the answer: the values that the object takes on, or the denial.
    pub fn answer(&self, result: Result<Vec<(String, Value)>, Denial>) -> AdmissionReview<DynamicObject> {
        let response = match result.map(|values| self.changes(&values)) {
            Ok(Patch(changes)) if changes.is_empty() => Ok(self.response.clone()),
            Ok(patch) => self.response.clone().with_patch(patch),
            Err(Denial { code, reason, message, .. }) => {
                let mut response = self.response.clone().deny(message);
                (response.result.code, response.result.reason) = (code, reason.to_owned());
                Ok(response)
            }
        };
        response.unwrap_or_else(|error| self.response.clone().deny(error)).into_review()
    }

    /// Returns the answer that allows the request as it is, with a warning that the client shows.
    pub fn allow_with(&self, warning: String) -> AdmissionReview<DynamicObject> {
        let mut response = self.response.clone();
        response.warnings = Some(vec![warning]);
        response.into_review()
    }

    /// Returns the changes of the object as it was sent.
    fn changes(&self, values: &[(String, Value)]) -> Patch {
        let differs = |(pointer, value): &&(String, Value)| {
            !patch::same(self.object.pointer(pointer).unwrap_or(&Value::Null), value)
        };
        let change = |(pointer, value): &(String, Value)| {
            // A pointer comes from a mapper's code, not from a request.
            let path = PointerBuf::parse(pointer.as_str()).unwrap_or_default();
            match value {
                Value::Null => PatchOperation::Remove(RemoveOperation { path }),
                value => PatchOperation::Add(AddOperation { path, value: value.clone() }),
            }
        };
        Patch(values.iter().filter(differs).map(change).collect())
    }
}

#[cfg(test)]
mod tests {
    use tenet_mapper::kinds;

    use super::*;

    fn body(request: Value) -> Value {
        let mut body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "userInfo": {"username": "jane"},
            "kind": {"group": "", "version": "v1", "kind": "Service"},
            "resource": {"group": "", "version": "v1", "resource": "services"},
        }});
        if let Value::Object(members) = request {
            body["request"].as_object_mut().unwrap().extend(members);
        }
        body
    }

    fn read(body: &Value) -> Result<Review, ReviewError> {
        Review::read(body.to_string().as_bytes(), kinds::SERVICE)
    }

    fn review(object: &Value) -> Review {
        read(&body(json!({"operation": "CREATE", "namespace": "team", "object": object, "oldObject": null}))).unwrap()
    }

    #[test]
    fn an_object_whose_mapper_is_off_may_be_allowed_with_a_warning() {
        let answer = review(&json!({"metadata": {"name": "web"}})).allow_with(Denial::off(kinds::SERVICE).message);
        let response = answer.response.unwrap();
        assert!(response.allowed && response.patch.is_none());
        assert!(response.warnings.unwrap()[0].contains("lacks an API or a right"));
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
            serde_json::to_value(review.changes(&values)).unwrap(),
            json!([
                {"op": "add", "path": "/spec/clusterIP", "value": "1.2.3.4"},
                {"op": "remove", "path": "/spec/a"},
            ])
        );
        let answer = serde_json::to_value(review.answer(Ok(Vec::new()))).unwrap();
        assert_eq!(answer["response"], json!({"uid": "u", "allowed": true, "status": {}}));
        let answer = serde_json::to_value(review.answer(Err(Denial::taken(kinds::SERVICE)))).unwrap();
        let response = &answer["response"];
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(403)));
        assert_eq!(response["status"]["reason"], "Forbidden");
    }

    #[test]
    fn asked_again_it_keeps_the_name_that_it_got() {
        let review = review(&json!({"metadata": {"generateName": "web-", "name": "web-1"}}));
        assert_eq!((review.beginning(), review.name.as_str()), (None, "web-1"));
    }

    #[test]
    fn an_update_is_of_the_stored_incarnation() {
        let review = read(&body(json!({
            "operation": "UPDATE", "namespace": "team", "name": "web", "object": {"metadata": {}},
            "oldObject": {"metadata": {"uid": "u-1"}},
        })));
        let review = review.unwrap();
        assert_eq!(review.request("web").object.uid(), "u-1");
        assert_eq!(review.beginning(), None);
    }

    #[test]
    fn what_is_no_review_is_not_answered() {
        let good = body(json!({"operation": "CREATE", "object": {"metadata": {}}}));
        assert!(read(&good).is_ok());
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
            assert!(read(&body).is_err(), "{body}");
        }
    }
}

use std::borrow::Cow;

use serde_json::Value;

use crate::{Context, MapError, Object};

/// Part of a mapper that is called before the virtual API server stores an object, for
/// kinds with a value that the host decides and that cannot change afterwards.
///
/// The engine makes the host object first, as a reservation, and shows the virtual API
/// server what the host has given. It calls all methods with the object as it was sent, which
/// has no UID when it is about to be created.
///
/// ```
/// use tenet_mapper::{Admission, Context, MapError, Need, Object, Request, Scope};
///
/// /// Asks for nothing.
/// struct Idle;
///
/// impl Admission for Idle {
///     fn scope(&self) -> Scope { Scope { updates: false, conditions: vec![] } }
///     fn need(&self, _: &Context<'_>, _: &Request, _: Option<&Object>) -> Result<Need, MapError> { Ok(Need::Nothing) }
///     fn answer(&self, _: &Context<'_>, _: &Request, _: &Object) -> Result<Vec<(String, serde_json::Value)>, MapError> {
///         Ok(Vec::new())
///     }
/// }
/// ```
pub trait Admission: Send + Sync {
    /// Requests that are asked about.
    fn scope(&self) -> Scope;

    /// Returns what the host must provide before the request may be served. `host` is the present host
    /// object, which belongs to this object, or is a reservation for one of its name. An
    /// error refuses the request, as it would refuse the object afterwards.
    fn need(&self, cx: &Context<'_>, request: &Request, host: Option<&Object>) -> Result<Need, MapError>;

    /// The values that the virtual object takes from the host object, by JSON pointer; null
    /// takes a member out.
    fn answer(&self, cx: &Context<'_>, request: &Request, host: &Object) -> Result<Vec<(String, Value)>, MapError>;
}

/// Requests that are asked about.
///
/// ```
/// use tenet_mapper::Scope;
///
/// let scope = Scope { updates: true, conditions: vec![("has-ports".into(), "has(object.spec.ports)".into())] };
/// assert!(scope.updates);
/// ```
#[derive(Clone, Debug)]
pub struct Scope {
    /// True if updates are, too. Creates always are.
    pub updates: bool,
    /// CEL expressions, each with a name, all of which have to be true.
    pub conditions: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

/// Operation of a request.
///
/// ```
/// use tenet_mapper::{Operation, Request};
///
/// fn is_new(request: &Request) -> bool {
///     request.operation == Operation::Create
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is created.
    Create,
    /// It is changed.
    Update,
}

/// A request that the virtual API server has not served yet.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{Object, Operation, Request};
///
/// let object = Object::new(json!({"metadata": {"name": "web"}}));
/// let request = Request { operation: Operation::Create, object, old: None };
/// assert_eq!(request.object.name(), "web");
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    /// Operation.
    pub operation: Operation,
    /// The object as it was sent. Its name is never empty.
    pub object: Object,
    /// The stored object, when it is changed.
    pub old: Option<Object>,
}

/// Requirement on the host.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::Need;
///
/// let more = Need::Change(vec![("/spec/type".to_owned(), json!("NodePort"))]);
/// assert_ne!(more, Need::Nothing);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// Nothing; the request has nothing to take from the host either.
    Nothing,
    /// This object: there is none.
    Create(Value),
    /// These values, by JSON pointer; none when the present object will do. They only ever
    /// add: what the stored object uses stays until the change of it is stored.
    Change(Vec<(String, Value)>),
    /// Another object than the present reservation, which was made for another request.
    Other,
}

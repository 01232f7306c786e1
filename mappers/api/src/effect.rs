//! Effects: the intended writes of a mapper. They are data: the gate of the engine performs them,
//! checks the owner record, adds preconditions and drops what changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tenet_translate::owner::OwnerRecord;
use tenet_translate::rules::Table;

use crate::{Cause, Deletion, Event, HostKey, Kind, Object, ObjectRef, Side, Step, VirtualKey, kinds};

/// One intended write.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{Deletion, Effect, Object, kinds};
///
/// let copy = Object::new(json!({"metadata": {"name": "a", "namespace": "team-a", "uid": "u"}}));
/// let effect = Effect::Delete(Deletion::redundant(kinds::SECRET, &copy));
/// assert_eq!((effect.verb(), effect.target().to_string().as_str()), ("delete", "host Secret team-a/a"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Create a host object, or bring the fields that follow up to date.
    ApplyHost(Box<ApplyHost>),
    /// Change parts of a host object that [`Effect::ApplyHost`] cannot express.
    PatchHost(HostPatch),
    /// Mint tokens of the virtual API server into a Secret of the host.
    MintTokens(Box<MintTokens>),
    /// Ask a signer of the virtual cluster for a certificate of a private key in a Secret of the host.
    RequestCertificate(Box<RequestCertificate>),
    /// Set parts of a virtual object that the host owns.
    PatchVirtual(VirtualPatch),
    /// Bind a virtual pod to the node that the host chose.
    Bind(Bind),
    /// Keep a virtual object that pictures something of the host.
    ApplyVirtual(ApplyVirtual),
    /// Delete an object of either side.
    Delete(Deletion),
    /// Tell the tenant something, as an event on a virtual object.
    Emit(Event),
}

impl Effect {
    /// The object that the effect writes; of an event, the object that it is about.
    pub fn target(&self) -> ObjectRef {
        match self {
            Self::ApplyHost(apply) => ObjectRef::host(apply.kind, &apply.key),
            Self::PatchHost(patch) => ObjectRef::host(patch.kind, &patch.key),
            Self::MintTokens(mint) => ObjectRef::host(kinds::SECRET, &mint.key),
            Self::RequestCertificate(request) => ObjectRef::virt(kinds::POD_CERTIFICATE_REQUEST, &request.key),
            Self::PatchVirtual(patch) => ObjectRef::virt(patch.kind, &patch.key),
            Self::Bind(bind) => ObjectRef::virt(kinds::POD, &bind.pod),
            Self::ApplyVirtual(apply) => ObjectRef::virt(apply.kind, &apply.key),
            Self::Delete(deletion) => deletion.target().clone(),
            Self::Emit(event) => ObjectRef::virt(event.kind, &event.key),
        }
    }

    /// The cluster that the effect writes to.
    pub fn side(&self) -> Side {
        self.target().side
    }

    /// A short word for metrics and logs.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::ApplyHost(_) | Self::ApplyVirtual(_) => "apply",
            Self::PatchHost(_) => "patch",
            Self::MintTokens(_) => "mint",
            Self::RequestCertificate(_) => "request",
            Self::PatchVirtual(patch) => patch.subresource.unwrap_or("patch"),
            Self::Bind(_) => "bind",
            Self::Delete(_) => "delete",
            Self::Emit(_) => "event",
        }
    }

    /// The effect as a step that must not hold back the steps after it: when the API
    /// rejects it for good, the stages behind it go on.
    ///
    /// ```
    /// use tenet_mapper::{Effect, Outcome};
    ///
    /// fn status_before_delete(status: Effect, delete: Effect) -> Outcome {
    ///     Outcome::one(status.best_effort()).then(delete)
    /// }
    /// ```
    pub fn best_effort(self) -> Step {
        Step { effect: self, best_effort: true }
    }
}

/// A host object as it should be.
///
/// ```
/// use tenet_mapper::{ApplyHost, Context, Kind, MapError, MapperSpec, Object, VirtualKey};
///
/// fn copy(cx: &Context<'_>, spec: &MapperSpec, virt: &Object) -> Result<ApplyHost, MapError> {
///     let table = spec.table.clone().unwrap_or_default();
///     let key = cx.host_key(spec.kind, &VirtualKey::new(virt.namespace(), virt.name()));
///     let (owner, desired) = (cx.owner(spec.kind, virt), cx.draft(spec.kind, &table, virt)?);
///     Ok(ApplyHost { kind: spec.kind, key, owner, desired, table: Some(table), fallback: None })
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ApplyHost {
    /// The kind of the host object.
    pub kind: Kind,
    /// Its namespace and name.
    pub key: HostKey,
    /// The virtual object that it belongs to.
    pub owner: OwnerRecord,
    /// The whole object for its creation, with metadata and owner record.
    pub desired: Value,
    /// The table whose `kept` rules say which fields follow after creation; `None` for an
    /// object of which only labels and annotations follow.
    pub table: Option<Arc<Table>>,
    /// Alternative object when the server rejects `desired` as invalid (HTTP 422).
    pub fallback: Option<Value>,
}

/// A Secret of the host with tokens of the virtual API server.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use serde_json::Value;
/// use tenet_mapper::translate::OwnerRecord;
/// use tenet_mapper::{Effect, HostKey, MintTokens, TokenRequest};
///
/// fn mint(key: HostKey, owner: OwnerRecord, desired: Value, token: TokenRequest) -> Effect {
///     let (tokens, files, keys) = (vec![token], BTreeMap::new(), Vec::new());
///     Effect::MintTokens(Box::new(MintTokens { key, owner, desired, tokens, files, keys }))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct MintTokens {
    /// The Secret.
    pub key: HostKey,
    /// The virtual object that it belongs to.
    pub owner: OwnerRecord,
    /// The Secret for its creation, with metadata and owner record, and without data.
    pub desired: Value,
    /// The tokens; one virtual TokenRequest each.
    pub tokens: Vec<TokenRequest>,
    /// Content beside the tokens: for each key in `data` of the Secret, base64. What stands under other keys stays.
    pub files: BTreeMap<String, String>,
    /// Private keys, which the gate makes where the Secret lacks them.
    pub keys: Vec<PrivateKey>,
}

/// A private key in a Secret of the host. It is made once, and is known nowhere else.
///
/// ```
/// use tenet_mapper::PrivateKey;
///
/// let key = PrivateKey { data_key: "id.0.key".into(), key_type: "ED25519".into(), joined: None };
/// assert_eq!(key.data_key, "id.0.key");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateKey {
    /// The key in `data` of the Secret that holds it, as PEM.
    pub data_key: String,
    /// Its type, as a pod names it: `ECDSAP256`.
    pub key_type: String,
    /// A file that begins with the private key: its key in `data`, and what follows, in base64.
    pub joined: Option<(String, String)>,
}

/// A request to a signer of the virtual cluster. The gate proves with the private key that the pod has it.
///
/// ```
/// use serde_json::Value;
/// use tenet_mapper::translate::OwnerRecord;
/// use tenet_mapper::{Effect, HostKey, RequestCertificate, VirtualKey};
///
/// fn request(desired: Value, secret: HostKey, owner: OwnerRecord) -> Effect {
///     let (key, account) = (VirtualKey::new("shop", "web-id"), "default".to_owned());
///     let data_key = "id.0.key".to_owned();
///     Effect::RequestCertificate(Box::new(RequestCertificate { key, desired, account, secret, owner, data_key }))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RequestCertificate {
    /// The `PodCertificateRequest`.
    pub key: VirtualKey,
    /// The whole request, without the UID of the account and the proof of the key.
    pub desired: Value,
    /// The `ServiceAccount` of the pod, in its namespace.
    pub account: String,
    /// The Secret with the private key.
    pub secret: HostKey,
    /// The virtual object that the Secret belongs to.
    pub owner: OwnerRecord,
    /// The key in `data` of the Secret that holds the private key.
    pub data_key: String,
}

/// A `ServiceAccount` token that the virtual API server mints.
///
/// ```
/// use tenet_mapper::{TokenRequest, VirtualKey};
///
/// let request = TokenRequest {
///     data_key: "token".into(), service_account: "default".into(), audiences: vec!["vault".into()],
///     expiration_seconds: 3600, pod: VirtualKey::new("shop", "web"), pod_uid: "u".into(),
/// };
/// assert_eq!(request.audiences, ["vault"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The key in `data` of the Secret that takes the token.
    pub data_key: String,
    /// The `ServiceAccount`, in the namespace of the pod.
    pub service_account: String,
    /// The audiences asked for; empty for the API server's own.
    pub audiences: Vec<String>,
    /// The lifetime asked for, in seconds.
    pub expiration_seconds: i64,
    /// The pod that the token is bound to.
    pub pod: VirtualKey,
    /// Its UID.
    pub pod_uid: String,
}

/// Format of the body of a [`HostPatch`].
///
/// ```
/// use tenet_mapper::PatchFormat;
///
/// assert_ne!(PatchFormat::Merge, PatchFormat::Strategic);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchFormat {
    /// RFC 7386.
    Merge,
    /// The Kubernetes strategic merge, which merges lists by key.
    Strategic,
}

/// A change of a host object.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::translate::OwnerRecord;
/// use tenet_mapper::{Effect, HostKey, HostPatch, PatchFormat, kinds};
///
/// fn scale(key: HostKey, owner: OwnerRecord) -> Effect {
///     let (subresource, format) = (None, PatchFormat::Merge);
///     let body = json!({"spec": {"replicas": 2}});
///     Effect::PatchHost(HostPatch { kind: kinds::POD, key, owner, subresource, format, body })
/// }
/// ```
#[derive(Clone, Debug)]
pub struct HostPatch {
    /// The kind of the host object.
    pub kind: Kind,
    /// Its namespace and name.
    pub key: HostKey,
    /// The virtual object that it belongs to.
    pub owner: OwnerRecord,
    /// `resize`, `ephemeralcontainers`, `status`, or none.
    pub subresource: Option<&'static str>,
    /// Format of `body`.
    pub format: PatchFormat,
    /// The change; the mapper has made sure that it changes something.
    pub body: Value,
}

/// Values that parts of a virtual object should have.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{Effect, Object, VirtualPatch, kinds};
///
/// fn show_phase(virt: &Object, phase: &str) -> Effect {
///     Effect::PatchVirtual(VirtualPatch::new(kinds::POD, virt, Some("status"), [("/status/phase", json!(phase))]))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VirtualPatch {
    /// The kind of the virtual object.
    pub kind: Kind,
    /// Its namespace and name.
    pub key: VirtualKey,
    /// The incarnation that the values were derived from; another one is not written.
    pub uid: String,
    /// The version that the values were derived from, if they hold parts that others write: a
    /// newer one is not written. Outside of the status the tenant writes too, so there it is required.
    pub version: Option<String>,
    /// `status`, or none.
    pub subresource: Option<&'static str>,
    /// JSON pointers (of members, not of list elements) and the values that should be there.
    pub values: Vec<(Cow<'static, str>, Value)>,
    /// The absence that makes the values right; `None` when they show what was seen.
    pub cause: Option<Box<Cause>>,
}

impl VirtualPatch {
    /// Values that were derived from this state of a virtual object. Outside of a subresource they are written over
    /// this version alone, as the tenant writes too.
    pub fn new<P: Into<Cow<'static, str>>>(
        kind: Kind,
        virt: &Object,
        subresource: Option<&'static str>,
        values: impl IntoIterator<Item = (P, Value)>,
    ) -> Self {
        Self {
            kind,
            key: VirtualKey::new(virt.namespace(), virt.name()),
            uid: virt.uid().to_owned(),
            version: subresource.is_none().then(|| virt.resource_version().to_owned()),
            subresource,
            values: values.into_iter().map(|(pointer, value)| (pointer.into(), value)).collect(),
            cause: None,
        }
    }

    /// Makes the values depend on an absence, which the gate proves before it writes, as it does before a delete.
    /// Values that are right only because a copy is gone need it: a cache may lack a copy that exists.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Cause, Object, VirtualPatch, kinds};
    ///
    /// let claim = Object::new(json!({"metadata": {"name": "data", "namespace": "shop", "uid": "u"}}));
    /// let lost = VirtualPatch::new(kinds::PERSISTENT_VOLUME_CLAIM, &claim, Some("status"), [("/status/phase", json!("Lost"))]);
    /// let lost = lost.because(Cause::TwinAbsent { twin: kinds::PERSISTENT_VOLUME_CLAIM });
    /// assert!(lost.cause.is_some());
    /// ```
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        Self { cause: Some(Box::new(cause)), ..self }
    }
}

/// The binding of a virtual pod to a node.
///
/// ```
/// use tenet_mapper::{Bind, Effect, VirtualKey};
///
/// let bind = Bind { pod: VirtualKey::new("shop", "web"), uid: "u".into(), node: "node-1".into() };
/// assert_eq!(Effect::Bind(bind).verb(), "bind");
/// ```
#[derive(Clone, Debug)]
pub struct Bind {
    /// The pod.
    pub pod: VirtualKey,
    /// Its UID.
    pub uid: String,
    /// The node that the host's scheduler chose.
    pub node: String,
}

/// A virtual object that pictures something of the host; the tenant cannot change it for
/// long. The gate marks it as ours and never touches one that is not.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::{ApplyVirtual, Effect, VirtualKey, kinds};
///
/// let desired = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
/// let node = ApplyVirtual { kind: kinds::NODE, key: VirtualKey::new("", "node-1"), desired, adopt: false };
/// assert_eq!(Effect::ApplyVirtual(node).verb(), "apply");
/// ```
#[derive(Clone, Debug)]
pub struct ApplyVirtual {
    /// The kind of the virtual object.
    pub kind: Kind,
    /// Its namespace and name.
    pub key: VirtualKey,
    /// The whole object. Of the metadata, labels and annotations count.
    pub desired: Value,
    /// True if an object there that lacks the mark of the syncer may be taken over: only for objects that the API
    /// server leaves to others, such as the Endpoints `kubernetes`.
    pub adopt: bool,
}

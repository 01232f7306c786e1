//! Certificates of pods: signers of the virtual cluster issue them, for a private key that stays in the Secret beside
//! the host pod. Once the pod is bound, a `PodCertificateRequest` inside asks for the first one, and later ones for its
//! renewals; the kubelet of the host mounts the volume when the certificate is in the Secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenet_mapper::keys::{CERTIFICATES, MANAGED_BY};
use tenet_mapper::translate::pod_certificate::{PodCertificateSpec, chain};
use tenet_mapper::{
    Context, Effect, HostKey, Input, KeysOf, Object, PrivateKey, Projection, RequestCertificate, Side, VirtualKey,
    kinds,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Subject, tokens};

/// Reason to refuse the source where requests cannot be read.
pub(super) const UNREADABLE: &str = "the API server of the virtual cluster does not serve PodCertificateRequests of \
                                     certificates.k8s.io/v1 to the syncer";

/// State of a certificate, as the Secret records it. Times are in unix seconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct State {
    /// Time at which the private key was made. A certificate for an earlier key of the pod is of no use.
    made: i64,
    /// Number of certificates that were issued for the key.
    issued: u64,
    /// Time at which the next is requested.
    refresh: i64,
}

/// A certificate of a pod.
struct Certificate {
    spec: PodCertificateSpec,
    /// State in the Secret; `None` while the Secret has no private key for it.
    state: Option<State>,
    /// The request for the next one, if it was made.
    request: Option<Object>,
}

/// States of the certificates of a pod, by their names.
type Record = BTreeMap<String, State>;

/// Certificates of a pod.
pub(super) struct Certificates(Vec<Certificate>);

/// The requests of the syncer in the virtual cluster, as the mapper reads them.
pub(super) fn input() -> Input {
    let fields = Projection::Fields(&["spec.podName", "spec.podUID", "status"]);
    let requests = Input::new(Side::Virtual, kinds::POD_CERTIFICATE_REQUEST, fields, KeysOf::With(pod_of));
    requests.selected(MANAGED_BY).optional()
}

fn pod_of(request: &Object) -> Vec<VirtualKey> {
    let name = request.str_at("/spec/podName");
    name.map(|name| VirtualKey::new(request.namespace(), name)).into_iter().collect()
}

/// Returns true if requests of the virtual cluster can be made.
pub(super) fn can_be_requested(cx: &Context<'_>) -> bool {
    cx.can_read(Side::Virtual, kinds::POD_CERTIFICATE_REQUEST)
}

impl Certificates {
    /// Reads the state of the certificates of a pod from its Secret, if it has one, and from its requests.
    pub(super) fn of(pod: &Subject<'_, '_>, secret: Option<&Object>) -> Self {
        let record = secret.map(record).unwrap_or_default();
        let certificate = |spec: PodCertificateSpec| {
            let state = record.get(&spec.id()).copied();
            let request = |state: State| pod.cx.virt(kinds::POD_CERTIFICATE_REQUEST, &state.request_key(pod, &spec));
            let is_ours = |request: &Object| request.str_at("/spec/podUID") == Some(pod.virt.uid());
            let request = state.and_then(request).filter(is_ours);
            Certificate { spec, state, request }
        };
        Self(PodCertificateSpec::of_pod(&pod.virt.value()["spec"]).into_iter().map(certificate).collect())
    }

    /// Returns true if a pod asks for none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if the Secret has every private key, and every certificate that was issued.
    pub(super) fn are_stored(&self) -> bool {
        self.0.iter().all(|certificate| certificate.state.is_some() && certificate.chain().is_none())
    }

    /// Returns the time at which the next certificate is requested.
    pub(super) fn due(&self) -> Option<i64> {
        let issued = |certificate: &Certificate| certificate.state.filter(|state| state.issued > 0);
        self.0.iter().filter(|one| one.request.is_none()).filter_map(issued).map(|state| state.refresh).min()
    }

    /// Returns the requests that a pod on a node has to make now.
    pub(super) fn requests(&self, pod: &Subject<'_, '_>, node: &str, secret: &HostKey) -> Vec<Effect> {
        let Some(node) = pod.cx.virt(kinds::NODE, &VirtualKey::new("", node)) else { return Vec::new() };
        let open = self.0.iter().filter(|certificate| certificate.request.is_none());
        let due = open.filter_map(|certificate| Some((certificate, certificate.state?)));
        let due = due.filter(|(_, state)| state.issued == 0 || state.refresh <= pod.cx.now());
        due.map(|(certificate, state)| certificate.ask(pod, state, &node, secret)).collect()
    }

    /// Returns a sentence about each request that was denied or has failed.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.0.iter().filter_map(Certificate::remark).collect()
    }

    /// Puts the certificates that were issued into a Secret, and its private keys.
    pub(super) fn put(self, now: i64, desired: &mut Value, files: &mut BTreeMap<String, String>) -> Vec<PrivateKey> {
        let (mut record, mut keys) = (Record::new(), Vec::new());
        for certificate in self.0 {
            let spec = &certificate.spec;
            let mut state = certificate.state.unwrap_or(State { made: now, issued: 0, refresh: 0 });
            let mut joined = None;
            if let Some((chain, refresh)) = certificate.chain() {
                state = State { issued: state.issued + 1, refresh, ..state };
                let chain = BASE64.encode(chain);
                files.insert(spec.chain_key(), chain.clone());
                joined = Some((spec.bundle_key(), chain));
            }
            record.insert(spec.id(), state);
            if joined.is_some() || certificate.state.is_none() {
                keys.push(PrivateKey { data_key: spec.key_key(), key_type: spec.key_type.clone(), joined });
            }
        }
        if !record.is_empty() {
            desired["metadata"]["annotations"][CERTIFICATES] = Value::String(json!(record).to_string());
        }
        keys
    }
}

impl Certificate {
    /// Returns the chain that was issued for the request, and when the next is to be requested.
    fn chain(&self) -> Option<(String, i64)> {
        let request = self.request.as_ref().filter(|request| condition(request, &["Issued"]).is_some())?;
        let time = |name: &str| OffsetDateTime::parse(request.str_at(&format!("/status/{name}"))?, &Rfc3339).ok();
        let refresh = time("beginRefreshAt").or_else(|| time("notAfter"))?;
        Some((chain(request.str_at("/status/certificateChain")?), refresh.unix_timestamp()))
    }

    fn remark(&self) -> Option<String> {
        let request = self.request.as_ref()?;
        let found = condition(request, &["Denied", "Failed"])?;
        let text = |member: &str| found[member].as_str().unwrap_or_default();
        let verb = if found["type"] == "Denied" { "was denied" } else { "has failed" };
        Some(format!("the PodCertificateRequest {} {verb}: {}: {}", request.name(), text("reason"), text("message")))
    }

    fn ask(&self, pod: &Subject<'_, '_>, state: State, node: &Object, secret: &HostKey) -> Effect {
        let (virt, spec) = (pod.virt, &self.spec);
        let key = state.request_key(pod, spec);
        let account = tokens::account(virt).to_owned();
        let mut request = spec.request(virt.name(), virt.uid(), node.name(), node.uid());
        request["serviceAccountName"] = json!(account);
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": virt.name(), "uid": virt.uid()});
        let desired = json!({
            "apiVersion": kinds::POD_CERTIFICATE_REQUEST.api_version(), "kind": kinds::POD_CERTIFICATE_REQUEST.kind,
            "metadata": {
                "name": key.name(), "namespace": key.namespace(), "labels": {MANAGED_BY: pod.cx.facts().names.cluster},
                "ownerReferences": [owner],
            },
            "spec": request,
        });
        Effect::RequestCertificate(Box::new(RequestCertificate {
            key,
            desired,
            account,
            secret: secret.clone(),
            owner: pod.owner(),
            data_key: spec.key_key(),
        }))
    }
}

impl State {
    /// Returns the key of the request for the next certificate.
    fn request_key(&self, pod: &Subject<'_, '_>, spec: &PodCertificateSpec) -> VirtualKey {
        VirtualKey::new(pod.virt.namespace(), spec.request_name(pod.virt.uid(), self.made, self.issued))
    }
}

fn condition<'r>(request: &'r Object, types: &[&str]) -> Option<&'r Value> {
    let mut conditions = request.list_at("/status/conditions").iter();
    conditions.find(|condition| types.iter().any(|name| condition["type"] == *name) && condition["status"] == "True")
}

/// Reads the state of the certificates that a Secret records, by their names.
fn record(secret: &Object) -> Record {
    secret.annotation(CERTIFICATES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

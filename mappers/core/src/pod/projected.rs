//! Secret beside the host pod: the content of projected volumes that only the virtual cluster has. The sources become
//! sources of this Secret, so that a kubelet of the host writes the files and keeps them up to date.

use serde_json::{Value, json};
use tenet_mapper::keys::TOKENS_NODE;
use tenet_mapper::rules::Refusal;
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::translate::pod_certificate::PodCertificateSpec;
use tenet_mapper::translate::projected::{self, ProjectedFile};
use tenet_mapper::translate::token::TokenSpec;
use tenet_mapper::{Context, Effect, HostKey, MintTokens, Object, VirtualKey, kinds, pointer};

use super::certificates::{self, Certificates};
use super::trust_bundles::{self, TrustBundles};
use super::{Subject, tokens};

/// Files of a pod whose content is in its Secret.
pub(super) struct Files {
    /// The Secret of exactly this pod.
    found: Option<Object>,
    tokens: Vec<TokenSpec>,
    bundles: TrustBundles,
    certificates: Certificates,
}

/// State of the Secret of a pod.
pub(super) enum Content {
    /// The pod needs none.
    None,
    /// All is there; the next token or certificate is due at this instant.
    Fresh(Option<i64>),
    /// It has to be written now.
    Due(Box<MintTokens>),
}

/// Returns the Secret of a pod of this name on the host, and its owner.
pub(super) fn secret(cx: &Context<'_>, key: &VirtualKey) -> Option<(Object, OwnerRecord)> {
    let secret = cx.host(kinds::SECRET, &secret_key(cx, key))?;
    let owner = cx.ownership(&secret).ours()?;
    let is_ours = owner.kind == kinds::POD && owner.namespace == key.namespace() && owner.name == key.name();
    is_ours.then_some((secret, owner))
}

fn secret_key(cx: &Context<'_>, key: &VirtualKey) -> HostKey {
    let names = &cx.facts().names;
    HostKey::new(names.host_namespace(key.namespace()), names.token_secret_name(key.namespace(), key.name()))
}

/// Source whose content is in the Secret.
struct Inside<'s> {
    /// Its member of `projected.sources`.
    name: &'static str,
    source: &'s Value,
    /// Key and path of each file.
    files: Vec<(String, String)>,
}

impl<'s> Inside<'s> {
    fn read(volume: &str, index: usize, source: &'s Value) -> Option<Self> {
        let of = |name: &'static str| Some((name, source.get(name).filter(|source| source.is_object())?));
        let (name, found) = [TOKEN, TRUST_BUNDLE, CERTIFICATE].into_iter().find_map(of)?;
        let one = || {
            let path = found["path"].as_str().unwrap_or_default();
            vec![(projected::data_key(volume, index), path.to_owned())]
        };
        let certificate = PodCertificateSpec::read(volume, index, source);
        Some(Self { name, source: found, files: certificate.map_or_else(one, |spec| spec.files()) })
    }

    /// Returns the reason why the cluster cannot give the content.
    fn lack(&self, cx: &Context<'_>) -> Option<&'static str> {
        match self.name {
            TRUST_BUNDLE if !trust_bundles::are_readable(cx) => Some(trust_bundles::UNREADABLE),
            CERTIFICATE if !certificates::can_be_requested(cx) => Some(certificates::UNREADABLE),
            _ => None,
        }
    }
}

const TOKEN: &str = "serviceAccountToken";
const TRUST_BUNDLE: &str = "clusterTrustBundle";
const CERTIFICATE: &str = "podCertificate";

/// Replaces every source of a draft whose content is in the Secret by a source of the Secret.
pub(super) fn turn_sources(pod: &Subject<'_, '_>, draft: &mut Value) -> Vec<Refusal> {
    let (virt, secret, mut refusals) = (pod.virt.value(), secret_key(pod.cx, pod.key), Vec::new());
    for volume in pointer::elements(virt, "/spec/volumes") {
        let Some(projected) = pointer::get(virt, &format!("{volume}/projected")) else { continue };
        let name = pod.virt.str_at(&format!("{volume}/name")).unwrap_or_default();
        for (index, at) in pointer::elements(virt, &format!("{volume}/projected/sources")).iter().enumerate() {
            let source = pointer::get(virt, at).and_then(|source| Inside::read(name, index, source));
            let Some(inside) = source else { continue };
            let field = |member: &str| format!("{}.{}{member}", pointer::field(at), inside.name);
            if let Some(lack) = inside.lack(pod.cx) {
                refusals.push(Refusal { field: field(""), why: lack.to_owned() });
                continue;
            }
            match ProjectedFile::of(&virt["spec"], projected, inside.source, false) {
                Ok(file) => pointer::set(draft, at, file.secret_source(secret.name(), &inside.files)),
                Err(error) => refusals.push(Refusal { field: field(".user"), why: error.to_string() }),
            }
        }
    }
    refusals
}

impl Files {
    /// Compares what a pod asks for with its Secret.
    pub(super) fn of(pod: &Subject<'_, '_>) -> Self {
        let found = secret(pod.cx, pod.key).filter(|(_, owner)| owner.uid == pod.virt.uid());
        let found = found.map(|(secret, _)| secret);
        Self {
            tokens: TokenSpec::of_pod(&pod.virt.value()["spec"]),
            bundles: TrustBundles::of(pod),
            certificates: Certificates::of(pod, found.as_ref()),
            found,
        }
    }

    /// Returns differences that the tenant may not expect.
    pub(super) fn remarks(&self) -> Vec<String> {
        let bundles = self.bundles.remarks(self.found.as_ref());
        bundles.into_iter().chain(self.certificates.remarks()).collect()
    }

    /// Returns the requests for certificates that a pod on a node has to make now.
    pub(super) fn requests(&self, pod: &Subject<'_, '_>, node: &str) -> Vec<Effect> {
        self.certificates.requests(pod, node, &secret_key(pod.cx, pod.key))
    }

    /// Returns the state of the Secret of a pod that is bound to `node` inside. Tokens in a Secret for exactly this pod
    /// and node are never issued twice, also after a restart.
    pub(super) fn content(self, pod: &Subject<'_, '_>, node: Option<&str>) -> Content {
        if self.tokens.is_empty() && self.bundles.is_empty() && self.certificates.is_empty() {
            return Content::None;
        }
        let is_stored = |secret: &&Object| self.bundles.are_in(secret) && self.certificates.are_stored();
        if let Some(secret) = self.found.as_ref().filter(is_stored) {
            let next = self.certificates.due();
            match tokens::due(secret, &self.tokens, pod.virt.uid(), node) {
                _ if self.tokens.is_empty() => return Content::Fresh(next),
                Some(due) if due > pod.cx.now() => return Content::Fresh(next.into_iter().chain([due]).min()),
                _ => {}
            }
        }
        Content::Due(Box::new(self.written(pod, node)))
    }

    /// Returns the effect that fills the Secret.
    fn written(self, pod: &Subject<'_, '_>, node: Option<&str>) -> MintTokens {
        let (owner, host_key) = (pod.owner(), secret_key(pod.cx, pod.key));
        let mut desired = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": host_key.name(), "namespace": host_key.namespace(),
                "labels": owner.labels(&pod.cx.facts().names.cluster),
                "annotations": owner.annotations(host_key.namespace(), host_key.name()),
            },
        });
        if let Some(node) = node.filter(|_| !self.tokens.is_empty()) {
            desired["metadata"]["annotations"][TOKENS_NODE] = json!(node);
        }
        let mut files = self.bundles.put(self.found.as_ref(), &mut desired);
        let keys = self.certificates.put(pod.cx.now(), &mut desired, &mut files);
        let tokens = self.tokens.into_iter().map(|spec| tokens::request(pod, spec)).collect();
        MintTokens { key: host_key, owner, desired, tokens, files, keys }
    }
}

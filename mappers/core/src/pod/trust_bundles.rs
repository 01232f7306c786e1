//! Trust anchors: the certificates of `ClusterTrustBundle`s of the virtual cluster, in the Secret beside the host pod.
//! As with a kubelet, a pod is placed, and its containers wait for a bundle that is not optional: the kubelet of the host
//! finds no content for the file. The file follows changes of the bundle.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tenet_mapper::keys::TRUST_BUNDLES;
use tenet_mapper::translate::digest::digest;
use tenet_mapper::translate::trust_bundle::{Choice, TrustBundleSpec, anchors};
use tenet_mapper::{Context, Dependency, Input, KeysOf, Kind, Object, Projection, Side, VirtualKey};

use super::Subject;

/// `ClusterTrustBundle`s, which API servers serve by default from 1.37 on.
const KIND: Kind = Kind::of("certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles").cluster_scoped();

/// Reason to refuse the source where the bundles cannot be read.
pub(super) const UNREADABLE: &str =
    "the API server of the virtual cluster does not serve ClusterTrustBundles of certificates.k8s.io/v1 to the syncer";

/// Files with trust anchors that a pod asks for.
pub(super) struct TrustBundles {
    /// Content of each file whose bundles exist, or that may be empty, by its key in the Secret.
    files: BTreeMap<String, String>,
    /// Choices that no bundle meets, although they are not optional, each with the key of its file.
    missing: Vec<(String, Choice)>,
}

/// The bundles of the virtual cluster, as the mapper reads them.
pub(super) fn input() -> Input {
    let fields = Projection::Fields(&["spec.signerName", "spec.trustBundle"]);
    Input::new(Side::Virtual, KIND, fields, KeysOf::None).optional()
}

/// Returns true if the bundles of the virtual cluster can be read.
pub(super) fn are_readable(cx: &Context<'_>) -> bool {
    cx.can_read(Side::Virtual, KIND)
}

/// Returns the change that a pod with trust anchors follows.
pub(super) fn change(virt: &Object) -> Option<Dependency> {
    let has_some = !TrustBundleSpec::of_pod(&virt.value()["spec"]).is_empty();
    has_some.then_some(Dependency::Any(Side::Virtual, KIND))
}

impl TrustBundles {
    /// Joins the certificates for each file of a pod.
    pub(super) fn of(pod: &Subject<'_, '_>) -> Self {
        let mut found = Self { files: BTreeMap::new(), missing: Vec::new() };
        for spec in TrustBundleSpec::of_pod(&pod.virt.value()["spec"]) {
            let bundles = chosen(pod.cx, &spec.choice);
            if bundles.is_empty() && !spec.is_optional {
                found.missing.push((spec.data_key(), spec.choice));
                continue;
            }
            let pem = bundles.iter().filter_map(|bundle| bundle.str_at("/spec/trustBundle"));
            found.files.insert(spec.data_key(), BASE64.encode(anchors(pem)));
        }
        found
    }

    /// Returns true if a pod asks for none.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.missing.is_empty()
    }

    /// Returns a sentence about each missing bundle, and its consequence for a pod that has this Secret.
    pub(super) fn remarks(&self, secret: Option<&Object>) -> Vec<String> {
        let digests = secret.map(Self::digests_in).unwrap_or_default();
        let remark = |(key, choice): &(String, Choice)| {
            let has_file = digests.contains_key(key);
            let kept = "the pod keeps the certificates that it has";
            let consequence = if has_file { kept } else { "the containers of the pod wait for it" };
            format!("{choice} does not exist; {consequence}")
        };
        self.missing.iter().map(remark).collect()
    }

    /// Returns true if a Secret has all files as they should be.
    pub(super) fn are_in(&self, secret: &Object) -> bool {
        let digests = Self::digests_in(secret);
        self.files.iter().all(|(key, file)| digests.get(key).is_some_and(|found| *found == digest(&json!(file))))
    }

    /// Puts the files into a Secret that may exist. A file whose bundle is gone stays as it was, as with a kubelet.
    pub(super) fn put(self, found: Option<&Object>, desired: &mut Value) -> BTreeMap<String, String> {
        let mut digests = found.map(Self::digests_in).unwrap_or_default();
        digests.extend(self.files.iter().map(|(key, file)| (key.clone(), digest(&json!(file)))));
        if !digests.is_empty() {
            desired["metadata"]["annotations"][TRUST_BUNDLES] = Value::String(json!(digests).to_string());
        }
        self.files
    }

    fn digests_in(secret: &Object) -> BTreeMap<String, String> {
        let digests = secret.annotation(TRUST_BUNDLES).and_then(|text| serde_json::from_str(text).ok());
        digests.unwrap_or_default()
    }
}

/// Returns the bundles of a choice, in the order of their names.
fn chosen(cx: &Context<'_>, choice: &Choice) -> Vec<Object> {
    match choice {
        Choice::Name(name) => cx.virt(KIND, &VirtualKey::new("", name.as_str())).into_iter().collect(),
        Choice::Signer { .. } => {
            let mut bundles = cx.list(Side::Virtual, KIND, "");
            bundles.retain(|bundle| choice.takes(bundle.value()));
            bundles
        }
    }
}

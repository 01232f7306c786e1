//! Settings of names, annotations and unknown fields of objects that cross between the clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_translate::format::AnnotationGlob;
use tenet_translate::labels::{LOAD_BALANCERS, LabelPolicy};

/// Scheme of the names of host objects. It cannot change once something was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// `nginx-x-default-x-vc-1` where that form fits and can be read back, else a readable prefix and 128 bits of hash.
    #[default]
    Tenet,
    /// The scheme of vcluster, for a cluster that moves over.
    Vcluster,
}

/// Handling of an object with a field that the rule table of its kind does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownFields {
    /// The object stays in the virtual cluster, with an event that names the field.
    #[default]
    Refuse,
    /// The object crosses without the field.
    Drop,
}

/// Annotations of the tenant that cross to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Annotations {
    /// Globs of annotation keys; `*` stands for any run of characters, a slash included. Keys under `tenet.sh/`
    /// never cross, whatever is allowed here.
    #[schemars(with = "Vec<AnnotationGlob>")]
    pub allow: Vec<String>,
    /// Sets of keys that cross besides.
    pub presets: Vec<AnnotationPreset>,
}

/// Set of annotation keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AnnotationPreset {
    /// Keys of the big clouds that say of what kind the load balancer of a Service is: internal or public, its
    /// protocol, its health checks. Keys that name certificates, addresses or the like of the cloud account are not
    /// among them.
    LoadBalancers,
}

impl Annotations {
    /// Returns the globs of all keys that cross.
    pub fn globs(&self) -> impl Iterator<Item = &str> {
        let presets = self.presets.iter().flat_map(|preset| match preset {
            AnnotationPreset::LoadBalancers => LOAD_BALANCERS.iter().copied(),
        });
        self.allow.iter().map(String::as_str).chain(presets)
    }
}

/// Labels of the tenant that cross to the host under their own keys. All others cross under `labels.tenet/`, in labels
/// and selectors alike, so that selectors match what they match inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Labels {
    /// Globs of label keys that do not cross under their own keys. By default those that controllers of a host are
    /// known to act on: Argo CD, Flux, Helm, injectors, workload identity, queues, policy engines.
    #[schemars(with = "Vec<AnnotationGlob>")]
    pub deny: Vec<String>,
    /// Globs of the only label keys that cross under their own keys. Empty: all that are not denied.
    #[schemars(with = "Vec<AnnotationGlob>")]
    pub allow: Vec<String>,
}

impl Default for Labels {
    fn default() -> Self {
        let deny = LabelPolicy::DENIED.iter().map(|glob| (*glob).to_owned()).collect();
        Self { deny, allow: Vec::new() }
    }
}

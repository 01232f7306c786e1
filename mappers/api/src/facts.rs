use std::collections::BTreeSet;

use serde_json::Value;
use tenet_translate::keys::MANAGED_BY;
use tenet_translate::kubelets::NodeAddresses;
use tenet_translate::labels::{Globs, LabelPolicy};
use tenet_translate::names::Names;
use tenet_translate::owner::{Foreign, OwnerRecord, Ownership};

use crate::{MapperId, Object, Policies, Sections};

/// Values that are fixed during one reconcile.
///
/// ```
/// use tenet_mapper::Context;
///
/// fn cluster<'c>(cx: &'c Context<'_>) -> &'c str {
///     &cx.facts().names.cluster
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Facts {
    /// Naming of host objects.
    pub names: Names,
    /// The UID of the virtual `kube-system` namespace.
    pub cluster_id: String,
    /// The UID of the host namespace.
    pub host_namespace_uid: String,
    /// The version of the virtual API server: `v1.37.2`.
    pub virtual_version: String,
    /// Annotations of the tenant that cross.
    pub annotations: Globs,
    /// Keys that tenant labels have on the host.
    pub labels: LabelPolicy,
    /// The host Service that leads host pods to the virtual API server, in the host namespace.
    pub api_service: String,
    /// Addresses at which the virtual API server finds the kubelets of virtual nodes.
    pub kubelets: Kubelets,
    /// Policies of the installation for unknown and refused fields.
    pub policies: Policies,
    /// The mappers that the configuration enables.
    pub mappers: BTreeSet<MapperId>,
    /// The sections of the configuration that mappers own.
    pub sections: Sections,
    /// Time for which a reservation counts, in seconds: longer than any request to the virtual API
    /// server takes.
    pub reservation: i64,
}

impl Facts {
    /// Returns true if the configuration lets a mapper run, so that the objects of its kind cross.
    ///
    /// ```
    /// use tenet_mapper::{Context, MapperId};
    ///
    /// fn do_snapshots_cross(cx: &Context<'_>) -> bool {
    ///     cx.facts().runs(MapperId::new("volume-snapshot"))
    /// }
    /// ```
    pub fn runs(&self, mapper: MapperId) -> bool {
        self.mappers.contains(&mapper)
    }

    /// Returns true if the virtual API server has this minor version of Kubernetes 1, or a later one, or an unknown one.
    ///
    /// ```
    /// use tenet_mapper::Context;
    ///
    /// fn keeps_declared_features(cx: &Context<'_>) -> bool {
    ///     cx.facts().is_virtual_since(36)
    /// }
    /// ```
    pub fn is_virtual_since(&self, minor: u32) -> bool {
        let text = self.virtual_version.trim_start_matches('v').split('.').nth(1);
        let found = text.and_then(|text| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok());
        found.is_none_or(|found| found >= minor)
    }

    /// Reads the owner record of a host object.
    pub fn ownership(&self, host: &Object) -> Ownership {
        let metadata = host.value().get("metadata").unwrap_or(&Value::Null);
        OwnerRecord::read(metadata, &self.names.cluster, &self.cluster_id)
    }

    /// Returns true unless a host object certainly belongs to somebody else. One with a damaged owner record may be
    /// ours.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::{Context, Object};
    ///
    /// fn is_in_the_way(cx: &Context<'_>, host: &Object) -> bool {
    ///     cx.ownership(host).ours().is_none() && !cx.facts().may_be_ours(host)
    /// }
    /// ```
    pub fn may_be_ours(&self, host: &Object) -> bool {
        use Foreign::{NoRecord, OtherCluster, OtherName};
        !matches!(self.ownership(host), Ownership::Foreign(NoRecord | OtherName(_) | OtherCluster(_)))
    }

    /// Returns true for a virtual object that the syncer has made: it carries the label of this virtual cluster.
    ///
    /// ```
    /// use tenet_mapper::{Context, Object};
    ///
    /// fn is_picture(cx: &Context<'_>, node: &Object) -> bool {
    ///     cx.facts().has_made(node)
    /// }
    /// ```
    pub fn has_made(&self, virt: &Object) -> bool {
        virt.label(MANAGED_BY) == Some(&self.names.cluster)
    }
}

/// Addresses at which the virtual API server finds the kubelets of virtual nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kubelets {
    /// True if virtual nodes have kubelets, and so addresses of their own.
    pub enabled: bool,
    /// The kind of address that each node has.
    pub addresses: NodeAddresses,
    /// The port, the same for all nodes.
    pub port: u16,
}

//! Resources that a cluster serves, and how each differs from the others.

use tenet_mapper::Kind;

/// Index of a resource in the table of a cluster.
pub type ResourceId = usize;

/// One resource that a cluster serves.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a property of its own, as the API server's strategies have them.
pub struct Resource {
    /// The kind of its objects.
    pub kind: Kind,
    /// True if the status is written through a subresource only.
    pub has_status: bool,
    /// True if changes outside of metadata and status raise `metadata.generation`.
    pub has_generation: bool,
    /// True if a delete answers with the object instead of a `Status`.
    pub returns_deleted: bool,
    /// True if a PUT of an absent object creates it.
    pub creates_on_update: bool,
    /// True if a PUT needs a resource version.
    pub needs_version: bool,
}

impl Resource {
    /// A resource without a status.
    pub const fn plain(kind: Kind) -> Self {
        Self {
            kind,
            has_status: false,
            has_generation: false,
            returns_deleted: false,
            creates_on_update: false,
            needs_version: false,
        }
    }

    const fn status(self) -> Self {
        Self { has_status: true, ..self }
    }

    const fn generation(self) -> Self {
        Self { has_generation: true, ..self }
    }

    const fn returns_deleted(self) -> Self {
        Self { returns_deleted: true, ..self }
    }

    const fn creates_on_update(self) -> Self {
        Self { creates_on_update: true, ..self }
    }

    const fn needs_version(self) -> Self {
        Self { needs_version: true, ..self }
    }

    /// The key of an object in the store of an API server; a dry run does not know where in the store that is.
    pub(super) fn storage_key(&self, key: &str, dry_run: bool) -> String {
        let root = if dry_run { "" } else { "/registry" };
        let segment = match self.kind.kind {
            "Service" => "services/specs",
            "Endpoints" => "services/endpoints",
            "Node" => "minions",
            _ => self.kind.plural,
        };
        format!("{root}/{segment}/{key}")
    }

    /// The resource as errors name it: `leases.coordination.k8s.io`.
    pub fn qualified(&self) -> String {
        self.kind.resource()
    }
}

const fn core(kind: &'static str, plural: &'static str) -> Resource {
    Resource::plain(Kind::core(kind, plural))
}

const fn of(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource::plain(Kind::of(group, version, kind, plural))
}

const fn cluster(resource: Resource) -> Resource {
    Resource { kind: resource.kind.cluster_scoped(), ..resource }
}

/// The resources that every cluster serves.
pub fn built_in() -> Vec<Resource> {
    let admission = "admissionregistration.k8s.io";
    let (discovery, networking, storage) = ("discovery.k8s.io", "networking.k8s.io", "storage.k8s.io");
    vec![
        core("Pod", "pods").status().generation().returns_deleted(),
        core("Service", "services").status().returns_deleted().creates_on_update(),
        core("ConfigMap", "configmaps"),
        core("Secret", "secrets"),
        cluster(core("Namespace", "namespaces")).status().returns_deleted(),
        cluster(core("Node", "nodes")).status(),
        core("ServiceAccount", "serviceaccounts").returns_deleted(),
        core("Event", "events").creates_on_update(),
        core("Endpoints", "endpoints").creates_on_update(),
        core("PersistentVolumeClaim", "persistentvolumeclaims").status().returns_deleted(),
        cluster(core("PersistentVolume", "persistentvolumes")).status().returns_deleted(),
        core("LimitRange", "limitranges").creates_on_update(),
        core("ResourceQuota", "resourcequotas").status().returns_deleted(),
        of("apps", "v1", "Deployment", "deployments").status().generation(),
        of("apps", "v1", "ReplicaSet", "replicasets").status().generation(),
        of("apps", "v1", "StatefulSet", "statefulsets").status().generation(),
        of("apps", "v1", "DaemonSet", "daemonsets").status().generation(),
        of("batch", "v1", "Job", "jobs").status().generation(),
        of("coordination.k8s.io", "v1", "Lease", "leases").creates_on_update().needs_version(),
        of(discovery, "v1", "EndpointSlice", "endpointslices").generation(),
        of(networking, "v1", "Ingress", "ingresses").status().generation(),
        of(networking, "v1", "NetworkPolicy", "networkpolicies").generation(),
        cluster(of(networking, "v1", "IngressClass", "ingressclasses")).generation(),
        cluster(of(networking, "v1", "ServiceCIDR", "servicecidrs")).status(),
        of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets").status().generation().needs_version(),
        cluster(of("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")).generation(),
        cluster(of("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")),
        cluster(of(storage, "v1", "StorageClass", "storageclasses")).returns_deleted(),
        cluster(of(admission, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"))
            .generation()
            .needs_version(),
        cluster(of(admission, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"))
            .generation()
            .needs_version(),
        cluster(of(admission, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")).status().generation(),
        cluster(of(admission, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"))
            .generation(),
        cluster(of("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"))
            .status()
            .generation(),
        cluster(of("apiregistration.k8s.io", "v1", "APIService", "apiservices")).status(),
        cluster(of("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests")).status(),
    ]
}

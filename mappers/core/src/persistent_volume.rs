//! `PersistentVolume`s: a read-only picture of the volume behind each claim of the virtual cluster, as long as a copy
//! of a claim names it. It shows neither where the data is nor how it is reached. Where the host's volumes may not be
//! read, the picture is made from the claim. A volume that a tenant makes stays inside.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tenet_mapper::rules::{Rule, Table, omit, set, up};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{
    ApplyVirtual, Bound, Context, Deletion, Effect, Event, EventReason, HostKey, Input, KeysOf, Kind, MapError, Mapper,
    MapperSpec, Object, Outcome, Projection, Right, Side, Verb, VirtualKey, VirtualPatch, kinds,
};

use crate::picture_policy;

/// `PersistentVolume`s, as the API serves them.
const KIND: Kind = Kind::core("PersistentVolume", "persistentvolumes").cluster_scoped();

/// Driver that a picture names. The API wants a source, which cannot change; no node of the virtual cluster mounts it.
const DRIVER: &str = "host.tenet.sh";

/// Fields of a claim from which a picture is made.
const OF_CLAIM: &[&str] =
    &["spec.volumeName", "spec.accessModes", "spec.storageClassName", "spec.volumeMode", "status.capacity"];

const SOURCE: &str = "tells where the data of the host is, and how it is reached";

const RULES: &[Rule] = &[
    up("spec.accessModes"),
    up("spec.capacity"),
    up("spec.nodeAffinity"),
    up("spec.persistentVolumeReclaimPolicy"),
    up("spec.storageClassName"),
    up("spec.volumeMode"),
    set("spec.claimRef", "the claim inside"),
    set("spec.csi", "a driver that no node has, as the API wants a source"),
    omit("spec.awsElasticBlockStore", SOURCE),
    omit("spec.azureDisk", SOURCE),
    omit("spec.azureFile", SOURCE),
    omit("spec.cephfs", SOURCE),
    omit("spec.cinder", SOURCE),
    omit("spec.fc", SOURCE),
    omit("spec.flexVolume", SOURCE),
    omit("spec.flocker", SOURCE),
    omit("spec.gcePersistentDisk", SOURCE),
    omit("spec.glusterfs", SOURCE),
    omit("spec.hostPath", SOURCE),
    omit("spec.iscsi", SOURCE),
    omit("spec.local", SOURCE),
    omit("spec.mountOptions", "the host mounts"),
    omit("spec.nfs", SOURCE),
    omit("spec.photonPersistentDisk", SOURCE),
    omit("spec.portworxVolume", SOURCE),
    omit("spec.quobyte", SOURCE),
    omit("spec.rbd", SOURCE),
    omit("spec.scaleIO", SOURCE),
    omit("spec.storageos", SOURCE),
    omit("spec.volumeAttributesClassName", "classes of volume attributes do not cross yet"),
    omit("spec.vsphereVolume", SOURCE),
    set("status", "Bound while a claim has the volume"),
];

/// Time since which a volume has its phase.
const SINCE: &str = "/status/lastPhaseTransitionTime";

/// Name of the policy that refuses changes of pictures.
const POLICY: &str = "tenet-persistent-volumes";

/// A tenant who sets the reclaim policy to Retain, and then deletes the claim, relies on it.
static UNCHANGED: LazyLock<Value> = LazyLock::new(|| {
    let why = "the volume is on the host, where its reclaim policy and all else of its spec is set. Ask the operator of the \
               host, and keep the claim until then: its deletion deletes the data, unless the policy is Retain";
    picture_policy::spec(KIND, &json!([]), &json!([picture_policy::unchanged("spec", why)]))
});

/// Pictures the volumes behind the claims of the virtual cluster.
pub struct PersistentVolumeMapper {
    spec: MapperSpec,
    table: Arc<Table>,
    /// The copies of claims that name a volume.
    claims: Bound,
}

impl PersistentVolumeMapper {
    /// The mapper of `PersistentVolume`s.
    pub fn new() -> Self {
        let table = Arc::new(crate::table(&[("", RULES)]));
        let host = Input::new(Side::Host, KIND, crate::shown(RULES), KeysOf::With(crate::same_name));
        let mut spec = MapperSpec { table: Some(Arc::clone(&table)), ..MapperSpec::new("persistent-volume", KIND) }
            .reads(Input::new(Side::Virtual, KIND, Projection::Whole, KeysOf::Own))
            .reads(host.foreign().optional())
            .needs(Right::virt(KIND, Verb::KEEP, "shows the volumes behind claims"))
            .needs(Right::virt(KIND, &[Verb::Patch], "shows the volumes behind claims").on("status"));
        spec = picture_policy::declare(spec, "refuses changes of volumes that the host would not follow");
        let claim = kinds::PERSISTENT_VOLUME_CLAIM;
        let claims = spec.bind(Input::new(Side::Host, claim, Projection::Fields(OF_CLAIM), KeysOf::With(volume_of)));
        Self { spec, table, claims }
    }
}

impl Default for PersistentVolumeMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for PersistentVolumeMapper {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let virt = cx.virt(KIND, key);
        let is_ours = |virt: &Object| cx.facts().has_made(virt);
        let is_claim = |claim: &Object| cx.ownership(claim).ours().is_some();
        let claim = cx.find_source(self.claims, key, &is_claim);
        let owner = claim.as_ref().and_then(|claim| cx.ownership(claim).ours());
        match (virt, claim, owner) {
            (Some(virt), None, _) if !is_ours(&virt) => Ok(stays_inside(&virt)),
            (Some(virt), None, _) => Ok(end(&virt)),
            (Some(virt), ..) if !is_ours(&virt) => Err(MapError::not_made(KIND, &virt)),
            (Some(virt), ..) if virt.is_deleting() => Ok(Outcome::done()),
            (virt, Some(claim), Some(owner)) => {
                let mut desired = picture(&self.table, cx, key.name(), &claim, &owner);
                // The API server inside sets it by itself.
                if let Some(since) = virt.as_ref().and_then(|virt| virt.at(SINCE)) {
                    desired["status"]["lastPhaseTransitionTime"] = since.clone();
                }
                let shown = Effect::ApplyVirtual(ApplyVirtual { kind: KIND, key: key.clone(), desired, adopt: false });
                let (policy, changes) = picture_policy::keep(cx, POLICY, &UNCHANGED);
                Ok(changes.into_iter().fold(Outcome::one(shown).then_together(policy), Outcome::wait_for))
            }
            _ => Ok(Outcome::done()),
        }
    }
}

/// Ends a picture. The API server inside protects a volume that is Bound, so it is Released first.
fn end(virt: &Object) -> Outcome {
    let is_bound = virt.str_at("/status/phase") == Some("Bound");
    let gone = Deletion::unnamed(KIND, virt, kinds::PERSISTENT_VOLUME_CLAIM);
    let released = is_bound.then(|| {
        let phase = [("/status/phase", json!("Released"))];
        let patch = VirtualPatch::new(KIND, virt, Some("status"), phase);
        Effect::PatchVirtual(patch.because(gone.cause().clone()))
    });
    let gone = (!virt.is_deleting()).then_some(Effect::Delete(gone));
    Outcome::done().then_together(released).then_together(gone)
}

fn stays_inside(virt: &Object) -> Outcome {
    if virt.is_deleting() {
        return Outcome::done();
    }
    let message = "a volume that is made inside stays inside: no node of the host mounts it, and no claim gets it";
    Outcome::one(Effect::Emit(Event::warning(KIND, virt, EventReason::Degraded, message)))
}

fn picture(table: &Table, cx: &Context<'_>, name: &str, claim: &Object, owner: &OwnerRecord) -> Value {
    let of_host = cx.host(KIND, &HostKey::new("", name)).filter(|_| cx.can_read(Side::Host, KIND));
    let mut spec = match of_host {
        Some(host) => table.up(host.value())["spec"].take(),
        None => of_claim(claim),
    };
    spec["csi"] = json!({"driver": DRIVER, "volumeHandle": name});
    spec["claimRef"] = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": owner.namespace, "name": owner.name, "uid": owner.uid,
    });
    json!({
        "apiVersion": "v1", "kind": KIND.kind, "metadata": {"name": name}, "spec": spec, "status": {"phase": "Bound"},
    })
}

fn of_claim(claim: &Object) -> Value {
    // The host's policy is not known; of these, Delete is what classes have by default.
    let mut spec = json!({"persistentVolumeReclaimPolicy": "Delete"});
    for (field, pointer) in [
        ("accessModes", "/spec/accessModes"),
        ("capacity", "/status/capacity"),
        ("storageClassName", "/spec/storageClassName"),
        ("volumeMode", "/spec/volumeMode"),
    ] {
        if let Some(value) = claim.at(pointer) {
            spec[field] = value.clone();
        }
    }
    spec
}

fn volume_of(claim: &Object) -> Vec<VirtualKey> {
    let name = claim.str_at("/spec/volumeName").filter(|name| !name.is_empty());
    // A claim has a capacity when it is bound.
    let is_bound = claim.at("/status/capacity").is_some();
    name.filter(|_| is_bound).map(|name| VirtualKey::new("", name)).into_iter().collect()
}

#[cfg(test)]
mod tests;

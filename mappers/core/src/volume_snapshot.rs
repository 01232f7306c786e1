//! `VolumeSnapshot`s: the tenant says which claim, the host makes the snapshot. A copy holds data, so it is deleted
//! only after its original was seen being deleted, and never created again once the snapshot was taken.

use serde_json::{Value, json};
use tenet_mapper::rules::{Refusal, Rule, omit, reference, refuse, set, up};
use tenet_mapper::{
    Context, CopyMapper, Effect, Event, EventReason, HostKey, Input, KeysOf, Kind, MapError, Mapper, MapperId,
    MapperSpec, Object, Outcome, Projection, Right, Side, Translate, Verb, VirtualKey, VirtualPatch, kinds,
};

use crate::hold::Hold;
use crate::volume_snapshot_class as class;

/// `VolumeSnapshot`s, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots");

/// The name of the mapper.
pub(crate) const ID: MapperId = MapperId::new("volume-snapshot");

const HOLD: Hold = Hold {
    kind: KIND,
    finalizer: "tenet.sh/host-snapshot",
    earlier: "it is an earlier snapshot of this name, whose deletion was not seen",
};

const ERROR: &str = "/status/error";

const CONTENTS: &str = "names snapshots, which would be those of the host";

const SPEC: &[Rule] = &[
    reference("source.persistentVolumeClaimName", kinds::PERSISTENT_VOLUME_CLAIM.group_kind()),
    refuse("source.volumeSnapshotContentName", "cannot name a snapshot of the host").sealed(CONTENTS),
    set(
        "volumeSnapshotClassName",
        "names a class that storage.snapshotClasses of the configuration allows; without one the host takes its default",
    ),
];

const STATUS: &[Rule] = &[
    up("boundVolumeSnapshotContentName"),
    up("creationTime"),
    up("readyToUse"),
    up("restoreSize"),
    up("error").computed().because("the message comes in the names of the tenant"),
    omit("volumeGroupSnapshotName", "groups of snapshots do not cross"),
];

struct VolumeSnapshotMapper {
    copies: CopyMapper<Snapshots>,
}

/// Translation of a snapshot for the host.
struct Snapshots(MapperSpec);

/// Carries `VolumeSnapshot`s across, and their status back. It is off until the configuration enables it.
pub(crate) fn mapper() -> impl Mapper {
    let table = crate::table_with(crate::BARE_HEAD, &[("spec", SPEC), ("status", STATUS)]);
    let classes = Input::new(Side::Host, class::KIND, Projection::Fields(&[]), KeysOf::None);
    let spec = MapperSpec::both_sides(ID.as_str(), KIND, table)
        .bare()
        .opt_in()
        .reads(classes.foreign().optional())
        .needs(Right::virt(KIND, &[Verb::Patch], "holds a snapshot until its copy is gone"))
        .needs(Right::virt(KIND, &[Verb::Patch], "shows the status of the host").on("status"));
    VolumeSnapshotMapper { copies: CopyMapper::new(Snapshots(spec)) }
}

impl Mapper for VolumeSnapshotMapper {
    fn spec(&self) -> &MapperSpec {
        self.copies.spec()
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        HOLD.carry(cx, key, &self.copies, |virt| was_taken(cx, key, virt).then(|| lost(virt)))
    }
}

/// Returns true if a snapshot without a copy had been taken, so that a new copy would hold later data.
fn was_taken(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> bool {
    is_taken(virt) || HOLD.last(cx, key, virt).is_some_and(|last| is_taken(&last))
}

fn is_taken(snapshot: &Object) -> bool {
    snapshot.str_at("/status/boundVolumeSnapshotContentName").is_some()
}

/// Shows a snapshot whose copy is gone as not usable.
fn lost(virt: &Object) -> Outcome {
    const MESSAGE: &str = "the snapshot on the host is gone; it is not taken again, as the data is no longer the same";
    if virt.str_at("/status/error/message") == Some(MESSAGE) {
        return Outcome::done();
    }
    let event = Effect::Emit(Event::warning(KIND, virt, EventReason::Degraded, MESSAGE));
    let values = [("/status/readyToUse", json!(false)), (ERROR, json!({"message": MESSAGE}))];
    let shown = VirtualPatch::new(KIND, virt, Some("status"), values).because(HOLD.gone());
    Outcome::one(Effect::PatchVirtual(shown)).then(event)
}

impl Translate for Snapshots {
    fn spec(&self) -> &MapperSpec {
        &self.0
    }

    fn complete(
        &self,
        cx: &Context<'_>,
        virt: &Object,
        host: Option<&Object>,
        mut draft: Value,
    ) -> Result<Value, MapError> {
        const CLASS: &str = "/spec/volumeSnapshotClassName";
        let Some(name) = virt.at(CLASS).and_then(Value::as_str) else { return Ok(draft) };
        // The host keeps the class of a snapshot, whatever the configuration says later.
        let is_settled = host.is_some_and(|host| host.str_at(CLASS) == Some(name));
        let is_default =
            || cx.host(class::KIND, &HostKey::new("", name)).is_some_and(|found| class::is_default(&found));
        if is_settled || class::is_named(cx, name) || is_default() {
            draft["spec"]["volumeSnapshotClassName"] = json!(name);
            return Ok(draft);
        }
        let why = format!("the class {name} is not in storage.snapshotClasses of the configuration");
        Err(MapError::Refused(vec![Refusal { field: "spec.volumeSnapshotClassName".to_owned(), why }]))
    }

    fn up(&self, cx: &Context<'_>, virt: &Object, host: &Object) -> Result<Vec<Effect>, MapError> {
        let mut wanted = host.at(ERROR).cloned().unwrap_or_default();
        if let Some(message) = wanted.get("message").and_then(Value::as_str) {
            wanted["message"] = json!(crate::wording(cx, host, virt).translate(message));
        }
        if virt.at(ERROR).unwrap_or(&Value::Null) == &wanted {
            return Ok(Vec::new());
        }
        Ok(vec![Effect::PatchVirtual(VirtualPatch::new(KIND, virt, Some("status"), [(ERROR, wanted)]))])
    }
}

#[cfg(test)]
mod tests;

//! `PersistentVolumeClaim`s: the tenant says what is needed, the host provides the volume. A copy holds data, so it is
//! deleted only after its original was seen being deleted, and never created again once it was bound.

mod config;

use serde_json::{Value, json};
use tenet_mapper::rules::{Refusal, Rule, copy, refuse, set, up};
use tenet_mapper::{
    Context, CopyMapper, Effect, Event, EventReason, Input, KeysOf, Kind, MapError, Mapper, MapperSpec, Object,
    Outcome, Projection, Right, Side, Translate, Verb, VirtualKey, VirtualPatch, kinds,
};

pub use config::Storage;

use crate::hold::Hold;
use crate::{storage_class, volume_snapshot};

const KIND: Kind = kinds::PERSISTENT_VOLUME_CLAIM;

const HOLD: Hold = Hold {
    kind: KIND,
    finalizer: "tenet.sh/host-claim",
    earlier: "it holds the data of an earlier claim of this name, whose deletion was not seen",
};

/// The class of a claim before `storageClassName`; it still wins over the field.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

const NO_SNAPSHOTS: &str =
    "a VolumeSnapshot does not cross, as kinds.enable of the configuration lacks volume-snapshot";

const CLAIMS: &str = "names claims, which would be those of the host namespace";

const SPEC: &[Rule] = &[
    copy("accessModes[]"),
    set("dataSource", "names the copy of a claim or a VolumeSnapshot of the same namespace").sealed(CLAIMS),
    set("dataSourceRef", "names the copy of a claim or a VolumeSnapshot of the same namespace").sealed(CLAIMS),
    copy("resources.limits{}"),
    copy("resources.requests{}").kept().because("the host expands the volume where its class allows it"),
    copy("selector").whole().because("selects among the volumes that the host offers in the class"),
    set(
        "storageClassName",
        "names a class that storage.classes of the configuration allows; without one the host sets its default",
    ),
    refuse("volumeAttributesClassName", "classes of volume attributes do not cross yet"),
    copy("volumeMode"),
    up("volumeName").computed().because("the host chooses the volume; a claim that names one is refused"),
];

/// Carries `PersistentVolumeClaim`s across, and their status back.
pub struct PersistentVolumeClaimMapper {
    copies: CopyMapper<Claims>,
}

/// Translation of a claim for the host.
struct Claims(MapperSpec);

impl PersistentVolumeClaimMapper {
    /// The mapper of `PersistentVolumeClaim`s.
    pub fn new() -> Self {
        let table = crate::table_with(crate::BARE_HEAD, &[("spec", SPEC), ("", &[up("status")])]);
        let class = Input::new(Side::Host, storage_class::KIND, Projection::Fields(&[]), KeysOf::None);
        let spec = MapperSpec::both_sides("persistent-volume-claim", KIND, table)
            .bare()
            .with_conditions()
            .section::<Storage>("storage")
            .reads(class.foreign().optional())
            .needs(Right::virt(KIND, &[Verb::Patch], "shows the volume, and holds a claim until its copy is gone"))
            .needs(Right::virt(KIND, &[Verb::Patch], "shows the status of the host").on("status"))
            .sample(json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "tenet-defaults"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }));
        Self { copies: CopyMapper::new(Claims(spec)) }
    }
}

impl Default for PersistentVolumeClaimMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl Mapper for PersistentVolumeClaimMapper {
    fn spec(&self) -> &MapperSpec {
        self.copies.spec()
    }

    fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        HOLD.carry(cx, key, &self.copies, |virt| was_bound(cx, key, virt).then(|| lost(virt)))
    }
}

/// Returns true if a claim without a copy had a volume, so that a new copy would be an empty one.
fn was_bound(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> bool {
    let was = |last: Object| last.str_at("/status/phase") == Some("Bound");
    matches!(virt.str_at("/status/phase"), Some("Bound" | "Lost")) || HOLD.last(cx, key, virt).is_some_and(was)
}

/// Shows a claim whose copy is gone as Lost.
fn lost(virt: &Object) -> Outcome {
    if virt.str_at("/status/phase") == Some("Lost") {
        return Outcome::done();
    }
    let message =
        "its claim on the host is gone, and its volume with it; it is not created again, as it would be empty";
    let event = Effect::Emit(Event::warning(KIND, virt, EventReason::Degraded, message));
    let shown = VirtualPatch::new(KIND, virt, Some("status"), [("/status/phase", json!("Lost"))]).because(HOLD.gone());
    Outcome::one(Effect::PatchVirtual(shown)).then(event)
}

fn volume(claim: &Object) -> Option<&str> {
    claim.str_at("/spec/volumeName").filter(|name| !name.is_empty())
}

/// The class of a claim. An empty one is another than none.
fn class(claim: &Object) -> Option<&str> {
    claim.at("/spec/storageClassName").and_then(Value::as_str)
}

impl Translate for Claims {
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
        let mut refusals = Vec::new();
        let mut refuse =
            |field: &str, why: &str| refusals.push(Refusal { field: field.to_owned(), why: why.to_owned() });
        if volume(virt).is_some_and(|name| host.and_then(volume) != Some(name)) {
            refuse("spec.volumeName", "cannot name a volume of the host");
        }
        if virt.annotation(BETA_CLASS).is_some() {
            refuse("metadata.annotations", &format!("{BETA_CLASS} is outdated; use spec.storageClassName"));
        }
        if let Some(name) = class(virt) {
            // The host keeps the class of a claim, whatever the configuration says later.
            let is_settled = host.is_some_and(|host| class(host) == Some(name));
            match cx.section::<Storage>().refusal(cx, name).filter(|_| !is_settled) {
                Some(why) => refuse("spec.storageClassName", &why),
                None => draft["spec"]["storageClassName"] = json!(name),
            }
        }
        for field in ["dataSource", "dataSourceRef"] {
            let Some(source) = virt.at(&format!("/spec/{field}")).filter(|source| !source.is_null()) else { continue };
            // The host keeps the source of a claim, whatever the configuration says later.
            let settled = host.and_then(|host| host.at(&format!("/spec/{field}"))).unwrap_or(&Value::Null);
            match source_on_host(cx, virt, source) {
                Some((kind, on_host))
                    if kind == KIND || on_host == *settled || cx.facts().runs(volume_snapshot::ID) =>
                {
                    draft["spec"][field] = on_host;
                }
                Some(_) => refuse(&format!("spec.{field}"), NO_SNAPSHOTS),
                None => refuse(&format!("spec.{field}"), "only a claim or a snapshot of the same namespace crosses"),
            }
        }
        if refusals.is_empty() { Ok(draft) } else { Err(MapError::Refused(refusals)) }
    }

    /// The status follows the name of the volume: a claim that is Bound has one.
    fn shows(&self, virt: &Object, host: &Object) -> bool {
        volume(host).is_none() || volume(virt) == volume(host)
    }

    fn up(&self, _cx: &Context<'_>, virt: &Object, host: &Object) -> Result<Vec<Effect>, MapError> {
        let mut values = Vec::new();
        if let (None, Some(name)) = (volume(virt), volume(host)) {
            values.push(("/spec/volumeName", json!(name)));
        }
        if let (None, Some(name)) = (class(virt), class(host)) {
            values.push(("/spec/storageClassName", json!(name)));
        }
        if values.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Effect::PatchVirtual(VirtualPatch::new(KIND, virt, None, values))])
    }
}

/// Returns the kind of a data source, and the source with the name that it has on the host, if it is a claim or a
/// snapshot of the same namespace.
fn source_on_host(cx: &Context<'_>, virt: &Object, source: &Value) -> Option<(Kind, Value)> {
    let text = |field: &str| source.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = match (text("apiGroup"), text("kind")?) {
        (None, kind) if kind == KIND.kind => KIND,
        (Some(group), kind) if (group, kind) == (volume_snapshot::KIND.group, volume_snapshot::KIND.kind) => {
            volume_snapshot::KIND
        }
        _ => return None,
    };
    let is_near = text("namespace").is_none_or(|namespace| namespace == virt.namespace());
    let name = text("name").filter(|_| is_near)?;
    let host_key = cx.host_key(kind, &VirtualKey::new(virt.namespace(), name));
    let mut on_host = json!({"kind": kind.kind, "name": host_key.name()});
    if !kind.group.is_empty() {
        on_host["apiGroup"] = json!(kind.group);
    }
    Some((kind, on_host))
}

#[cfg(test)]
mod tests;

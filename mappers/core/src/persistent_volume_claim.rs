//! `PersistentVolumeClaim`s: the tenant says what is needed, the host provides the volume. A copy holds data, so it is
//! deleted only after its original was seen being deleted, and never created again once it was bound.

mod config;

use serde_json::{Value, json};
use tenet_mapper::rules::{Refusal, Rule, copy, refuse, set, up};
use tenet_mapper::{
    Cause, Context, CopyMapper, Deletion, Dependency, Effect, Event, EventReason, Input, KeysOf, MapError, Mapper,
    MapperSpec, Object, Outcome, Projection, Right, Side, Translate, Verb, VirtualKey, VirtualPatch, kinds,
};

pub use config::Storage;

use crate::storage_class;

const KIND: tenet_mapper::Kind = kinds::PERSISTENT_VOLUME_CLAIM;

/// Holds a claim inside until its copy is gone: without it a claim that is deleted while no syncer runs would leave no
/// evidence, and a copy would be deleted because its original was not found.
const FINALIZER: &str = "tenet.sh/host-claim";

/// Cause of what a claim shows once its copy is gone. A copy that the cache lacks may exist, with its data.
const GONE: Cause = Cause::TwinAbsent { twin: KIND };

/// The class of a claim before `storageClassName`; it still wins over the field.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

const CLAIMS: &str = "names claims, which would be those of the host namespace";

const SPEC: &[Rule] = &[
    copy("accessModes[]"),
    set("dataSource", "names the copy of a claim of the same namespace").sealed(CLAIMS),
    set("dataSourceRef", "names the copy of a claim of the same namespace").sealed(CLAIMS),
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
        let class =
            Input::new(Side::Host, storage_class::KIND, Projection::Fields(storage_class::FIELDS), KeysOf::None);
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
        let host_key = cx.host_key(KIND, key);
        // A copy without an original stays: nobody has seen a delete, and it holds data.
        let Some(virt) = cx.virt(KIND, key) else { return Ok(Outcome::done()) };
        let host = cx.host(KIND, &host_key);
        if virt.is_deleting() {
            return Ok(end(cx, key, &virt, host.as_ref()));
        }
        match host {
            None if was_bound(cx, key, &virt) => Ok(lost(&virt)),
            None if is_held(&virt) => self.copies.sync(cx, key, virt, None),
            None => {
                self.copies.desired(cx, &virt, None)?;
                Ok(Outcome::one(hold(&virt)))
            }
            Some(host) => {
                let owner = cx.owned_by(KIND, key, &host)?;
                if owner.uid != virt.uid() {
                    let why = "it holds the data of an earlier claim of this name, whose deletion was not seen";
                    return Err(MapError::foreign(Side::Host, KIND, &host, why));
                }
                if host.is_deleting() {
                    return Ok(Outcome::done().wait_for(Dependency::host(KIND, &host_key)));
                }
                if !is_held(&virt) {
                    return Ok(Outcome::one(hold(&virt)));
                }
                self.copies.sync(cx, key, virt, Some(host))
            }
        }
    }
}

/// Ends a claim: its copy goes when nothing inside uses the claim any more, and the claim when its copy is gone.
fn end(cx: &Context<'_>, key: &VirtualKey, virt: &Object, host: Option<&Object>) -> Outcome {
    let others = virt.list_at("/metadata/finalizers").iter().any(|finalizer| finalizer != FINALIZER);
    if others || !is_held(virt) {
        return Outcome::done();
    }
    let ours = host.filter(|host| cx.owned_by(KIND, key, host).is_ok_and(|owner| owner.uid == virt.uid()));
    let Some(host) = ours else {
        let freed = finalizers(virt, &[]);
        return Outcome::one(Effect::PatchVirtual(if host.is_none() { freed.because(GONE) } else { freed }));
    };
    let follow = Deletion::follow(KIND, host, virt).filter(|_| !host.is_deleting());
    let wait = Dependency::host(KIND, &cx.host_key(KIND, key));
    Outcome::done().then_together(follow.map(Effect::Delete)).wait_for(wait)
}

fn is_held(virt: &Object) -> bool {
    virt.list_at("/metadata/finalizers").iter().any(|finalizer| finalizer == FINALIZER)
}

fn hold(virt: &Object) -> Effect {
    let mut all = virt.list_at("/metadata/finalizers").to_vec();
    all.push(json!(FINALIZER));
    Effect::PatchVirtual(finalizers(virt, &all))
}

fn finalizers(virt: &Object, all: &[Value]) -> VirtualPatch {
    let value = if all.is_empty() { Value::Null } else { json!(all) };
    patch(virt, None, vec![("/metadata/finalizers", value)])
}

/// Returns true if a claim without a copy had a volume, so that a new copy would be an empty one.
fn was_bound(cx: &Context<'_>, key: &VirtualKey, virt: &Object) -> bool {
    let last = cx.last_state(KIND, &cx.host_key(KIND, key)).filter(|last| {
        let owner = cx.owned_by(KIND, key, last);
        last.str_at("/status/phase") == Some("Bound") && owner.is_ok_and(|owner| owner.uid == virt.uid())
    });
    last.is_some() || matches!(virt.str_at("/status/phase"), Some("Bound" | "Lost"))
}

/// Shows a claim whose copy is gone as Lost.
fn lost(virt: &Object) -> Outcome {
    if virt.str_at("/status/phase") == Some("Lost") {
        return Outcome::done();
    }
    let message =
        "its claim on the host is gone, and its volume with it; it is not created again, as it would be empty";
    let event = Effect::Emit(Event::warning(KIND, virt, EventReason::Degraded, message));
    let shown = patch(virt, Some("status"), vec![("/status/phase", json!("Lost"))]).because(GONE);
    Outcome::one(Effect::PatchVirtual(shown)).then(event)
}

fn patch(virt: &Object, subresource: Option<&'static str>, values: Vec<(&'static str, Value)>) -> VirtualPatch {
    VirtualPatch::new(KIND, virt, subresource, values)
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
            match source_on_host(cx, virt, source) {
                Some(source) => draft["spec"][field] = source,
                None => refuse(&format!("spec.{field}"), "only a claim of the same namespace crosses"),
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
        Ok(if values.is_empty() { Vec::new() } else { vec![Effect::PatchVirtual(patch(virt, None, values))] })
    }
}

/// Returns the data source with the name that it has on the host, if it is a claim of the same namespace.
fn source_on_host(cx: &Context<'_>, virt: &Object, source: &Value) -> Option<Value> {
    let text = |field: &str| source.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let is_claim = text("apiGroup").is_none() && text("kind") == Some(KIND.kind);
    let is_near = text("namespace").is_none_or(|namespace| namespace == virt.namespace());
    let name = text("name").filter(|_| is_claim && is_near)?;
    let host_key = cx.host_key(KIND, &VirtualKey::new(virt.namespace(), name));
    Some(json!({"kind": KIND.kind, "name": host_key.name()}))
}

#[cfg(test)]
mod tests;

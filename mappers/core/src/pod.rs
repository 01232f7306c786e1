//! Pods: the virtual side says what should run, the host says how it runs.

mod create;
mod fields;
mod security;
mod status;
mod table;
mod tokens;
mod update;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Value, json};
use tenet_mapper::{
    Apply, Bind, Context, Deletion, Dependency, Effect, HostKey, Input, KeysOf, MapError, Mapper, MapperSpec, Next,
    Notice, NoticeKind, Object, Outcome, Projection, Severity, Side, VirtualKey, async_trait, kinds,
};

use tokens::Secret;

/// What is read of a host pod.
const HOST_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.activeDeadlineSeconds",
    "spec.schedulingGates",
    "spec.tolerations",
    "spec.containers[].name",
    "spec.containers[].image",
    "spec.containers[].resources",
    "spec.initContainers[].name",
    "spec.initContainers[].image",
    "spec.initContainers[].resources",
    "spec.ephemeralContainers[].name",
    "status",
];

/// The mapper of pods.
pub struct PodMapper {
    spec: MapperSpec,
}

impl Default for PodMapper {
    fn default() -> Self {
        Self::new()
    }
}

impl PodMapper {
    /// The mapper of pods.
    pub fn new() -> Self {
        let copies = [kinds::CONFIG_MAP, kinds::SECRET];
        let mut spec = MapperSpec::both_sides("pod", kinds::POD, table::table())
            .project(Side::Host, &Projection::Fields(HOST_FIELDS))
            .reads(Input::new(Side::Virtual, kinds::NODE, Projection::Metadata, KeysOf::None))
            .reads(Input::new(Side::Virtual, kinds::SERVICE, Projection::Whole, KeysOf::None))
            .reads(Input::new(Side::Host, kinds::SERVICE, Projection::Whole, KeysOf::None).foreign())
            .reads(Input::new(Side::Host, kinds::CONFIG_MAP, Projection::Metadata, KeysOf::None))
            // The Secret of its tokens belongs to the pod.
            .reads(Input::new(Side::Host, kinds::SECRET, Projection::Digest(&["data"]), KeysOf::Owner));
        for kind in copies {
            spec = spec.reads(Input::new(Side::Virtual, kind, Projection::Metadata, KeysOf::None));
        }
        for sample in samples() {
            spec = spec.sample(sample);
        }
        Self { spec }
    }

    fn table(&self) -> Result<&tenet_mapper::rules::Table, MapError> {
        self.spec.table.as_deref().ok_or_else(|| MapError::Malformed("the mapper of pods has no table".to_owned()))
    }

    /// A virtual pod without a host pod.
    async fn alone(&self, cx: &Context<'_>, pod: &Twin<'_>, virt: &Object) -> Result<Outcome, MapError> {
        if virt.is_deleting() || (has_run(virt) && !is_finished(virt)) {
            return pod.finish(cx, virt);
        }
        if is_finished(virt) {
            // Its history stays until the tenant or a controller removes it.
            return Ok(pod.without_secret(cx)?.unwrap_or_default());
        }
        if virt.str_at("/spec/nodeName").is_some() {
            return Err(MapError::refused("spec.nodeName", "the host's scheduler places pods; leave it out"));
        }
        self.create(cx, pod, virt).await
    }

    async fn create(&self, cx: &Context<'_>, pod: &Twin<'_>, virt: &Object) -> Result<Outcome, MapError> {
        let table = self.table()?;
        let made = create::host_pod(cx, table, pod.key, virt).await?;
        if let Some(copy) = create::missing_copy(cx, virt, &table.references(virt.value())) {
            return Ok(Outcome::wait_for(copy));
        }
        let mut outcome = Outcome::done();
        let secret = match tokens::of_pod(cx, pod.key, virt)? {
            Secret::None => None,
            Secret::Ready(due) => {
                outcome.next = Next::At(due);
                None
            }
            Secret::Mint(apply) => Some(Effect::Apply(apply)),
            Secret::Stale(stale) => return Ok(*stale),
        };
        let mut desired = made.pod;
        // The API takes containers to debug with only when the pod is there; the digest then says
        // that something is still to follow.
        let debugged = desired["spec"].as_object_mut().and_then(|spec| spec.remove("ephemeralContainers"));
        let followed = if debugged.is_some() { "-".to_owned() } else { update::followed(virt) };
        desired["metadata"]["annotations"][update::FOLLOWED] = json!(followed);
        let create = Effect::Apply(Box::new(Apply {
            kind: kinds::POD,
            key: pod.host_key.clone(),
            owner: cx.owner(kinds::POD, virt),
            desired,
            table: None,
            fallback: None,
            mint: Vec::new(),
        }));
        // No container starts before its token is there: the kubelet waits for the Secret.
        outcome.effects.push(match secret {
            Some(secret) => Effect::Together(vec![secret, create]),
            None => create,
        });
        outcome.effects.extend(made.remarks.iter().map(|remark| notice(pod.key, virt, NoticeKind::Degraded, remark)));
        Ok(outcome)
    }

    /// Both pods are there, and belong together.
    async fn together(
        &self,
        cx: &Context<'_>,
        pod: &Twin<'_>,
        virt: &Object,
        host: &Object,
    ) -> Result<Outcome, MapError> {
        let mut outcome = Outcome::done();
        match (virt.str_at("/spec/nodeName"), host.str_at("/spec/nodeName")) {
            (None, Some(node)) => {
                let key = VirtualKey::new("", node);
                if cx.virt(kinds::NODE, &key).is_none() {
                    return Ok(Outcome::wait_for(Dependency::virt(kinds::NODE, &key)));
                }
                let (pod, uid, node) = (pod.key.clone(), virt.uid().to_owned(), node.to_owned());
                outcome.effects.push(Effect::Bind(Bind { pod, uid, node }));
            }
            // It runs elsewhere than the tenant was told: its controller replaces it.
            (Some(told), node) if node != Some(told) && !host.is_deleting() && !virt.is_deleting() => {
                return Ok(Outcome::one(Effect::Delete(Deletion::orphan(
                    kinds::POD,
                    host,
                    &cx.owned(kinds::POD, host)?,
                    kinds::POD,
                ))));
            }
            _ => {}
        }
        outcome.effects.extend(status::up(cx, pod.key, virt, host));
        outcome.effects.extend(ending(virt, host).map(Effect::Delete));
        if virt.is_deleting() || host.is_deleting() {
            return Ok(outcome);
        }
        match update::down(cx, self.table()?, pod.key, virt, host).await {
            Ok(effects) => outcome.effects.extend(effects),
            // What runs goes on; the change that may not cross is told.
            Err(MapError::Refused(refusals)) => {
                let message = MapError::Refused(refusals).to_string();
                outcome.effects.push(notice(pod.key, virt, NoticeKind::Refused, &message));
            }
            Err(error) => return Err(error),
        }
        outcome.effects.extend(status::gates_down(cx, virt, host));
        match tokens::of_pod(cx, pod.key, virt)? {
            Secret::Ready(due) => outcome.next = Next::At(due),
            Secret::Mint(apply) if !is_finished(virt) => outcome.effects.push(Effect::Apply(apply)),
            _ => {}
        }
        Ok(outcome)
    }
}

/// The places of one pod.
struct Twin<'t> {
    key: &'t VirtualKey,
    host_key: HostKey,
}

impl Twin<'_> {
    /// The host pod is gone: the tenant sees its last state, then the virtual pod goes as well.
    fn finish(&self, cx: &Context<'_>, virt: &Object) -> Result<Outcome, MapError> {
        let mut outcome = self.without_secret(cx)?.unwrap_or_default();
        if let Some(last) = cx.last_seen(kinds::POD, &self.host_key)
            && cx.owned(kinds::POD, &last).is_ok_and(|owner| owner.uid == virt.uid())
        {
            outcome.effects.extend(status::up(cx, self.key, virt, &last));
        }
        Ok(outcome.then(Effect::Delete(Deletion::finish(kinds::POD, virt, &self.host_key))))
    }

    /// The Secret of its tokens goes with the host pod.
    fn without_secret(&self, cx: &Context<'_>) -> Result<Option<Outcome>, MapError> {
        let Some(secret) = cx.host(kinds::SECRET, &tokens::secret_key(cx, self.key)) else { return Ok(None) };
        cx.owned(kinds::SECRET, &secret)?;
        Ok(Some(Outcome::one(Effect::Delete(Deletion::unneeded(kinds::SECRET, &secret)))))
    }

    /// A host pod whose virtual pod is gone, or is another one by now.
    fn orphan(&self, cx: &Context<'_>, host: &Object, is_awaited: bool) -> Result<Outcome, MapError> {
        let owner = cx.owned(kinds::POD, host)?;
        let mut outcome = Outcome::done();
        if !host.is_deleting() || host.deletion_grace() != Some(0) {
            outcome = Outcome::one(Effect::Delete(Deletion::orphan(kinds::POD, host, &owner, kinds::POD)));
        }
        Ok(if is_awaited { outcome.and_wait_for(Dependency::host(kinds::POD, &self.host_key)) } else { outcome })
    }
}

#[async_trait]
impl Mapper for PodMapper {
    fn spec(&self) -> &MapperSpec {
        &self.spec
    }

    async fn reconcile(&self, cx: &Context<'_>, key: &VirtualKey) -> Result<Outcome, MapError> {
        let pod = Twin { key, host_key: cx.host_key(kinds::POD, key) };
        let (virt, host) = (cx.virt(kinds::POD, key), cx.host(kinds::POD, &pod.host_key));
        match (virt, host) {
            (None, None) => Ok(pod.without_secret(cx)?.unwrap_or_default()),
            (None, Some(host)) => pod.orphan(cx, &host, false),
            (Some(virt), None) => self.alone(cx, &pod, &virt).await,
            (Some(virt), Some(host)) if cx.owned(kinds::POD, &host)?.uid != virt.uid() => pod.orphan(cx, &host, true),
            (Some(virt), Some(host)) => self.together(cx, &pod, &virt, &host).await,
        }
    }
}

/// The delete that the other side has to follow, with its grace period; also when that was
/// shortened later.
fn ending(virt: &Object, host: &Object) -> Option<Deletion> {
    if !virt.is_deleting() {
        return Deletion::follow_host(kinds::POD, virt, host);
    }
    let shorter = virt.deletion_grace() < host.deletion_grace();
    (!host.is_deleting() || shorter).then(|| Deletion::follow(kinds::POD, host, virt))?
}

/// Whether a virtual pod had a host pod: only the binding and the host's status set this condition.
fn has_run(virt: &Object) -> bool {
    virt.list_at("/status/conditions").iter().any(|condition| condition["type"] == "PodScheduled")
}

fn is_finished(virt: &Object) -> bool {
    matches!(virt.str_at("/status/phase"), Some("Succeeded" | "Failed"))
}

/// Every container of a pod: the list and the index.
fn containers(pod: &Value) -> Vec<(&'static str, usize)> {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    lists
        .into_iter()
        .flat_map(|list| (0..pod["spec"][list].as_array().map_or(0, Vec::len)).map(move |index| (list, index)))
        .collect()
}

fn notice(key: &VirtualKey, virt: &Object, about: NoticeKind, message: &str) -> Effect {
    Effect::Emit(Notice {
        kind: kinds::POD,
        key: key.clone(),
        uid: virt.uid().to_owned(),
        about,
        severity: Severity::Warning,
        message: message.to_owned(),
    })
}

/// What the configuration says about pods.
struct Settings {
    pods: PodSection,
    dns: DnsSection,
}

impl Settings {
    fn read(cx: &Context<'_>) -> Result<Self, MapError> {
        Ok(Self { pods: cx.section("pods")?, dns: cx.section("dns")? })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSection {
    service_account: String,
    priority_classes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DnsSection {
    cluster_domain: String,
    service: ServiceName,
    address: Option<String>,
}

/// `namespace/name`.
#[derive(Deserialize)]
struct ServiceName(String);

impl ServiceName {
    fn key(&self) -> VirtualKey {
        let (namespace, name) = self.0.split_once('/').unwrap_or(("kube-system", &self.0));
        VirtualKey::new(namespace, name)
    }
}

/// Pods with as many fields that have defaults below them as can stand in one pod.
fn samples() -> Vec<Value> {
    let probe = json!({"httpGet": {"port": 80}});
    let grpc = json!({"grpc": {"port": 80}});
    let container = json!({
        "name": "sample", "image": "sample", "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
        "livenessProbe": probe, "readinessProbe": grpc, "startupProbe": {"tcpSocket": {"port": 80}},
        "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "resources": {"limits": {"cpu": "1"}},
        "volumeMounts": [{"name": "e", "mountPath": "/e"}],
    });
    let file = json!([{"path": "f", "fieldRef": {"fieldPath": "metadata.name"}}]);
    let constraint = json!({"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": {"a": "b"}}});
    vec![json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tenet-sample"},
        "spec": {
            "containers": [container], "initContainers": [{"name": "init", "image": "sample"}],
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "topologySpreadConstraints": [constraint],
            "volumes": [
                {"name": "e", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}},
                {"name": "s", "secret": {"secretName": "s"}}, {"name": "d", "downwardAPI": {"items": file}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}},
                    {"downwardAPI": {"items": file}}]}},
            ],
        },
    })]
}

//! Both clusters in memory, and what the gate and the API servers make of effects.

use serde_json::{Value, json};
use tenet_mapper::testing::Clusters;
use tenet_mapper::{
    ApplyHost, Effect, Event, EventReason, Facts, HostKey, MapError, Object, Outcome, Side, VirtualKey, kinds, pointer,
};

use crate::PodMapper;
use crate::namespace::service_env::{of_api, of_namespace};
use crate::pod::owner;

pub(super) const NAME: &str = "web-6d4cf56db6-x7k2p";
pub(super) const HOST_NAME: &str = "web-6d4cf56db6-x7k2p-x-shop-x-vc-1";
pub(super) const SECRET_NAME: &str = "web-6d4cf56db6-x7k2p-x-token-x-shop-x-vc-1";
pub(super) const NOW: i64 = 1_800_000_000;

const VIRTUAL: &str = include_str!("fixtures/deployment.virtual.yaml");
const HOST: &str = include_str!("fixtures/deployment.host.yaml");
const RUNNING: &str = include_str!("fixtures/running.yaml");

/// Both clusters, and what was done to them.
pub(super) struct Lab {
    pub(super) clusters: Clusters,
    mapper: PodMapper,
    /// Events that the tenant got.
    pub(super) events: Vec<Event>,
    /// The words of what was written, in order.
    pub(super) written: Vec<String>,
}

impl Lab {
    /// Objects around pods, without any pod.
    pub(super) fn empty() -> Self {
        let clusters = Clusters::default()
            .with(Side::Virtual, include_str!("fixtures/around.virtual.yaml"))
            .with(Side::Host, include_str!("fixtures/around.host.yaml"))
            .at(NOW);
        let mut lab = Self { clusters, mapper: PodMapper::new(), events: Vec::new(), written: Vec::new() };
        let owner = lab.clusters.look(owner::create);
        lab.clusters.perform(owner);
        for map in lab.maps() {
            lab.clusters.perform(Effect::ApplyHost(Box::new(map)));
        }
        lab
    }

    /// The `ConfigMap`s that an earlier pod has brought: the variables of the API server, and of the namespace.
    fn maps(&self) -> Vec<ApplyHost> {
        self.clusters.look(|cx| {
            let namespace = |name| cx.virt(kinds::NAMESPACE, &VirtualKey::new("", name)).unwrap();
            let mut maps = vec![of_api(cx, &namespace("default")).unwrap()];
            maps.extend(of_namespace(cx, &namespace("shop")));
            maps
        })
    }

    /// The variables that a container of the host pod takes from `ConfigMap`s, in the order in which later ones win.
    pub(super) fn variables(&self, container: &Value) -> Vec<(String, String)> {
        let sources = container["envFrom"].as_array().into_iter().flatten();
        let names = sources.filter_map(|source| source["configMapRef"]["name"].as_str());
        let maps = names.filter_map(|name| self.clusters.object(Side::Host, kinds::CONFIG_MAP, "team-a", name));
        let data = maps.filter_map(|map| map.at("/data")).filter_map(Value::as_object).flatten();
        data.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    /// The pod of a Deployment with default settings, fresh from the API server.
    pub(super) fn fresh() -> Self {
        Self::empty().with(Side::Virtual, VIRTUAL)
    }

    /// The same pod, created on the host, and not yet scheduled there.
    pub(super) fn created() -> Self {
        let mut lab = Self::fresh();
        lab.converge();
        lab.written.clear();
        lab
    }

    /// The same pod, running on both sides.
    pub(super) fn running() -> Self {
        let mut lab = Self::created();
        lab.runs();
        lab.converge();
        lab.written.clear();
        lab
    }

    pub(super) fn with(mut self, side: Side, documents: &str) -> Self {
        self.clusters = self.clusters.with(side, documents);
        self
    }

    pub(super) fn section<T: Send + Sync + 'static>(mut self, section: T) -> Self {
        self.clusters = self.clusters.section(section);
        self
    }

    pub(super) fn facts(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        self.clusters = self.clusters.facts(change);
        self
    }

    pub(super) fn at(mut self, now: i64) -> Self {
        self.clusters = self.clusters.at(now);
        self
    }

    /// The host pod is placed and runs.
    pub(super) fn runs(&mut self) {
        self.edit_host("/metadata/generation", json!(1));
        self.edit_host("/spec/nodeName", json!("node-1"));
        self.edit_host("/status", yaml(RUNNING));
    }

    pub(super) fn virt(&self) -> Option<&Object> {
        self.clusters.object(Side::Virtual, kinds::POD, "shop", NAME)
    }

    pub(super) fn host(&self) -> Option<&Object> {
        self.clusters.object(Side::Host, kinds::POD, "team-a", HOST_NAME)
    }

    pub(super) fn secret(&self) -> Option<&Object> {
        self.clusters.object(Side::Host, kinds::SECRET, "team-a", SECRET_NAME)
    }

    /// Changes the virtual pod; a null takes a member out.
    pub(super) fn edit(&mut self, pointer: &str, value: Value) {
        let object = self.virt().unwrap().value().clone();
        self.change(Side::Virtual, object, pointer, value);
    }

    /// Changes the host pod.
    pub(super) fn edit_host(&mut self, pointer: &str, value: Value) {
        let object = self.host().unwrap().value().clone();
        self.change(Side::Host, object, pointer, value);
    }

    fn change(&mut self, side: Side, mut object: Value, pointer: &str, value: Value) {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        if value.is_null() {
            object.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member);
        } else {
            pointer::set(&mut object, pointer, value);
        }
        self.clusters.put(side, object);
    }

    /// The API server accepts a delete of a pod.
    pub(super) fn delete(&mut self, side: Side, grace: i64) {
        for (member, value) in
            [("deletionTimestamp", json!("2027-01-15T09:00:00Z")), ("deletionGracePeriodSeconds", json!(grace))]
        {
            let pointer = format!("/metadata/{member}");
            if side == Side::Host { self.edit_host(&pointer, value) } else { self.edit(&pointer, value) }
        }
    }

    /// The host pod is gone; the engine still knows its last state.
    pub(super) fn vanish(&mut self) {
        self.clusters.vanish(kinds::POD, &HostKey::new("team-a", HOST_NAME));
    }

    pub(super) fn reconcile(&mut self) -> Result<Outcome, MapError> {
        self.clusters.reconcile(&self.mapper, "shop", NAME)
    }

    /// Writes of one reconcile, in order.
    pub(super) fn effects(&mut self) -> Vec<Effect> {
        self.reconcile().unwrap().into_effects()
    }

    /// The same in words. What is refused comes last, as the engine says it after the writes.
    pub(super) fn planned(&mut self) -> Vec<String> {
        let outcome = self.reconcile().unwrap();
        let refused = (!outcome.refused.is_empty()).then(|| EventReason::Refused.as_str().to_owned());
        outcome.effects().into_iter().map(word).chain(refused).collect()
    }

    /// Reconciles and performs the effects, until there are none. Answers with the writes.
    pub(super) fn converge(&mut self) -> Vec<String> {
        for _ in 0..16 {
            let effects = self.effects();
            if effects.is_empty() {
                return std::mem::take(&mut self.written);
            }
            for effect in effects {
                self.perform(effect);
            }
        }
        panic!("no rest after {:?}", self.written);
    }

    /// Performs effects as the gate does.
    pub(super) fn perform(&mut self, effect: Effect) {
        self.written.push(word(&effect));
        match effect {
            Effect::Emit(event) => self.events.push(event),
            other => assert_eq!(self.clusters.perform(other), 1, "it changes something"),
        }
    }
}

/// `apply Secret`, `patch status Pod`, `delete virtual Pod 0`.
fn word(effect: &Effect) -> String {
    match effect {
        Effect::ApplyHost(apply) => format!("apply {}", apply.kind),
        Effect::MintTokens(_) => "mint Secret".to_owned(),
        Effect::RequestCertificate(_) => "request certificate".to_owned(),
        Effect::PatchHost(patch) => format!("patch host {}", patch.subresource.unwrap_or("pod")),
        Effect::PatchVirtual(patch) => format!("patch virtual {}", patch.subresource.unwrap_or("pod")),
        Effect::Bind(bind) => format!("bind {}", bind.node),
        Effect::Delete(deletion) => {
            let grace = deletion.grace().map(|grace| format!(" {grace}")).unwrap_or_default();
            format!("delete {} {}{grace}", deletion.target().side, deletion.target().kind)
        }
        Effect::Emit(event) => event.reason.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn yaml(text: &str) -> Value {
    let clusters = Clusters::default()
        .with(Side::Host, &format!("kind: Pod\nmetadata: {{name: text}}\nroot:\n{}", indented(text)));
    clusters.object(Side::Host, kinds::POD, "", "text").unwrap().value()["root"].clone()
}

fn indented(text: &str) -> String {
    format!("  {}", text.replace('\n', "\n  "))
}

/// The pod that the fixture says the host has, with the digest that no fixture can know.
pub(super) fn expected_host(tolerations: &str) -> Value {
    let names = Clusters::default().look(|cx| cx.facts().names.clone());
    let host = HOST.replace("TOLERATIONS", tolerations).replace("API_ENV", &names.api_env_name());
    yaml(&host.replace("SERVICE_ENV", &names.service_env_name("shop", 0)))
}

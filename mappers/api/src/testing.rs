//! The test kit: both clusters in memory, so that a mapper is tested with
//! two YAML texts and no server.

mod role;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tenet_translate::GroupKind;
use tenet_translate::keys::{CHECKSUM, CLUSTER as CLUSTER_KEY, KIND, NAME, NAMESPACE, UID};
use tenet_translate::kubelets::NodeAddresses;
use tenet_translate::labels::{Globs, LabelPolicy};
use tenet_translate::names::{NameScheme, Names};
use tenet_translate::owner::OwnerRecord;
use tenet_translate::rules::Defaults;

use crate::plan::{MintedToken, Payload, PlanContext, Proof, Write};
use crate::{
    Bound, Contents, Context, Effect, Facts, HostKey, KeysOf, Kind, Kubelets, MapError, Mapper, MapperSpec, MintTokens,
    Object, ObjectRef, Outcome, Policies, Projection, Reading, Sections, Side, TokenRequest, View, VirtualKey, patch,
    plan,
};

pub use role::rules;

/// The host namespace of a [`Clusters`].
pub const HOST_NAMESPACE: &str = "team-a";
/// The UID of the host namespace.
pub const HOST_NAMESPACE_UID: &str = "00000000-0000-0000-0000-0000000005a1";
/// The name of its virtual cluster.
pub const CLUSTER: &str = "vc-1";
/// The id of its virtual cluster.
pub const CLUSTER_ID: &str = "00000000-0000-0000-0000-00000000c1d0";

/// The word `key` in base64, which base64 may follow.
const PRIVATE_KEY: &str = "a2V5";

/// Number of times that the engine reads content for one reconcile.
const ROUNDS: usize = 3;

/// Both clusters, in memory.
///
/// ```
/// use tenet_mapper::testing::Clusters;
/// use tenet_mapper::{Side, kinds};
///
/// const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}}";
/// let clusters = Clusters::default().with(Side::Virtual, POD);
/// assert!(clusters.object(Side::Virtual, kinds::POD, "shop", "web").is_some());
/// ```
pub struct Clusters {
    objects: BTreeMap<(Side, GroupKind, String, String), Object>,
    gone: BTreeMap<(GroupKind, HostKey), Object>,
    referenced: BTreeSet<(GroupKind, VirtualKey)>,
    unreadable: BTreeSet<(Side, GroupKind)>,
    readings: BTreeMap<(GroupKind, String), Reading>,
    spec: Option<MapperSpec>,
    /// True while a mapper is asked, which may read its inputs alone.
    deciding: bool,
    defaults: Arc<Defaults>,
    facts: Facts,
    now: i64,
}

impl Default for Clusters {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            gone: BTreeMap::new(),
            referenced: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            readings: BTreeMap::new(),
            spec: None,
            deciding: false,
            defaults: Arc::default(),
            facts: Facts {
                names: Names::new(CLUSTER, HOST_NAMESPACE, NameScheme::Tenet),
                cluster_id: CLUSTER_ID.to_owned(),
                host_namespace_uid: HOST_NAMESPACE_UID.to_owned(),
                virtual_version: "v1.37.2".to_owned(),
                annotations: Globs::default(),
                labels: LabelPolicy::default(),
                api_service: CLUSTER.to_owned(),
                kubelets: Kubelets { enabled: false, addresses: NodeAddresses::Service, port: 10250 },
                policies: Policies::default(),
                mappers: BTreeSet::new(),
                sections: Sections::default(),
                reservation: 90,
            },
            now: 1_800_000_000,
        }
    }
}

impl Clusters {
    /// Adds objects to one side: YAML documents, or JSON. Missing UIDs, resource
    /// versions and checksums of owner records are made up.
    ///
    /// # Panics
    /// Panics when the text is no YAML: a test has no better use for it.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{Side, kinds};
    ///
    /// const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}}";
    /// let clusters = Clusters::default().with(Side::Virtual, POD);
    /// assert_eq!(clusters.object(Side::Virtual, kinds::POD, "shop", "web").unwrap().uid(), "uid-virtual-shop-web");
    /// ```
    #[must_use]
    #[allow(clippy::panic)] // A test kit fails tests.
    pub fn with(mut self, side: Side, documents: &str) -> Self {
        for document in documents.split("\n---") {
            let value: Value = serde_saphyr::from_str(document)
                .unwrap_or_else(|error| panic!("the fixture is no YAML: {error}\n{document}"));
            if !value.is_null() {
                self.put(side, value);
            }
        }
        self
    }

    /// Sets a section of the configuration.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    ///
    /// #[derive(Default)]
    /// struct Quotas { pods: u32 }
    ///
    /// let clusters = Clusters::default().section(Quotas { pods: 5 });
    /// assert_eq!(clusters.look(|cx| cx.section::<Quotas>().pods), 5);
    /// ```
    #[must_use]
    pub fn section<T: Send + Sync + 'static>(self, section: T) -> Self {
        self.facts(|facts| facts.sections.set(section))
    }

    /// Changes what is fixed: configuration, policy, names.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    ///
    /// let clusters = Clusters::default().facts(|facts| facts.cluster_id = "other".to_owned());
    /// assert_eq!(clusters.look(|cx| cx.facts().cluster_id.clone()), "other");
    /// ```
    #[must_use]
    pub fn facts(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.facts);
        self
    }

    /// Makes a virtual object one that others refer to.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{VirtualKey, kinds};
    ///
    /// let clusters = Clusters::default().referenced(kinds::SECRET, "shop", "cert");
    /// assert!(clusters.look(|cx| cx.is_referenced(kinds::SECRET, &VirtualKey::new("shop", "cert"))));
    /// ```
    #[must_use]
    pub fn referenced(mut self, kind: Kind, namespace: &str, name: &str) -> Self {
        self.referenced.insert((kind.group_kind(), VirtualKey::new(namespace, name)));
        self
    }

    /// Takes away the right to read an optional input.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{Side, kinds};
    ///
    /// let clusters = Clusters::default().unreadable(Side::Host, kinds::NODE);
    /// assert!(!clusters.look(|cx| cx.can_read(Side::Host, kinds::NODE)));
    /// ```
    #[must_use]
    pub fn unreadable(mut self, side: Side, kind: Kind) -> Self {
        self.unreadable.insert((side, kind.group_kind()));
        self
    }

    /// Sets the state of what the mapper reads elsewhere in a host namespace; see [`crate::Elsewhere`].
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{Reading, kinds};
    ///
    /// let clusters = Clusters::default().reading(kinds::SERVICE, "shared", Reading::Forbidden);
    /// assert_eq!(clusters.look(|cx| cx.reading(kinds::SERVICE, "shared")), Reading::Forbidden);
    /// ```
    #[must_use]
    pub fn reading(mut self, kind: Kind, namespace: &str, reading: Reading) -> Self {
        self.readings.insert((kind.group_kind(), namespace.to_owned()), reading);
        self
    }

    /// Sets the time, in unix seconds.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    ///
    /// assert_eq!(Clusters::default().at(42).look(|cx| cx.now()), 42);
    /// ```
    #[must_use]
    pub fn at(mut self, now: i64) -> Self {
        self.now = now;
        self
    }

    /// Sets the learnt defaults.
    #[must_use]
    pub fn defaults(mut self, defaults: Defaults) -> Self {
        self.defaults = Arc::new(defaults);
        self
    }

    /// Adds or replaces one object. Without a resource version it gets one that no earlier state of the object had, as
    /// from an API server.
    ///
    /// ```
    /// use serde_json::json;
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{Side, kinds};
    ///
    /// let mut clusters = Clusters::default();
    /// clusters.put(Side::Host, json!({"kind": "Node", "metadata": {"name": "node-1"}}));
    /// assert!(clusters.object(Side::Host, kinds::NODE, "", "node-1").is_some());
    /// ```
    pub fn put(&mut self, side: Side, mut value: Value) {
        let text = |value: &Value, member: &str| value["metadata"][member].as_str().unwrap_or_default().to_owned();
        let (kind, namespace, name) = (kind_of(&value), text(&value, "namespace"), text(&value, "name"));
        let object_key = (side, kind, namespace.clone(), name.clone());
        let version = self.objects.get(&object_key).and_then(|found| found.resource_version().parse::<u64>().ok());
        let version = version.unwrap_or_default() + 1;
        for (member, made_up) in
            [("uid", format!("uid-{side}-{namespace}-{name}")), ("resourceVersion", version.to_string())]
        {
            if text(&value, member).is_empty() {
                value["metadata"][member] = Value::String(made_up);
            }
        }
        if side == Side::Host {
            seal(&mut value);
        }
        self.objects.insert(object_key, Object::new(value));
    }

    /// Removes a host object and keeps its last state, as the engine does.
    pub fn vanish(&mut self, kind: Kind, key: &HostKey) {
        let object_key = (Side::Host, kind.group_kind(), key.namespace().to_owned(), key.name().to_owned());
        if let Some(object) = self.objects.remove(&object_key) {
            self.gone.insert((kind.group_kind(), key.clone()), object);
        }
    }

    /// One object.
    pub fn object(&self, side: Side, kind: Kind, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.get(&(side, kind.group_kind(), namespace.to_owned(), name.to_owned()))
    }

    /// Shows these clusters to something that needs no key: an admission, for one.
    ///
    /// ```
    /// use tenet_mapper::testing::{CLUSTER, Clusters};
    ///
    /// assert_eq!(Clusters::default().look(|cx| cx.facts().names.cluster.clone()), CLUSTER);
    /// ```
    pub fn look<T>(&self, look: impl FnOnce(&Context<'_>) -> T) -> T {
        look(&Context::new(self, &self.facts, self.now))
    }

    /// Runs one reconcile. Content that the mapper asks for is read from these clusters.
    ///
    /// ```
    /// use tenet_mapper::rules::{HEAD, Table, copy};
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{CopyMapper, MapperSpec, Side, kinds};
    ///
    /// let table = Table::new(&[("", HEAD), ("", &[copy("data").whole().kept()])]).unwrap();
    /// let mapper = CopyMapper::of_table(MapperSpec::both_sides("settings", kinds::CONFIG_MAP, table));
    /// let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {k: v}}";
    /// let mut clusters = Clusters::default().with(Side::Virtual, map);
    /// assert_eq!(clusters.reconcile(&mapper, "shop", "a").unwrap().effects().len(), 1);
    /// ```
    ///
    /// # Panics
    /// Panics when an effect needs a right that the spec of the mapper does not declare: in a cluster,
    /// with the Role that is generated from the spec, it would be forbidden.
    pub fn reconcile(&mut self, mapper: &dyn Mapper, namespace: &str, name: &str) -> Result<Outcome, MapError> {
        let outcome = self.decide(mapper, namespace, name)?;
        for effect in outcome.effects() {
            let undeclared: Vec<_> = mapper.spec().undeclared(effect).iter().map(ToString::to_string).collect();
            let (name, target) = (mapper.spec().id, effect.target());
            assert!(undeclared.is_empty(), "the mapper {name} does not declare {undeclared:?} for {target}");
        }
        Ok(outcome)
    }

    fn decide(&mut self, mapper: &dyn Mapper, namespace: &str, name: &str) -> Result<Outcome, MapError> {
        self.spec = Some(mapper.spec().clone());
        self.deciding = true;
        let outcome = self.read_and_decide(mapper, namespace, name);
        self.deciding = false;
        outcome
    }

    fn read_and_decide(&self, mapper: &dyn Mapper, namespace: &str, name: &str) -> Result<Outcome, MapError> {
        let (facts, key) = (self.facts.clone(), VirtualKey::new(namespace, name));
        let mut contents = Contents::default();
        for _ in 0..ROUNDS {
            let outcome = mapper.reconcile(&Context::new(self, &facts, self.now).with(&contents), &key);
            let Err(MapError::NeedsContent(reads)) = outcome else { return outcome };
            for read in reads {
                let object =
                    self.object(read.object.side, read.object.kind, &read.object.namespace, &read.object.name).cloned();
                contents.insert(read, object);
            }
        }
        mapper.reconcile(&Context::new(self, &facts, self.now).with(&contents), &key)
    }

    /// Reconciles and performs the effects on these clusters, until nothing changes. Answers with
    /// how many writes there were, not counting events. What an API server would add or take
    /// away by itself does not happen.
    ///
    /// ```
    /// use tenet_mapper::rules::{HEAD, Table, copy};
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{CopyMapper, MapperSpec, Side, kinds};
    ///
    /// let table = Table::new(&[("", HEAD), ("", &[copy("data").whole().kept()])]).unwrap();
    /// let mapper = CopyMapper::of_table(MapperSpec::both_sides("settings", kinds::CONFIG_MAP, table));
    /// let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {k: v}}";
    /// let mut clusters = Clusters::default().with(Side::Virtual, map);
    /// assert_eq!(clusters.converge(&mapper, "shop", "a").unwrap(), 1);
    /// assert_eq!(clusters.converge(&mapper, "shop", "a").unwrap(), 0, "at rest nothing is written");
    /// ```
    pub fn converge(&mut self, mapper: &dyn Mapper, namespace: &str, name: &str) -> Result<usize, MapError> {
        let mut writes = 0;
        for _ in 0..16 {
            let outcome = self.reconcile(mapper, namespace, name)?;
            let mut done = 0;
            for effect in outcome.into_effects() {
                done += self.try_perform(&effect)?;
            }
            writes += done;
            if done == 0 {
                return Ok(writes);
            }
        }
        Err(MapError::Malformed(format!("{namespace}/{name} does not come to rest")))
    }

    /// Performs one effect with the requests that the engine would send, and answers with how
    /// many of them changed something, not counting events.
    ///
    /// # Panics
    /// Panics when the engine would refuse the effect: the object is foreign, or not what was seen.
    #[allow(clippy::panic)] // A test kit fails tests.
    #[allow(clippy::needless_pass_by_value)] // An effect is performed once.
    pub fn perform(&mut self, effect: Effect) -> usize {
        self.try_perform(&effect).unwrap_or_else(|error| panic!("{error}: {effect:?}"))
    }

    /// As [`Self::perform`], with the error of the plan.
    pub fn try_perform(&mut self, effect: &Effect) -> Result<usize, MapError> {
        let with_keys = match effect {
            Effect::MintTokens(mint) => Some(Effect::MintTokens(Box::new(with_keys(mint)))),
            _ => None,
        };
        let effect = with_keys.as_ref().unwrap_or(effect);
        let minted = match effect {
            Effect::MintTokens(mint) => mint.tokens.iter().map(|token| self.mint(token)).collect(),
            _ => Vec::new(),
        };
        let target = effect.target();
        let cached = self.object(target.side, target.kind, &target.namespace, &target.name).cloned();
        let cx = PlanContext { facts: &self.facts, projection: &Projection::Whole, minted: &minted };
        let writes = plan::plan(effect, cached.as_ref(), &cx)?;
        if let Some(cached) = &cached
            && let Some(proof) = plan::proof(effect, cached, &self.facts)?
        {
            self.prove(&proof, cached)?;
        }
        let changed: usize = writes.iter().map(|write| usize::from(self.store(effect, write))).sum();
        Ok(if matches!(effect, Effect::Emit(_)) { 0 } else { changed })
    }

    /// Checks what the gate asks the API servers before an effect.
    fn prove(&self, proof: &Proof, written: &Object) -> Result<(), MapError> {
        let (twin, is_there) = match proof {
            Proof::Absent { twin, uid } => {
                (twin, self.get(twin).is_some_and(|found| uid.is_empty() || found.uid() == uid))
            }
            Proof::NoCopy { copy } => {
                let last = self.last_state(copy.kind, &HostKey::new(&*copy.namespace, &*copy.name));
                let is_copy = |found| plan::may_be_copy(&found, written, last.as_ref(), &self.facts);
                (copy, self.get(copy).is_some_and(is_copy))
            }
            Proof::Known { .. } => return Ok(()),
        };
        if is_there { Err(MapError::Conflict(format!("{twin} still exists"))) } else { Ok(()) }
    }

    /// A token that every pod gets.
    fn mint(&self, request: &TokenRequest) -> MintedToken {
        MintedToken { data: "dG9rZW4=".to_owned(), issued: self.now, expires: self.now + request.expiration_seconds }
    }

    /// Returns true if a request changes something.
    fn store(&mut self, effect: &Effect, write: &Write) -> bool {
        let ObjectRef { side, kind, namespace, name } = &write.target;
        let object_key = (*side, kind.group_kind(), namespace.to_string(), name.to_string());
        let found = self.objects.get(&object_key).map(Object::value).cloned();
        let changed = match (effect, &found, &write.payload) {
            (_, _, Payload::Delete(_)) => return self.objects.remove(&object_key).is_some(),
            (Effect::Bind(bind), Some(found), _) => {
                let mut bound = found.clone();
                plan::note_binding(&mut bound, bind);
                Some(bound)
            }
            (_, None, Payload::Create { object, .. }) => Some(object.clone()),
            (_, Some(_), Payload::Create { .. }) | (_, None, _) => None,
            (_, Some(found), payload) => server::change(found, payload),
        };
        let Some(changed) = changed else { return false };
        let differs = found.is_none_or(|found| !patch::same(&found, &changed));
        self.put(*side, changed);
        differs
    }
}

/// Puts the private key that every Secret gets into its files.
fn with_keys(mint: &MintTokens) -> MintTokens {
    let mut mint = mint.clone();
    for key in std::mem::take(&mut mint.keys) {
        mint.files.insert(key.data_key, PRIVATE_KEY.to_owned());
        mint.files.extend(key.joined.map(|(data_key, rest)| (data_key, format!("{PRIVATE_KEY}{rest}"))));
    }
    mint
}

impl Clusters {
    /// Panics when a mapper reads a kind that is none of its inputs: the engine may not watch it.
    fn assert_declared(&self, side: Side, kind: Kind) {
        let Some(spec) = self.spec.as_ref().filter(|_| self.deciding) else { return };
        let is_elsewhere = side == Side::Host && spec.elsewhere.iter().any(|it| it.kind == kind.group_kind());
        let is_declared =
            is_elsewhere || spec.inputs.iter().any(|input| input.side == side && input.kind == kind.group_kind());
        assert!(is_declared, "the mapper {} reads {kind} in the {side} cluster, which is none of its inputs", spec.id);
    }
}

impl View for Clusters {
    fn get(&self, object: &ObjectRef) -> Option<Object> {
        self.assert_declared(object.side, object.kind);
        self.object(object.side, object.kind, &object.namespace, &object.name).cloned()
    }

    fn list(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Object> {
        self.assert_declared(side, kind);
        self.all(side, kind).filter(|object| object.namespace() == namespace).cloned().collect()
    }

    fn last_state(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.gone.get(&(kind.group_kind(), key.clone())).cloned()
    }

    fn visit_sources(&self, input: Bound, key: &VirtualKey, visit: &mut dyn FnMut(Object) -> bool) {
        let keys = self.spec.as_ref().and_then(|spec| spec.inputs.get(input.position)).map(|input| input.keys);
        let Some(KeysOf::With(keys_of)) = keys else { return };
        for object in self.all(input.side, input.kind).filter(|object| keys_of(object).contains(key)) {
            if !visit(object.clone()) {
                return;
            }
        }
    }

    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.referenced.contains(&(kind.group_kind(), key.clone()))
    }

    fn can_read(&self, side: Side, kind: Kind) -> bool {
        !self.unreadable.contains(&(side, kind.group_kind()))
    }

    fn reading(&self, kind: Kind, namespace: &str) -> Reading {
        let known = self.readings.get(&(kind.group_kind(), namespace.to_owned()));
        known.copied().unwrap_or(Reading::Listed)
    }

    fn defaults(&self, _kind: Kind) -> Arc<Defaults> {
        Arc::clone(&self.defaults)
    }
}

impl Clusters {
    fn all(&self, side: Side, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(move |(object_key, _)| object_key.0 == side && object_key.1 == kind.group_kind())
            .map(|(_, object)| object)
    }
}

/// The kind that a fixture names: text of the test, so it may be interned.
fn kind_of(object: &Value) -> GroupKind {
    let text = |member: &str| object[member].as_str().unwrap_or_default();
    let (group, _) = text("apiVersion").split_once('/').unwrap_or_default();
    GroupKind::intern(group, text("kind"))
}

/// Adds the checksum to an owner record that lacks it.
fn seal(host: &mut Value) {
    let metadata = &host["metadata"];
    let text = |key: &str| metadata["annotations"][key].as_str().unwrap_or_default().to_owned();
    let Some(kind) = GroupKind::lookup(&text(KIND)).filter(|_| text(CHECKSUM).is_empty()) else { return };
    let record =
        OwnerRecord { cluster: text(CLUSTER_KEY), kind, namespace: text(NAMESPACE), name: text(NAME), uid: text(UID) };
    let own = |member: &str| metadata[member].as_str().unwrap_or_default();
    let mut sealed = record.annotations(own("namespace"), own("name"));
    if let Some(checksum) = sealed.remove(CHECKSUM) {
        host["metadata"]["annotations"][CHECKSUM] = checksum;
    }
}

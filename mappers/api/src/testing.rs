//! The test kit: both clusters in memory, so that a mapper is tested with
//! two YAML texts and no server.

mod fixtures;
mod perform;
mod role;
mod server;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tenet_translate::GroupKind;
use tenet_translate::kubelets::NodeAddresses;
use tenet_translate::labels::{Globs, LabelPolicy};
use tenet_translate::names::{NameScheme, Names};
use tenet_translate::rules::Defaults;

use crate::{
    Contents, Context, Facts, HostKey, Kind, Kubelets, MapError, Mapper, MapperSpec, Object, Outcome, Policies,
    Reading, Sections, Side, VirtualKey,
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
    mentioned: BTreeSet<(GroupKind, VirtualKey)>,
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
            mentioned: BTreeSet::new(),
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

    /// Makes a virtual object one that others refer to of which it is not known whether they may be on the host.
    ///
    /// ```
    /// use tenet_mapper::testing::Clusters;
    /// use tenet_mapper::{VirtualKey, kinds};
    ///
    /// let (clusters, key) = (Clusters::default().mentioned(kinds::SECRET, "shop", "cert"), VirtualKey::new("shop", "cert"));
    /// assert!(clusters.look(|cx| cx.is_mentioned(kinds::SECRET, &key) && !cx.is_referenced(kinds::SECRET, &key)));
    /// ```
    #[must_use]
    pub fn mentioned(mut self, kind: Kind, namespace: &str, name: &str) -> Self {
        self.mentioned.insert((kind.group_kind(), VirtualKey::new(namespace, name)));
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
}

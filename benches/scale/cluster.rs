//! A virtual cluster in the caches of the engine: pods, their host pods, and Services.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use serde_json::{Value, json};
use tenet_core_mappers::Dns;
use tenet_mapper::rules::Defaults;
use tenet_mapper::testing::{CLUSTER, CLUSTER_ID, Clusters, HOST_NAMESPACE};
use tenet_mapper::{
    Bound, Context, Facts, HostKey, Kind, MapperId, Object, ObjectRef, Projection, Side, View, VirtualKey, kinds,
};
use tenet_syncer::bench::{Again, Cache, Change, Mappers, Queue, Router};

/// Pods, and Services, of each virtual namespace.
pub const IN_NAMESPACE: usize = 10;
/// Pods on each host node.
const ON_NODE: usize = 100;
const NOW: i64 = 1_800_000_000;

/// The caches, the router and the queue, with the built-in mappers.
pub struct Cluster {
    mappers: Arc<Mappers>,
    queue: Arc<Queue>,
    router: Router,
    caches: HashMap<(Side, Kind), Cache>,
    facts: Facts,
    pod: Value,
    version: u64,
}

impl Cluster {
    /// A cluster at rest with so many pods.
    pub fn new(pods: usize) -> Self {
        let mappers = Arc::new(Mappers::new(tenet_core_mappers::all()).expect("the built-in mappers get along"));
        let queue = Arc::new(Queue::default());
        let router = Router::new(Arc::clone(&mappers), Arc::clone(&queue), CLUSTER, CLUSTER_ID);
        mappers.iter().for_each(|mapper| router.start(mapper.spec().id));
        let caches = caches(&mappers, &router);
        let template = Clusters::default().with(Side::Virtual, include_str!("../pod.yaml"));
        let template = template.object(Side::Virtual, kinds::POD, "default", "nginx").expect("the pod");
        let mut all =
            Self { mappers, queue, router, caches, facts: facts(), pod: template.value().clone(), version: 0 };
        let api = json!({"clusterIP": "10.96.0.20", "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]});
        all.event(
            Side::Host,
            kinds::SERVICE,
            json!({"metadata": {"namespace": HOST_NAMESPACE, "name": CLUSTER}, "spec": api}),
        );
        for number in 0..pods {
            let (service, pod) = (service(number), all.pod(number));
            let host = all.host_pod(number, &pod, "0");
            all.event(Side::Virtual, kinds::SERVICE, service);
            all.event(Side::Virtual, kinds::POD, pod);
            all.event(Side::Host, kinds::POD, host);
        }
        all.drain(|_, _| {});
        all
    }

    /// The virtual pod of this number.
    pub fn pod(&self, number: usize) -> Value {
        let mut pod = self.pod.clone();
        pod["metadata"]["namespace"] = namespace(number).into();
        pod["metadata"]["name"] = format!("pod-{number}").into();
        pod["metadata"]["uid"] = format!("uid-{number}").into();
        pod["spec"]["nodeName"] = node(number).into();
        pod
    }

    /// The host pod of a virtual one, with a status that tells `since`.
    pub fn host_pod(&self, number: usize, pod: &Value, since: &str) -> Value {
        let cx = Context::new(self, &self.facts, NOW);
        let virt = Object::new(pod.clone());
        let key = cx.host_key(kinds::POD, &VirtualKey::new(virt.namespace(), virt.name()));
        let mut host = json!({"metadata": cx.metadata(kinds::POD, &virt, &key), "spec": pod["spec"]});
        host["metadata"]["uid"] = format!("host-{number}").into();
        host["status"] = json!({
            "phase": "Running", "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}], "podIP": "10.244.0.9",
            "containerStatuses": [{"name": "nginx", "ready": true, "state": {"running": {"startedAt": since}}}],
        });
        host
    }

    /// An object as the watch brings it.
    pub fn event(&mut self, side: Side, kind: Kind, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let cache = &self.caches[&(side, kind)];
        if let Change::Stored(object, sight) = cache.store(object) {
            self.router.changed(cache, &object, &sight);
        }
    }

    /// The end of an object as the watch brings it.
    pub fn removed(&mut self, side: Side, kind: Kind, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let cache = &self.caches[&(side, kind)];
        if let Some(last) = cache.remove(&object) {
            self.router.gone(cache, &last);
        }
    }

    /// Takes all keys that are ready from the queue.
    pub fn drain(&self, mut work: impl FnMut(MapperId, &VirtualKey)) {
        while let Some(ticket) = self.queue.pop().now_or_never() {
            work(ticket.key.mapper, &ticket.key.object);
            self.queue.done(&ticket.key, Again::No);
        }
    }

    /// Asks the mapper of every key that is ready. Returns how many effects they want.
    pub fn reconcile(&self) -> usize {
        let mut effects = 0;
        self.drain(|mapper, key| {
            let view = Seen { cluster: self, mapper };
            let mapper = self.mappers.get(mapper).expect("a mapper");
            let outcome = mapper.reconcile(&Context::new(&view, &self.facts, NOW), key);
            effects += outcome.map_or(0, |outcome| outcome.effects().len());
        });
        effects
    }

    /// The Services of one namespace.
    pub fn services(&self, namespace: &str) -> Vec<Object> {
        self.list(Side::Virtual, kinds::SERVICE, namespace)
    }
}

/// The caches as one mapper sees them.
struct Seen<'c> {
    cluster: &'c Cluster,
    mapper: MapperId,
}

impl View for Seen<'_> {
    fn get(&self, object: &ObjectRef) -> Option<Object> {
        self.cluster.get(object)
    }

    fn list(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Object> {
        self.cluster.list(side, kind, namespace)
    }

    fn last_state(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.cluster.last_state(kind, key)
    }

    fn visit_sources(&self, input: Bound, key: &VirtualKey, visit: &mut dyn FnMut(Object) -> bool) {
        let cache = &self.cluster.caches[&(input.side, input.kind)];
        self.cluster.router.visit_sources(self.mapper, input.position, key, |object_key| {
            cache.get_at(object_key).is_none_or(&mut *visit)
        });
    }

    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        self.cluster.is_referenced(kind, key)
    }

    fn can_read(&self, side: Side, kind: Kind) -> bool {
        self.cluster.can_read(side, kind)
    }

    fn defaults(&self, kind: Kind) -> Arc<Defaults> {
        self.cluster.defaults(kind)
    }
}

impl View for Cluster {
    fn get(&self, object: &ObjectRef) -> Option<Object> {
        self.caches.get(&(object.side, object.kind))?.get(&object.namespace, &object.name)
    }

    fn list(&self, side: Side, kind: Kind, namespace: &str) -> Vec<Object> {
        self.caches.get(&(side, kind)).map(|cache| cache.list(namespace)).unwrap_or_default()
    }

    fn last_state(&self, kind: Kind, key: &HostKey) -> Option<Object> {
        self.router.last_states().get(kind, key)
    }

    fn visit_sources(&self, _: Bound, _: &VirtualKey, _: &mut dyn FnMut(Object) -> bool) {}

    fn is_referenced(&self, kind: Kind, key: &VirtualKey) -> bool {
        // Everything is admitted here.
        self.router.is_mentioned(kind, key)
    }

    fn can_read(&self, _: Side, kind: Kind) -> bool {
        kind != kinds::NODE
    }

    fn defaults(&self, _: Kind) -> Arc<Defaults> {
        Arc::default()
    }
}

/// The namespace of the pod, or Service, of this number.
pub fn namespace(number: usize) -> String {
    format!("team-{}", number / IN_NAMESPACE)
}

fn node(number: usize) -> String {
    format!("node-{}", number / ON_NODE)
}

fn service(number: usize) -> Value {
    json!({
        "metadata": {"namespace": namespace(number), "name": format!("service-{number}"), "uid": format!("s-{number}")},
        "spec": {"clusterIP": "10.96.7.7", "type": "ClusterIP", "selector": {"app": "nginx"},
                 "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]},
    })
}

/// One cache per side and kind that a mapper reads, as the supervisor makes them.
fn caches(mappers: &Mappers, router: &Router) -> HashMap<(Side, Kind), Cache> {
    let mut plans: HashMap<(Side, Kind), Projection> = HashMap::new();
    for input in mappers.iter().flat_map(|mapper| mapper.spec().inputs.clone()) {
        let plan = plans.entry((input.side, input.kind)).or_insert_with(|| input.projection);
        *plan = plan.union(&input.projection);
    }
    let cache = |((side, kind), projection)| {
        let cache = Cache::new(side, kind, projection);
        cache.read_through(router.readers(side, kind));
        ((side, kind), cache)
    };
    plans.into_iter().map(cache).collect()
}

fn facts() -> Facts {
    let mut facts = None;
    let clusters = Clusters::default().section(Dns { address: Some([10, 96, 0, 10].into()), ..Dns::default() });
    drop(clusters.facts(|of_kit| facts = Some(of_kit.clone())));
    facts.expect("the facts of the test kit")
}

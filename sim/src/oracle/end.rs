//! The state at the end, when nothing moves any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tenet_mapper::kinds;

use super::down::mounts;
use super::pods::is_told;
use super::{Oracle, Promise, Record, record};
use crate::api::Object;
use crate::network::Clusters;
use crate::script::{Act, Name, Script, What};
use crate::world::{FOREIGN, controller, is_finished, is_used};

impl Oracle {
    /// Checks that both sides agree.
    pub fn check_end(&mut self, clusters: &Clusters) {
        for (promise, why) in self.differences(clusters) {
            self.fail(promise, why);
        }
    }

    /// Returns true if both sides agree.
    pub fn agrees(&self, clusters: &Clusters) -> bool {
        self.differences(clusters).is_empty()
    }

    fn differences(&self, clusters: &Clusters) -> Vec<(Promise, String)> {
        let mut found = Vec::new();
        for pod in clusters.virt.list(kinds::POD, "") {
            if let Err(why) = self.check_pod(&pod, clusters) {
                found.push((Promise::End, format!("pod {}/{}: {why}", pod.namespace(), pod.name())));
            }
        }
        for what in [What::ConfigMap, What::Secret, What::Service, What::Slice] {
            for copy in clusters.host.list(what.kind(), &self.namespace) {
                if let Err(why) = self.check_copy(what, &copy, clusters) {
                    found.push((Promise::End, format!("host {what:?} {}: {why}", copy.name())));
                }
            }
        }
        for service in clusters.virt.list(kinds::SERVICE, "") {
            let has_copy = || {
                self.copies(clusters, What::Service).any(|copy| record(&copy).is_some_and(|r| r.uid == service.uid()))
            };
            if service.name() != "kubernetes" && !has_copy() && !self.is_taken(clusters, What::Service, &service) {
                let why = format!("Service {}/{} has no copy", service.namespace(), service.name());
                found.push((Promise::End, why));
            }
        }
        for what in [What::Pod, What::Service, What::ConfigMap, What::Secret] {
            let originals = clusters.virt.list(what.kind(), "");
            for original in originals.iter().filter(|original| self.should_cross(clusters, what, original)) {
                if self.is_held_by_others(clusters, what, original) && !is_told(clusters, original, "SyncBlocked") {
                    let (namespace, name) = (original.namespace(), original.name());
                    found
                        .push((Promise::Said, format!("no event says why {what:?} {namespace}/{name} does not cross")));
                }
            }
        }
        for claim in clusters.virt.list(kinds::PERSISTENT_VOLUME_CLAIM, "") {
            if let Err(why) = self.check_claim(&claim, clusters) {
                found.push((Promise::End, format!("claim {}/{}: {why}", claim.namespace(), claim.name())));
            }
        }
        for slice in clusters.virt.list(What::Slice.kind(), "") {
            let is_copy = |copy: Arc<Object>| record(&copy).is_some_and(|record| record.uid == slice.uid());
            let service = clusters.virt.get(kinds::SERVICE, slice.namespace(), slice.name());
            let is_needed =
                service.is_some_and(|service| !service.is_deleting() && service["spec"]["selector"].is_null());
            if is_needed && !slice.is_deleting() && !self.copies(clusters, What::Slice).any(is_copy) {
                let why = format!("EndpointSlice {}/{} has no copy", slice.namespace(), slice.name());
                found.push((Promise::End, why));
            }
        }
        found.extend(self.untold(clusters).into_iter().map(|why| (Promise::End, why)));
        found.extend(self.leaks(clusters));
        found
    }

    /// Returns every host object of ours whose original has gone.
    fn leaks(&self, clusters: &Clusters) -> Vec<(Promise, String)> {
        let mut found = Vec::new();
        for what in [What::Pod, What::ConfigMap, What::Secret, What::Service, What::Slice, What::Claim] {
            for copy in self.copies(clusters, what) {
                let Some(record) = self.ours(&copy) else { continue };
                let original = match record.kind.as_str() {
                    "Pod" => clusters.virt.get(kinds::POD, &record.namespace, &record.name),
                    "Node" => continue,
                    "Namespace" => clusters.virt.get(kinds::NAMESPACE, "", &record.name),
                    _ => clusters.virt.get(what.kind(), &record.namespace, &record.name),
                };
                if original.is_none_or(|original| original.uid() != record.uid) {
                    let why = format!("host {what:?} {} is left of {}/{}", copy.name(), record.namespace, record.name);
                    found.push((Promise::Leak, why));
                }
            }
        }
        found
    }

    /// Checks that the host ends what the tenant has deleted.
    pub fn check_prompt(&mut self, clusters: &Clusters) {
        for what in [What::Pod, What::Service] {
            let left = self.copies(clusters, what).find(|copy| {
                let ours = self.ours(copy).filter(|record| record.kind == what.kind().kind);
                ours.is_some_and(|record| {
                    let original = clusters.virt.get(what.kind(), &record.namespace, &record.name);
                    let is_alive = original.is_some_and(|found| found.uid() == record.uid && !found.is_deleting());
                    !is_alive && !copy.is_deleting()
                })
            });
            if let Some(copy) = left {
                let why = format!("the host {what:?} {} does not end with its original", copy.name());
                self.fail(Promise::Late, why);
            }
        }
    }

    /// Returns true if an object should have a copy on the host.
    fn should_cross(&self, clusters: &Clusters, what: What, original: &Object) -> bool {
        let is_mounted = || {
            let twins: Vec<_> = self.copies(clusters, What::Pod).filter_map(|twin| record(&twin)).collect();
            let pods = clusters.virt.list(kinds::POD, original.namespace());
            let mut needing = pods.iter().filter(|pod| {
                !pod.is_deleting() && !is_finished(pod) && mounts(pod, what.kind().kind, original.name())
            });
            needing.any(|pod| twins.iter().any(|twin| twin.uid == pod.uid()))
        };
        let is_content = matches!(what, What::ConfigMap | What::Secret);
        !original.is_deleting() && !is_finished(original) && (!is_content || is_mounted())
    }

    /// Returns true if somebody else has the name of a copy on the host.
    fn is_held_by_others(&self, clusters: &Clusters, what: What, original: &Object) -> bool {
        let found = self.under_its_name(clusters, what, original);
        found.is_some_and(|found| found["metadata"]["labels"]["app"] == FOREIGN)
    }

    /// Returns true if somebody else has the name of a copy on the host, or has damaged its record.
    pub(super) fn is_taken(&self, clusters: &Clusters, what: What, original: &Object) -> bool {
        let found = self.under_its_name(clusters, what, original);
        found.is_some_and(|found| record(&found).is_none_or(|record| record.uid != original.uid()))
    }

    /// Returns the object on the host that has the name of a copy of `original`.
    pub(super) fn under_its_name(&self, clusters: &Clusters, what: What, original: &Object) -> Option<Arc<Object>> {
        let name = format!("{}-x-{}-x-{}", original.name(), original.namespace(), crate::run::NAME);
        clusters.host.get(what.kind(), &self.namespace, &name)
    }

    pub(super) fn copies(&self, clusters: &Clusters, what: What) -> impl Iterator<Item = Arc<Object>> + use<> {
        clusters.host.list(what.kind(), &self.namespace).into_iter()
    }

    /// Returns the record of a host object, if it is one of ours.
    fn ours(&self, object: &Object) -> Option<Record> {
        record(object).filter(|record| record.cluster == self.cluster_id)
    }

    fn check_claim(&self, claim: &Object, clusters: &Clusters) -> Result<(), String> {
        let copies: Vec<_> = self
            .copies(clusters, What::Claim)
            .filter(|copy| record(copy).is_some_and(|record| record.uid == claim.uid()))
            .collect();
        // Somebody has deleted its copy, and a new one would be empty.
        if copies.is_empty() && claim["status"]["phase"] == "Lost" {
            return Ok(());
        }
        let [copy] = copies.as_slice() else { return Err(format!("it has {} copies", copies.len())) };
        for field in ["/spec/volumeName", "/status/phase"] {
            if claim.pointer(field) != copy.pointer(field) {
                return Err(format!("{field} differs from its copy"));
            }
        }
        if claim.is_deleting() && !is_used(&clusters.virt, claim) {
            return Err("its deletion has not ended".to_owned());
        }
        Ok(())
    }

    fn check_copy(&self, what: What, copy: &Object, clusters: &Clusters) -> Result<(), String> {
        let is_copy = |record: &Record| record.kind == what.kind().to_string();
        let Some(record) = self.ours(copy).filter(is_copy) else { return Ok(()) };
        let original = clusters.virt.get(what.kind(), &record.namespace, &record.name);
        let Some(original) = original.filter(|original| original.uid() == record.uid) else { return Ok(()) };
        let fields: &[&str] = match what {
            What::Service => &["/spec/clusterIP", "/spec/ports"],
            What::Slice => &["/endpoints/0/addresses", "/ports"],
            _ => &["/data"],
        };
        for field in fields {
            if original.pointer(field) != copy.pointer(field) {
                return Err(format!("{field} differs from its original"));
            }
        }
        Ok(())
    }
}

/// State of two clusters without everything that chance decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture(BTreeMap<String, Value>);

impl Picture {
    /// Takes the picture of two clusters after a script.
    pub fn take(script: &Script, clusters: &Clusters, namespace: &str) -> Self {
        let shaky = Shaky::of(script);
        let mut picture = BTreeMap::new();
        let shown =
            [What::ReplicaSet, What::Job, What::ConfigMap, What::Secret, What::Service, What::Slice, What::Claim];
        for what in shown {
            let objects = clusters.virt.list(what.kind(), "");
            // A claim that is deleted goes with the pods that mount it, which may end with their node.
            let is_open = |claim: &Object| what == What::Claim && shaky.all_pods && deletes(script, claim);
            let fixed = objects.into_iter().filter(|object| object.namespace() != "kube-system" && !is_open(object));
            for object in fixed {
                let value = match what {
                    What::Service => json!({"ports": object["spec"]["ports"], "labels": object["metadata"]["labels"]}),
                    What::Claim => json!({"phase": object["status"]["phase"], "deleting": object.is_deleting()}),
                    What::Slice => json!({"endpoints": object["endpoints"], "ports": object["ports"]}),
                    What::Job => json!({"succeeded": object["status"]["succeeded"]}),
                    What::ReplicaSet => {
                        json!({"replicas": object["spec"]["replicas"], "pods": pods(clusters, &object)})
                    }
                    _ => object["data"].clone(),
                };
                picture.insert(format!("virtual {what:?} {}/{}", object.namespace(), object.name()), value);
            }
        }
        for pod in clusters.virt.list(kinds::POD, "") {
            if controller(&pod).is_none()
                && !shaky.holds(What::Pod, pod.namespace(), pod.name())
                && !shaky.mounts(pod.namespace(), pod.name(), clusters)
            {
                let value = json!({"phase": pod["status"]["phase"], "labels": pod["metadata"]["labels"]});
                picture.insert(format!("virtual Pod {}/{}", pod.namespace(), pod.name()), value);
            }
        }
        for what in [What::Pod, What::ConfigMap, What::Secret, What::Service] {
            for copy in clusters.host.list(what.kind(), namespace) {
                let Some(record) = record(&copy) else { continue };
                let is_bare = what == What::Pod && is_bare(clusters, &record.namespace, &record.name);
                if record.kind != what.kind().kind
                    || (what == What::Pod && !is_bare)
                    || shaky.holds(what, &record.namespace, &record.name)
                    || shaky.mounts(&record.namespace, &record.name, clusters)
                    || !is_steady(what, &record.namespace, &record.name, clusters, &shaky)
                {
                    continue;
                }
                let value = match what {
                    What::Pod => json!({"labels": copy["metadata"]["labels"], "containers": containers(&copy)}),
                    What::Service => json!({"ports": copy["spec"]["ports"], "selector": copy["spec"]["selector"]}),
                    _ => json!({"data": copy["data"], "type": copy["type"]}),
                };
                picture.insert(format!("host {what:?} of {}/{}", record.namespace, record.name), value);
            }
        }
        Self(picture)
    }
}

/// Returns true if the tenant deletes a claim.
fn deletes(script: &Script, claim: &Object) -> bool {
    let name = Name::new(What::Claim, claim.namespace(), claim.name());
    script.steps.iter().any(|step| matches!(&step.act, Act::Delete(deleted, _) if *deleted == name))
}

/// Returns a difference between the picture of a run and that of the undisturbed one.
pub fn compare(run: &Picture, undisturbed: &Picture) -> Option<String> {
    let keys: BTreeSet<_> = run.0.keys().chain(undisturbed.0.keys()).collect();
    keys.into_iter().find_map(|key| {
        let (is, should) = (run.0.get(key), undisturbed.0.get(key));
        let text = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
        (is != should).then(|| format!("{key} is {}, and without faults {}", text(is), text(should)))
    })
}

/// Objects whose end depends on when something happened on the host.
struct Shaky {
    names: BTreeSet<(What, String, String)>,
    all_pods: bool,
}

impl Shaky {
    fn of(script: &Script) -> Self {
        let acts = script.steps.iter().map(|step| &step.act).filter(|act| !act.is_of_tenant());
        let mut shaky = Self { names: BTreeSet::new(), all_pods: false };
        for act in acts {
            shaky.all_pods |= matches!(act, Act::NodeDown(_));
            if let Some(name) = act.name() {
                shaky.names.insert((name.kind, name.namespace.clone(), name.name.clone()));
            }
        }
        shaky
    }

    /// Returns true for a pod that mounts such an object.
    fn mounts(&self, namespace: &str, pod: &str, clusters: &Clusters) -> bool {
        let Some(pod) = clusters.virt.get(kinds::POD, namespace, pod) else { return false };
        self.names.iter().any(|(what, of, name)| of == namespace && mounts(&pod, what.kind().kind, name))
    }

    fn holds(&self, what: What, namespace: &str, name: &str) -> bool {
        (what == What::Pod && self.all_pods) || self.names.contains(&(what, namespace.to_owned(), name.to_owned()))
    }
}

/// Returns false for a copy that exists only while a pod whose end is not fixed mounts it.
fn is_steady(what: What, namespace: &str, name: &str, clusters: &Clusters, shaky: &Shaky) -> bool {
    let kind = match what {
        What::ConfigMap => "ConfigMap",
        What::Secret => "Secret",
        _ => return true,
    };
    let is_fixed = |pod: &Arc<Object>| controller(pod).is_none() && !shaky.holds(What::Pod, namespace, pod.name());
    let is_needed = |pods: &[Arc<Object>]| pods.iter().any(|pod| !pod.is_deleting() && !is_finished(pod));
    let mut pods = clusters.virt.list(kinds::POD, namespace);
    pods.retain(|pod| mounts(pod, kind, name));
    let (fixed, open): (Vec<_>, Vec<_>) = pods.into_iter().partition(is_fixed);
    !fixed.is_empty() && (is_needed(&fixed) || !is_needed(&open))
}

fn is_bare(clusters: &Clusters, namespace: &str, name: &str) -> bool {
    clusters.virt.get(kinds::POD, namespace, name).is_some_and(|pod| controller(&pod).is_none())
}

fn pods(clusters: &Clusters, owner: &Object) -> usize {
    let pods = clusters.virt.list(kinds::POD, owner.namespace());
    pods.iter()
        .filter(|pod| controller(pod) == Some(owner.uid()) && !is_finished(pod) && pod["status"]["phase"] == "Running")
        .count()
}

fn containers(pod: &Object) -> Value {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .map(|container| json!({"name": container["name"], "image": container["image"], "args": container["args"]}))
        .collect()
}

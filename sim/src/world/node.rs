//! Scheduler and nodes of the host: pods get a node, run, end, and are lost with their node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tenet_mapper::kinds;
use tokio::time::Instant;

use super::{NODE, is_finished};
use crate::api::{Cluster, Object, PatchType};
use crate::clock::Clock;
use crate::random::Random;

/// Time after which the pods of a failed node are evicted, and time until they are gone.
const EVICTION: Duration = Duration::from_secs(40);

/// The nodes of the host, with their scheduler.
pub struct Nodes {
    host: Cluster,
    clock: Clock,
    random: Random,
    names: Vec<String>,
    /// Nodes that have failed, with the time.
    down: BTreeMap<String, Instant>,
    /// Instants at which pods reach their next state.
    due: BTreeMap<(String, Stage), Instant>,
    addresses: u32,
}

/// State that a pod reaches next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Bound,
    Started,
    /// Its readiness follows a condition of a gate.
    Gated,
    Ended,
    Stopped,
    Removed,
    Lost,
}

impl Nodes {
    /// Creates the nodes of a host.
    pub fn new(host: Cluster, clock: Clock, random: Random, count: u64) -> Self {
        let names: Vec<_> = (0..count).map(|index| format!("node-{index}")).collect();
        for name in &names {
            let labels = json!({"kubernetes.io/hostname": name});
            drop(host.create(NODE, kinds::NODE, "", json!({"metadata": {"name": name, "labels": labels}})));
            let status = json!({"status": {
                "conditions": conditions_of_node(true), "capacity": {"cpu": "8", "memory": "16Gi", "pods": "110"},
                "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
            }});
            drop(host.patch(NODE, kinds::NODE, ("", name), Some("status"), PatchType::Merge, status));
        }
        Self { host, clock, random, names, down: BTreeMap::new(), due: BTreeMap::new(), addresses: 0 }
    }

    /// Fails a node.
    pub fn fail(&mut self, index: usize) {
        let up = self.names.iter().filter(|name| !self.down.contains_key(*name)).count();
        if let Some(name) = self.names.get(index).filter(|_| up > 1) {
            let name = name.clone();
            self.show(&name, false);
            self.down.entry(name).or_insert_with(Instant::now);
        }
    }

    fn show(&self, name: &str, is_ready: bool) {
        let status = json!({"status": {"conditions": conditions_of_node(is_ready)}});
        drop(self.host.patch(NODE, kinds::NODE, ("", name), Some("status"), PatchType::Merge, status));
    }

    /// Brings a node back.
    pub fn recover(&mut self, index: usize) {
        if let Some(name) = self.names.get(index)
            && self.down.remove(name).is_some()
        {
            self.show(name, true);
        }
    }

    /// Brings all nodes back.
    pub fn heal(&mut self) {
        (0..self.names.len()).for_each(|index| self.recover(index));
    }

    /// Does what is due. Returns the instant at which something else is.
    pub fn act(&mut self) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut alive = BTreeSet::new();
        for pod in self.host.list(kinds::POD, "") {
            alive.insert(pod.uid().to_owned());
            let Some(stage) = self.stage(&pod) else { continue };
            let due = self.due(&pod, stage);
            if due <= Instant::now() {
                self.reach(&pod, stage);
                self.due.remove(&(pod.uid().to_owned(), stage));
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        self.due.retain(|(uid, _), _| alive.contains(uid));
        next
    }

    fn stage(&self, pod: &Object) -> Option<Stage> {
        let node = pod["spec"]["nodeName"].as_str();
        let Some(node) = node else { return (!pod.is_deleting()).then_some(Stage::Bound) };
        let is_down = self.down.contains_key(node);
        if !self.names.iter().any(|name| name == node) {
            return None;
        }
        if is_down {
            return Some(Stage::Lost);
        }
        if pod.is_deleting() {
            return Some(if is_finished(pod) || pod["status"]["startTime"].is_null() {
                Stage::Removed
            } else {
                Stage::Stopped
            });
        }
        if is_finished(pod) {
            return None;
        }
        if pod["status"]["phase"] == "Running" {
            if condition(pod, "Ready") != Some(is_ready(pod)) {
                return Some(Stage::Gated);
            }
            return run_time(pod).map(|_| Stage::Ended);
        }
        self.has_content(pod).then_some(Stage::Started)
    }

    fn due(&mut self, pod: &Object, stage: Stage) -> Instant {
        let key = (pod.uid().to_owned(), stage);
        if let Some(due) = self.due.get(&key) {
            // The grace period may have been shortened since.
            let grace = grace(pod).map(|grace| Instant::now() + grace).filter(|_| stage == Stage::Stopped);
            return grace.map_or(*due, |latest| latest.min(*due));
        }
        let delay = match stage {
            Stage::Bound => self.random.millis(5, 100),
            Stage::Started => self.random.millis(50, 2_000),
            Stage::Gated => self.random.millis(5, 500),
            Stage::Ended => run_time(pod).unwrap_or_default(),
            Stage::Stopped => {
                let stops = self.random.millis(10, 20_000);
                grace(pod).map_or(stops, |grace| grace.min(stops))
            }
            Stage::Removed => self.random.millis(1, 200),
            Stage::Lost => EVICTION,
        };
        let due = Instant::now() + delay;
        self.due.insert(key, due);
        due
    }

    fn reach(&mut self, pod: &Object, stage: Stage) {
        let (namespace, name) = (pod.namespace(), pod.name());
        match stage {
            Stage::Bound => {
                let up: Vec<_> = self.names.iter().filter(|name| !self.down.contains_key(*name)).cloned().collect();
                if let Some(node) = self.random.pick(&up) {
                    drop(self.host.bind(NODE, namespace, name, node));
                }
            }
            Stage::Started => {
                self.addresses += 1;
                let status = running(pod, self.addresses, &self.time());
                self.report(pod, &status);
            }
            Stage::Gated => {
                let status = json!({"conditions": conditions(pod, true, &self.time())});
                self.report(pod, &status);
            }
            Stage::Ended | Stage::Stopped => {
                let code = if stage == Stage::Ended { exit_code(pod) } else { 0 };
                let status = ended(pod, code, &self.time());
                self.report(pod, &status);
            }
            Stage::Removed => {
                let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid()}});
                drop(self.host.delete(NODE, kinds::POD, namespace, name, options));
            }
            Stage::Lost if pod.is_deleting() => {
                let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid()}});
                drop(self.host.delete(NODE, kinds::POD, namespace, name, options));
            }
            Stage::Lost => {
                let options = json!({"preconditions": {"uid": pod.uid()}});
                drop(self.host.delete(NODE, kinds::POD, namespace, name, options));
            }
        }
    }

    fn report(&self, pod: &Object, status: &Value) {
        let at = (pod.namespace(), pod.name());
        let body = json!({"metadata": {"uid": pod.uid()}, "status": status});
        drop(self.host.patch(NODE, kinds::POD, at, Some("status"), PatchType::Merge, body));
    }

    fn time(&self) -> String {
        let now = self.clock.now().replace_nanosecond(0);
        let text = now.ok().and_then(|now| now.format(&time::format_description::well_known::Rfc3339).ok());
        text.unwrap_or_default()
    }

    /// Returns true if the host has every ConfigMap and Secret that a pod mounts, and a volume for each of its claims.
    fn has_content(&self, pod: &Object) -> bool {
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let (mut needed, mut claims) = (Vec::new(), Vec::new());
        for volume in volumes {
            claims.extend(volume["persistentVolumeClaim"]["claimName"].as_str());
            let projected = volume["projected"]["sources"].as_array().into_iter().flatten();
            needed.extend(volume["configMap"]["name"].as_str().map(|name| (kinds::CONFIG_MAP, name)));
            needed.extend(volume["secret"]["secretName"].as_str().map(|name| (kinds::SECRET, name)));
            for source in projected {
                needed.extend(source["configMap"]["name"].as_str().map(|name| (kinds::CONFIG_MAP, name)));
                needed.extend(source["secret"]["name"].as_str().map(|name| (kinds::SECRET, name)));
            }
        }
        let is_bound = |name: &str| {
            let claim = self.host.get(kinds::PERSISTENT_VOLUME_CLAIM, pod.namespace(), name);
            claim.is_some_and(|claim| claim["status"]["phase"] == "Bound")
        };
        claims.into_iter().all(is_bound)
            && needed.iter().all(|(kind, name)| self.host.get(*kind, pod.namespace(), name).is_some())
    }
}

fn grace(pod: &Object) -> Option<Duration> {
    pod["metadata"]["deletionGracePeriodSeconds"].as_u64().map(Duration::from_secs)
}

fn argument(pod: &Object, index: usize) -> Option<u64> {
    pod["spec"]["containers"][0]["args"][index].as_str()?.parse().ok()
}

/// Time until a pod ends by itself.
fn run_time(pod: &Object) -> Option<Duration> {
    argument(pod, 0).map(Duration::from_millis)
}

fn exit_code(pod: &Object) -> u64 {
    argument(pod, 1).unwrap_or(0)
}

fn conditions_of_node(is_ready: bool) -> Value {
    let (status, reason) = if is_ready { ("True", "KubeletReady") } else { ("Unknown", "NodeStatusUnknown") };
    json!([{"type": "Ready", "status": status, "reason": reason}])
}

/// Returns the value of a condition.
fn condition(pod: &Object, kind: &str) -> Option<bool> {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).map(|condition| condition["status"] == "True")
}

/// Returns true if every condition is met that a readiness gate of a pod names.
fn is_ready(pod: &Object) -> bool {
    let mut gates = pod["spec"]["readinessGates"].as_array().into_iter().flatten();
    gates.all(|gate| gate["conditionType"].as_str().is_some_and(|kind| condition(pod, kind) == Some(true)))
}

/// Returns the conditions of a pod: those that a kubelet sets, and those of others as they are.
fn conditions(pod: &Object, runs: bool, time: &str) -> Value {
    let of = |kind: &str, is_met: bool| {
        let status = if is_met { "True" } else { "False" };
        json!({"type": kind, "status": status, "lastTransitionTime": time})
    };
    let mut all = vec![
        of("PodScheduled", true),
        of("Initialized", true),
        of("ContainersReady", runs),
        of("Ready", runs && is_ready(pod)),
    ];
    let others = pod["status"]["conditions"].as_array().into_iter().flatten();
    let is_other = |found: &&Value| all.iter().all(|own| own["type"] != found["type"]);
    let others: Vec<_> = others.filter(is_other).cloned().collect();
    all.extend(others);
    Value::Array(all)
}

fn containers(pod: &Object, state: &Value, is_ready: bool) -> Value {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .map(|container| {
            json!({"name": container["name"], "image": container["image"], "imageID": "sha256:1", "restartCount": 0,
                   "ready": is_ready, "started": is_ready, "state": state, "lastState": {}})
        })
        .collect()
}

fn running(pod: &Object, address: u32, time: &str) -> Value {
    let ip = std::net::Ipv4Addr::from(0x0a14_0000 + address).to_string();
    json!({
        "phase": "Running", "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}], "podIP": ip,
        "podIPs": [{"ip": ip}], "startTime": time, "conditions": conditions(pod, true, time),
        "containerStatuses": containers(pod, &json!({"running": {"startedAt": time}}), true),
    })
}

fn ended(pod: &Object, code: u64, time: &str) -> Value {
    let state = json!({"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
        "finishedAt": time, "startedAt": pod["status"]["startTime"]}});
    json!({
        "phase": if code == 0 { "Succeeded" } else { "Failed" }, "conditions": conditions(pod, false, time),
        "containerStatuses": containers(pod, &state, false),
    })
}

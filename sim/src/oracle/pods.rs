//! Pods: which of them should run on the host, and how both sides then agree.

use std::sync::Arc;

use serde_json::Value;
use tenet_mapper::kinds;
use time::OffsetDateTime;

use super::down::{created_before, mounts};
use super::{Oracle, Promise, record};
use crate::api::{Object, QUOTA};
use crate::network::Clusters;
use crate::script::{GATE, What};
use crate::world::{TOLD, is_finished};

/// Time in which the tenant reads why a pod does not run.
const SAID: time::Duration = time::Duration::seconds(15);

impl Oracle {
    pub(super) fn check_pod(&self, pod: &Object, clusters: &Clusters) -> Result<(), String> {
        if pod.is_deleting() {
            // Nobody may say that it has ended while its host pod runs, and nobody may end that without its owner
            // record.
            let twin = self.under_its_name(clusters, What::Pod, pod);
            let is_held =
                twin.is_some_and(|twin| record(&twin).is_none() && twin.uid() == self.history.of(pod.uid()).twin);
            let is_excused = is_held && is_told(clusters, pod, "SyncBlocked");
            return if is_excused { Ok(()) } else { Err("its deletion has not ended".to_owned()) };
        }
        if !self.should_run(pod, clusters) {
            return Ok(());
        }
        let twins: Vec<_> =
            self.copies(clusters, What::Pod).filter(|twin| record(twin).is_some_and(|r| r.uid == pod.uid())).collect();
        let [twin] = twins.as_slice() else { return Err(format!("it has {} host pods", twins.len())) };
        if pod["spec"]["nodeName"] != twin["spec"]["nodeName"] {
            return Err(format!(
                "its node is {}, and that of its host pod {}",
                pod["spec"]["nodeName"], twin["spec"]["nodeName"]
            ));
        }
        let node = pod["spec"]["nodeName"].as_str();
        if node.is_none() {
            return Err("it has no node".to_owned());
        }
        if node.is_some_and(|node| clusters.virt.get(kinds::NODE, "", node).is_none()) {
            return Err("its node does not exist".to_owned());
        }
        for field in ["phase", "podIP", "startTime"] {
            if pod["status"][field] != twin["status"][field] {
                return Err(format!(
                    "status.{field} is {}, and that of its host pod {}",
                    pod["status"][field], twin["status"][field]
                ));
            }
        }
        let gate = pod["spec"]["readinessGates"].is_array().then_some(GATE);
        for kind in ["Ready"].into_iter().chain(gate) {
            let (shown, of_host) = (value(pod, kind), value(twin, kind));
            if shown != of_host {
                return Err(format!("its condition {kind} is {shown:?}, and that of its host pod {of_host:?}"));
            }
        }
        let label = |object: &Object| object["metadata"]["labels"]["version"].clone();
        if label(pod) != label(twin) {
            return Err("its label has not crossed".to_owned());
        }
        Ok(())
    }

    /// Returns true if a pod should have a host pod: nothing ends it, holds it, or stands in its way.
    fn should_run(&self, pod: &Object, clusters: &Clusters) -> bool {
        let is_held = [What::ConfigMap, What::Secret].into_iter().any(|what| {
            let contents = clusters.virt.list(what.kind(), pod.namespace());
            let mut contents = contents.iter().filter(|content| mounts(pod, what.kind().kind, content.name()));
            contents.any(|content| self.is_taken(clusters, what, content))
        });
        !pod.is_deleting()
            && !is_finished(pod)
            && !is_gated(pod)
            && !is_held
            && !self.is_taken(clusters, What::Pod, pod)
            && !waits_for_content(pod, clusters)
    }

    /// Returns the pods that should run, and have never had a host pod.
    fn lacking(&self, clusters: &Clusters) -> Vec<Arc<Object>> {
        let mut pods = clusters.virt.list(kinds::POD, "");
        pods.retain(|pod| self.history.of(pod.uid()).twins == 0 && self.should_run(pod, clusters));
        pods
    }

    /// Returns the UIDs of the pods that should get a host pod now. Where something may delay the syncer, none.
    pub fn due(&self, clusters: &Clusters) -> Vec<String> {
        let lacking = if self.is_prompt { self.lacking(clusters) } else { Vec::new() };
        lacking.iter().map(|pod| pod.uid().to_owned()).collect()
    }

    /// Checks that none of the pods which should have got a host pod still lacks one.
    pub fn check_crossed(&mut self, clusters: &Clusters, due: &[String]) {
        if !clusters.host.list(QUOTA, &self.namespace).is_empty() {
            return;
        }
        let lacking = self.lacking(clusters);
        if let Some(pod) = lacking.iter().find(|pod| due.iter().any(|uid| uid == pod.uid())) {
            let why = format!("the pod {}/{} still has no host pod", pod.namespace(), pod.name());
            self.fail(Promise::Late, why);
        }
    }

    /// Checks that pods for which the host has no room say so.
    pub fn check_refused(&mut self, clusters: &Clusters, now: OffsetDateTime) {
        if !self.is_prompt || clusters.host.list(QUOTA, &self.namespace).is_empty() {
            return;
        }
        let lacking = self.lacking(clusters);
        let mut refused = lacking.iter().filter(|pod| created_before(pod, now - SAID));
        if let Some(pod) = refused.find(|pod| !is_told(clusters, pod, "SyncRejected")) {
            let why = format!("no event says that the host has no room for the pod {}/{}", pod.namespace(), pod.name());
            self.fail(Promise::Said, why);
        }
    }

    /// Returns the events of the host about living host pods that do not appear inside.
    pub(super) fn untold(&self, clusters: &Clusters) -> Vec<String> {
        let mut untold = Vec::new();
        for event in clusters.host.list(kinds::EVENT, &self.namespace) {
            let name = event["involvedObject"]["name"].as_str().unwrap_or_default();
            let Some(twin) = clusters.host.get(kinds::POD, &self.namespace, name) else { continue };
            let Some(record) = record(&twin).filter(|_| event["involvedObject"]["uid"] == twin.uid()) else { continue };
            let pod = clusters.virt.get(kinds::POD, &record.namespace, &record.name);
            let pod = pod.filter(|pod| pod.uid() == record.uid && event["reason"] == TOLD);
            if pod.is_some_and(|pod| !is_told(clusters, &pod, TOLD)) {
                untold.push(format!("an event about the pod {}/{} is not told inside", record.namespace, record.name));
            }
        }
        untold
    }
}

/// Returns the value of a condition.
pub(super) fn value<'p>(pod: &'p Object, condition: &str) -> Option<&'p Value> {
    let mut all = pod["status"]["conditions"].as_array().into_iter().flatten();
    all.find(|found| found["type"] == condition).map(|found| &found["status"])
}

/// Returns true if a scheduling gate holds a pod.
pub(super) fn is_gated(pod: &Object) -> bool {
    pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty())
}

/// Returns true if an event with this reason is about an object.
pub(super) fn is_told(clusters: &Clusters, original: &Object, reason: &str) -> bool {
    let events = clusters.virt.list(kinds::EVENT, original.namespace());
    events.iter().any(|event| {
        let about = if event["regarding"].is_object() { &event["regarding"] } else { &event["involvedObject"] };
        event["reason"] == reason && about["uid"] == original.uid()
    })
}

fn waits_for_content(pod: &Object, clusters: &Clusters) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut needed = Vec::new();
    for volume in volumes {
        needed.extend(volume["configMap"]["name"].as_str().map(|name| (kinds::CONFIG_MAP, name)));
        needed.extend(volume["secret"]["secretName"].as_str().map(|name| (kinds::SECRET, name)));
        let claim = volume["persistentVolumeClaim"]["claimName"].as_str();
        needed.extend(claim.map(|name| (kinds::PERSISTENT_VOLUME_CLAIM, name)));
    }
    needed.iter().any(|(kind, name)| clusters.virt.get(*kind, pod.namespace(), name).is_none())
}

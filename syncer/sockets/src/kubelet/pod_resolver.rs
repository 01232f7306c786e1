//! The host pod that a request means. A name is not enough, because pods come and go under one name. But a UID is never
//! used again: if a name leads to one UID in two reads, it led to that UID all the time between them. So
//!
//! - the virtual pod is read from a quorum after the request has arrived: it is the one that is meant;
//! - the host pod is seen before the request to the host, in a cache or by a quorum read, with an owner record that names
//!   the virtual pod. It is read from a quorum again after the host has agreed: the host cannot have found another pod.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{Facts, HostKey, ObjectRef, VirtualKey, kinds};

use super::failure::Failure;
use super::route::PodName;
use tenet_syncer::api::{Api, ApiError, Target};
use tenet_syncer::{CreateLock, EngineHandle};
use tokio::time::sleep;

/// The lists of containers of a pod. A name is in one of them.
const LISTS: [&str; 3] = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"];

/// Further reads of a pod that the API server refuses for the number of its requests (429).
const RETRIES: u32 = 4;
/// Longest pause before such a read.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A host pod, and the virtual pod that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPod {
    /// The virtual pod, as it was asked for.
    pub name: PodName,
    /// Its UID.
    pub uid: String,
    /// The host pod.
    pub host: HostKey,
    /// Its UID.
    pub host_uid: String,
    /// The host node that it runs on.
    pub node: String,
}

/// Finds the host pods of virtual ones.
pub struct PodResolver {
    /// The virtual API server.
    pub virt: Api,
    /// The host API server.
    pub host: Api,
    /// Names, what was seen of pods, and the create locks.
    pub engine: Arc<dyn EngineHandle>,
    /// Time limit of a read.
    pub limit: Duration,
}

impl PodResolver {
    /// Locks the name of the host pod: the syncer creates no other one under it meanwhile.
    pub fn lock_create(&self, pod: &PodName) -> CreateLock {
        self.engine.lock_create(&host_key(&self.engine.facts(), pod))
    }

    /// Returns the host pod of a virtual pod of `node` that has this container, as the caches show
    /// it. This may be out of date.
    pub fn cached(&self, node: &str, pod: &PodName, container: Option<&str>) -> Option<ResolvedPod> {
        let facts = self.engine.facts();
        let host = host_key(&facts, pod);
        let (view, virt) = (self.engine.view(kinds::POD), VirtualKey::new(pod.namespace.as_str(), pod.name.as_str()));
        let virt = view.get(&ObjectRef::virt(kinds::POD, &virt))?;
        let real = view.get(&ObjectRef::host(kinds::POD, &host))?;
        judge(&facts, node, pod, container, Some(virt.value()), Some(real.value())).ok()
    }

    /// Returns the same as it is: both pods are read from a quorum.
    pub async fn resolve(&self, node: &str, pod: &PodName, container: Option<&str>) -> Result<ResolvedPod, Failure> {
        let facts = self.engine.facts();
        let host = host_key(&facts, pod);
        let (virt, real) = tokio::join!(self.read_virtual(pod), self.read_host(&host));
        let (virt, real) = (virt?, real?);
        judge(&facts, node, pod, container, virt.as_ref(), real.as_ref())
    }

    /// Returns true if the virtual pod is the expected one, read from a quorum.
    pub async fn is_meant(&self, expected: &ResolvedPod, node: &str, container: Option<&str>) -> Result<bool, Failure> {
        let virt = self.read_virtual(&expected.name).await?.ok_or_else(|| Failure::no_pod(&expected.name))?;
        check_virtual(&virt, node, &expected.name, container)?;
        Ok(text(&virt, "/metadata/uid") == expected.uid)
    }

    /// Checks that the host pod is still the same one, read from a quorum.
    pub async fn confirm(&self, resolved: &ResolvedPod) -> Result<(), Failure> {
        let real = self.read_host(&resolved.host).await?;
        let facts = self.engine.facts();
        let is_same = |real: &Value| {
            text(real, "/metadata/uid") == resolved.host_uid
                && owner_uid(&facts, real, &resolved.name).as_deref() == Some(&resolved.uid)
        };
        if real.as_ref().is_some_and(is_same) { Ok(()) } else { Err(Failure::replaced(&resolved.name)) }
    }

    async fn read_virtual(&self, pod: &PodName) -> Result<Option<Value>, Failure> {
        let target = Target::new(kinds::POD, &pod.namespace, &pod.name);
        read(&self.virt, &target, self.limit).await.map_err(|error| Failure::virtual_api(&error))
    }

    async fn read_host(&self, host: &HostKey) -> Result<Option<Value>, Failure> {
        let target = Target::new(kinds::POD, host.namespace(), host.name());
        read(&self.host, &target, self.limit).await.map_err(|error| Failure::host_api(&error))
    }
}

/// Reads an object from a quorum. Many streams that are opened at once are many reads at once, of which an API server
/// refuses some (429): those are tried again.
async fn read(api: &Api, target: &Target<'_>, limit: Duration) -> Result<Option<Value>, ApiError> {
    for _ in 0..RETRIES {
        match api.get(target, limit).await {
            Err(ApiError::Status { code: StatusCode::TOO_MANY_REQUESTS, retry_after, .. }) => {
                sleep(retry_after.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)).await;
            }
            answer => return answer,
        }
    }
    api.get(target, limit).await
}

fn host_key(facts: &Facts, pod: &PodName) -> HostKey {
    let name = facts.names.host_name(kinds::POD.group_kind(), &pod.namespace, &pod.name);
    HostKey::new(facts.names.host_namespace(&pod.namespace), name)
}

fn judge(
    facts: &Facts,
    node: &str,
    pod: &PodName,
    container: Option<&str>,
    virt: Option<&Value>,
    real: Option<&Value>,
) -> Result<ResolvedPod, Failure> {
    let virt = virt.ok_or_else(|| Failure::no_pod(pod))?;
    check_virtual(virt, node, pod, container)?;
    let uid = text(virt, "/metadata/uid");
    let real = real.ok_or_else(|| Failure::not_on_host(pod))?;
    if owner_uid(facts, real, pod).as_deref() != Some(uid) {
        return Err(Failure::not_on_host(pod));
    }
    // The host may have put a container of its own into the pod, under a name that the tenant has added in another
    // list.
    if let Some(container) = container.filter(|name| list_of(real, name) != list_of(virt, name)) {
        return Err(Failure::container_not_on_host(pod, container));
    }
    Ok(ResolvedPod {
        name: pod.clone(),
        uid: uid.to_owned(),
        host_uid: text(real, "/metadata/uid").to_owned(),
        node: text(real, "/spec/nodeName").to_owned(),
        host: host_key(facts, pod),
    })
}

fn check_virtual(virt: &Value, node: &str, pod: &PodName, container: Option<&str>) -> Result<(), Failure> {
    let uid = text(virt, "/metadata/uid");
    if pod.uid.as_deref().is_some_and(|asked| asked != uid) || text(virt, "/spec/nodeName") != node {
        return Err(Failure::no_pod(pod));
    }
    match container {
        Some(container) if list_of(virt, container).is_none() => Err(Failure::no_container(container)),
        _ => Ok(()),
    }
}

/// Returns the list in which a pod has a container of this name.
fn list_of(pod: &Value, container: &str) -> Option<&'static str> {
    LISTS.into_iter().find(|list| {
        let containers = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
        containers.into_iter().any(|each| each.get("name").and_then(Value::as_str) == Some(container))
    })
}

/// Returns the UID of the virtual pod that a host pod belongs to, if that has the name that is meant.
fn owner_uid(facts: &Facts, real: &Value, pod: &PodName) -> Option<String> {
    let owner = OwnerRecord::read(real.get("metadata")?, &facts.names.cluster, &facts.cluster_id).ours()?;
    let meant = owner.kind == kinds::POD && owner.namespace == pod.namespace && owner.name == pod.name;
    meant.then_some(owner.uid)
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

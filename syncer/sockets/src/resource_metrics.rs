//! Resource metrics of the pods of the virtual cluster, as the host measures them: read from the
//! host's own `metrics.k8s.io` when somebody asks, and told in the names of the tenant.

mod amount;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tenet_mapper::translate::OwnerRecord;
use tenet_mapper::{HostKey, Object, ObjectRef, VirtualKey, kinds};
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use amount::{bytes, cpu_text, memory_text, nano_cores};

use tenet_syncer::EngineHandle;
use tenet_syncer::api::Api;

/// Time for which an answer is shared. The host measures about every 15 seconds.
const FRESH: Duration = Duration::from_secs(2);

/// A reason for missing resource metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The host does not serve the metrics, or their server does not answer.
    #[error("the host has no metrics of pods")]
    NotServed,
    /// The syncer may not read it.
    #[error("the syncer lacks the right to list pods.metrics.k8s.io on the host")]
    Right,
}

/// Resource usage of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Its name.
    pub name: String,
    /// In billionths of a core.
    pub cpu: u64,
    /// The working set, in bytes.
    pub memory: u64,
}

/// Resource usage of a pod.
#[derive(Clone, Debug)]
pub struct PodUsage {
    /// The virtual pod.
    pub key: VirtualKey,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: Map<String, Value>,
    /// Its node.
    pub node: String,
    /// Time of the measurement.
    pub timestamp: String,
    /// Time span of the measurement, as the host states it.
    pub window: String,
    /// Its containers.
    pub containers: Vec<ContainerUsage>,
}

type Answer = Result<Arc<Vec<PodUsage>>, Missing>;

/// Reader of resource metrics.
pub struct ResourceMetrics {
    host: Api,
    engine: Arc<dyn EngineHandle>,
    limit: Duration,
    last: Mutex<Option<(Instant, Answer)>>,
}

impl ResourceMetrics {
    /// Reads from this host.
    pub fn new(host: Api, engine: Arc<dyn EngineHandle>, limit: Duration) -> Self {
        Self { host, engine, limit, last: Mutex::default() }
    }

    /// Returns what every pod of the virtual cluster uses, in order of their names.
    pub async fn pods(&self) -> Answer {
        // Callers that come while the host is asked wait for the same answer.
        let mut last = self.last.lock().await;
        if let Some((when, answer)) = &*last
            && when.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = self.read().await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn read(&self) -> Answer {
        let namespace = self.engine.facts().names.host_namespace("").to_owned();
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let list = self.host.get_path(&path, self.limit).await.map_err(|error| {
            tracing::debug!(%error, "cannot read the resource metrics of the host");
            let is_denied = matches!(error.code(), Some(http::StatusCode::FORBIDDEN | http::StatusCode::UNAUTHORIZED));
            if is_denied { Missing::Right } else { Missing::NotServed }
        })?;
        let items = list.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut pods: Vec<_> = items.iter().filter_map(|item| self.pod(item)).collect();
        pods.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Arc::new(pods))
    }

    /// Translates a measured pod of the host, if it is the pod of a virtual one that there is.
    fn pod(&self, item: &Value) -> Option<PodUsage> {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
        let facts = self.engine.facts();
        let view = self.engine.view(kinds::POD);
        let key = HostKey::new(text("/metadata/namespace")?, text("/metadata/name")?);
        let host = view.get(&ObjectRef::host(kinds::POD, &key))?;
        let metadata = host.value().get("metadata")?;
        let owner = OwnerRecord::read(metadata, &facts.names.cluster, &facts.cluster_id).ours()?;
        let key = VirtualKey::new(owner.namespace, owner.name);
        let virt = view.get(&ObjectRef::virt(kinds::POD, &key)).filter(|virt| virt.uid() == owner.uid)?;
        Some(PodUsage {
            labels: virt.at("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default(),
            node: virt.str_at("/spec/nodeName").unwrap_or_default().to_owned(),
            timestamp: text("/timestamp").unwrap_or_default().to_owned(),
            window: text("/window").unwrap_or_default().to_owned(),
            containers: containers(item, &virt),
            key,
            uid: owner.uid,
        })
    }
}

/// The containers that the tenant knows: the host may have put others into the pod.
fn containers(item: &Value, virt: &Object) -> Vec<ContainerUsage> {
    let lists = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"];
    let known = |name: &str| lists.iter().any(|list| virt.list_at(list).iter().any(|each| each["name"] == name));
    let measured = item.get("containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let usage = |container: &Value| {
        let name = container.get("name")?.as_str().filter(|name| known(name))?;
        let amount = |what: &str| container.pointer(&format!("/usage/{what}")).and_then(Value::as_str);
        Some(ContainerUsage {
            name: name.to_owned(),
            cpu: amount("cpu").and_then(nano_cores).unwrap_or(0),
            memory: amount("memory").and_then(bytes).unwrap_or(0),
        })
    };
    measured.iter().filter_map(usage).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_containers_that_the_tenant_knows_are_told() {
        let virt =
            Object::new(json!({"spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "init"}]}}));
        let item = json!({"containers": [
            {"name": "main", "usage": {"cpu": "1500m", "memory": "2Mi"}},
            {"name": "injected", "usage": {"cpu": "1", "memory": "1Gi"}},
            {"name": "init", "usage": {}},
        ]});
        let usage = |name: &str, cpu, memory| ContainerUsage { name: name.to_owned(), cpu, memory };
        assert_eq!(containers(&item, &virt), [usage("main", 1_500_000_000, 2 << 20), usage("init", 0, 0)]);
    }
}

//! Ideal syncer: for every pod only the calls that a perfect syncer has to make.
//!
//! It watches both sides as a syncer does, keeps no caches, checks nothing and repeats nothing. Its time is the time
//! of the two API servers.

mod host_pod;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tenet_mapper::Side;
use tokio::sync::{OnceCell, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::api::{Api, Change, Watch};
use crate::lab::Lab;
use crate::pods;

/// Running replayer. It ends when it is dropped.
pub struct Replayer {
    _watchers: [AbortOnDropHandle<()>; 2],
}

/// State shared by the calls of all pods.
struct Shared {
    virt: Api,
    host: Api,
    namespace: String,
    twins: Mutex<HashMap<String, Arc<Twins>>>,
    nodes: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

/// Latest state of a pod on both sides; null when it does not exist.
struct Twins {
    inside: watch::Sender<Value>,
    outside: watch::Sender<Value>,
}

impl Replayer {
    /// Starts with the syncer's identity on both sides.
    pub async fn start(lab: &Lab) -> Result<Self> {
        let playground = &lab.playground;
        let virt = Api::new(playground.syncer_virtual_kubeconfig()).await?;
        let host = Api::new(playground.syncer_host_kubeconfig()).await?;
        let namespace = lab.namespace().to_owned();
        let inside = virt.watch(&pods::pods(pods::NAMESPACE), pods::BATCH).await?;
        let outside = host.watch(&pods::pods(&namespace), pods::BATCH).await?;
        let root = virt.get(&format!("/api/v1/namespaces/{}/configmaps/kube-root-ca.crt", pods::NAMESPACE)).await?;
        let configs = format!("/api/v1/namespaces/{namespace}/configmaps");
        host.create(&configs, &host_pod::root_certificate(&root)).await?;
        let shared = Arc::new(Shared { virt, host, namespace, twins: Mutex::default(), nodes: Mutex::default() });
        let follow_inside = tokio::spawn(follow(inside, Arc::clone(&shared), Side::Virtual));
        let follow_outside = tokio::spawn(follow(outside, shared, Side::Host));
        Ok(Self { _watchers: [AbortOnDropHandle::new(follow_inside), AbortOnDropHandle::new(follow_outside)] })
    }
}

async fn follow(watch: Watch, shared: Arc<Shared>, side: Side) {
    let error = watch.run(|what, pod| shared.take(side, what, pod)).await;
    eprintln!("a watch of the replayer ended: {error:#}");
}

impl Shared {
    fn take(self: &Arc<Self>, side: Side, what: Change, mut pod: Value) {
        let name = text(&pod["metadata"]["labels"][pods::NAME]).to_owned();
        let twins = self.twins(&name);
        let sender = if side == Side::Virtual { &twins.inside } else { &twins.outside };
        if what == Change::Gone {
            pod["gone"] = json!(true);
        }
        sender.send_replace(pod);
        if side == Side::Virtual && what == Change::Added {
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = shared.carry(&name, &twins).await {
                    eprintln!("the replayer gives up on {name}: {error:#}");
                }
            });
        }
    }

    fn twins(&self, name: &str) -> Arc<Twins> {
        let new =
            || Arc::new(Twins { inside: watch::Sender::new(Value::Null), outside: watch::Sender::new(Value::Null) });
        Arc::clone(self.twins.lock().entry(name.to_owned()).or_insert_with(new))
    }

    /// Replays the life of a pod, from its create to its end.
    async fn carry(&self, name: &str, twins: &Twins) -> Result<()> {
        let inside = twins.inside.borrow().clone();
        let (mut outside, mut inside_changes) = (twins.outside.subscribe(), twins.inside.subscribe());
        let path = pods::pod(pods::NAMESPACE, name);

        // The kubelet waits for the Secret, so its call need not delay the other one.
        let secret = host_pod::token_secret(&inside);
        let (host_pods, host_pod) = (pods::pods(&self.namespace), host_pod::translate(&inside));
        tokio::try_join!(self.give_token(&inside, &secret), self.host.create(&host_pods, &host_pod))?;

        let node =
            text(&outside.wait_for(|pod| pod["spec"]["nodeName"].is_string()).await?["spec"]["nodeName"]).to_owned();
        self.picture(&node).await?;
        self.virt.create(&format!("{path}/binding"), &binding(&inside, &node)).await?;

        let running = outside.wait_for(|pod| pod["status"]["phase"] == "Running").await?.clone();
        let status = json!({"metadata": {"uid": inside["metadata"]["uid"]}, "status": running["status"]});
        self.virt.merge(&format!("{path}/status"), &status).await?;

        inside_changes.wait_for(|pod| pod["metadata"]["deletionTimestamp"].is_string()).await?;
        let host_path = pods::pod(&self.namespace, text(&running["metadata"]["name"]));
        self.host.delete(&host_path, &this_very(&running)).await?;
        outside.wait_for(|pod| pod["gone"] == true).await?;
        let secret_path = format!("{}/{}", pods::secrets(&self.namespace), text(&secret["metadata"]["name"]));
        let mut now = this_very(&inside);
        now["gracePeriodSeconds"] = json!(0);
        let nothing = json!({});
        tokio::try_join!(self.host.delete(&secret_path, &nothing), self.virt.delete(&path, &now))?;
        self.twins.lock().remove(name);
        Ok(())
    }

    async fn give_token(&self, pod: &Value, secret: &Value) -> Result<()> {
        let account = format!("/api/v1/namespaces/{}/serviceaccounts/default/token", pods::NAMESPACE);
        let answer = self.virt.create(&account, &host_pod::token_request(pod)).await?;
        let token = answer["status"]["token"].as_str().context("the answer has no token")?;
        let secret = host_pod::with_token(secret, token);
        self.host.create(&pods::secrets(&self.namespace), &secret).await.map(drop)
    }

    /// Creates the virtual Node, once for each node.
    async fn picture(&self, node: &str) -> Result<()> {
        let cell = Arc::clone(self.nodes.lock().entry(node.to_owned()).or_default());
        let paint = || async { self.virt.create("/api/v1/nodes", &host_pod::node(node)).await.map(drop) };
        cell.get_or_try_init(paint).await.copied()
    }
}

fn binding(pod: &Value, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    })
}

fn this_very(object: &Value) -> Value {
    json!({"preconditions": {"uid": object["metadata"]["uid"]}})
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

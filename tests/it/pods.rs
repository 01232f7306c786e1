//! Life of pods, as seen by a tenant and by a host administrator.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::{name, phase};
use crate::harness::{Harness, until_told};

/// Returns the virtual and the host path of a pod.
fn places(harness: &Harness, namespace: &str, pod: &str) -> (String, String) {
    (format!("/api/v1/namespaces/{namespace}/pods/{pod}"), harness.on_host(&format!("pods/{pod}-x-{namespace}-x-vc-1")))
}

async fn run(harness: &Harness, namespace: &str, pod: &str, spec: Value) -> Result<Value> {
    let object = json!({"metadata": {"name": pod, "labels": {"app": pod}}, "spec": spec});
    harness.virt.create(&format!("/api/v1/namespaces/{namespace}/pods"), object).await?;
    let (virt, _) = places(harness, namespace, pod);
    harness.virt.until(&virt, "running", |pod| phase(pod) == "Running").await
}

fn plain() -> Value {
    json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "nginx"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_runs_on_the_host_and_leaves_nothing_behind() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let at = |rest: &str| format!("/api/v1/namespaces/{namespace}/{rest}");
    harness.virt.create(&at("configmaps"), json!({"metadata": {"name": "page"}, "data": {"index.html": "hi"}})).await?;
    harness.virt.create(&at("secrets"), json!({"metadata": {"name": "key"}, "stringData": {"k": "s3cret"}})).await?;
    let mounts = json!([{"name": "page", "mountPath": "/www"}, {"name": "key", "mountPath": "/key"}]);
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [{"name": "nginx", "image": "nginx", "volumeMounts": mounts}],
            "volumes": [{"name": "page", "configMap": {"name": "page"}}, {"name": "key", "secret": {"secretName": "key"}}],
            "terminationGracePeriodSeconds": 1,
        },
    });
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    let selector = json!({"matchLabels": {"app": "web"}});
    let spec = json!({"replicas": 3, "selector": selector, "template": template});
    harness.virt.create(&deployments, json!({"metadata": {"name": "web"}, "spec": spec})).await?;
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let service = harness.virt.create(&at("services"), service).await?;
    let ready = |deployment: &Value| deployment["status"]["readyReplicas"] == 3;
    harness.virt.until(&format!("{deployments}/web"), "ready", ready).await?;

    let suffix = format!("-x-{namespace}-x-vc-1");
    let ours = |objects: &[Value]| {
        let names = objects.iter().map(name).filter(|name| name.ends_with(&suffix));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let host_service = harness.on_host(&format!("services/web{suffix}"));
    let copy = harness.host.until(&host_service, "there", Value::is_object).await?;
    assert_eq!(copy["spec"]["clusterIP"], service["spec"]["clusterIP"]);
    assert_eq!(copy["spec"]["selector"]["app"], "web");
    assert_eq!(copy["spec"]["selector"]["tenet.sh/namespace"], namespace);
    let secret = harness.host.get(&harness.on_host(&format!("secrets/key{suffix}"))).await?.expect("the copy");
    assert_eq!(secret["data"]["k"], "czNjcmV0");

    let hosts = harness.host.list(&harness.on_host("pods")).await?;
    let pod = hosts.iter().find(|pod| name(pod).ends_with(&suffix)).expect("a host pod");
    let spec = &pod["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["enableServiceLinks"], false);
    let first = &spec["containers"][0]["envFrom"][0]["configMapRef"];
    assert_eq!(first["optional"], false, "{first}");
    let map = harness.on_host(&format!("configmaps/{}", first["name"].as_str().unwrap_or_default()));
    let env = harness.host.get(&map).await?.expect("the variables of the API server")["data"].clone();
    assert_eq!(
        (&env["KUBERNETES_SERVICE_HOST"], &env["KUBERNETES_SERVICE_PORT"]),
        (&json!("10.96.0.20"), &json!("443"))
    );
    assert!(!spec["volumes"].to_string().contains("serviceAccountToken"), "the host must mint nothing: {spec:#}");

    // An edit is copied, and a deleted copy is created again.
    harness.virt.patch(&at("configmaps/page"), json!({"data": {"index.html": "ho", "more": "x"}})).await?;
    let page = harness.on_host(&format!("configmaps/page{suffix}"));
    harness.host.until(&page, "edited", |copy| copy["data"] == json!({"index.html": "ho", "more": "x"})).await?;
    harness.host.delete(&page, json!({})).await?;
    harness.host.until(&page, "back", |copy| copy["data"]["more"] == "x").await?;

    harness.virt.patch(&format!("{deployments}/web"), json!({"spec": {"replicas": 1}})).await?;
    harness.host.until_list(&harness.on_host("pods"), "one pod", |pods| ours(pods).len() == 1).await?;
    for (path, object) in [(deployments.as_str(), "web"), (&at("services"), "web")] {
        harness.virt.delete(&format!("{path}/{object}"), json!({})).await?;
    }
    for kind in ["pods", "services", "configmaps", "secrets"] {
        harness.host.until_list(&harness.on_host(kind), "empty", |found| ours(found).is_empty()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_pod_deleted_by_hand_removes_the_virtual_pod() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    run(&harness, &namespace, "victim", plain()).await?;
    let (virt, host) = places(&harness, &namespace, "victim");
    harness.host.delete(&host, json!({})).await?;
    harness.virt.until_gone(&virt).await?;
    harness.host.until_gone(&host).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grace_period_is_passed_on_and_a_force_delete_followed() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let slow = json!({"terminationGracePeriodSeconds": 40, "containers": [{"name": "c", "image": "i"}]});
    run(&harness, &namespace, "slow", slow.clone()).await?;
    let (virt, host) = places(&harness, &namespace, "slow");
    let before = harness.host.get(&host).await?.expect("the host pod");
    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 7})).await?;
    // The simulated node ends pods at once, so the delete shows only in the watch history.
    let is_deleting = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
    let deleting = harness.host.first_since(&before, &harness.on_host("pods"), is_deleting).await?;
    assert_eq!(deleting["metadata"]["deletionGracePeriodSeconds"], 7);
    harness.virt.until_gone(&virt).await?;
    harness.host.until_gone(&host).await?;

    run(&harness, &namespace, "held", slow).await?;
    let (virt, host) = places(&harness, &namespace, "held");
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    harness.host.patch(&host, hold).await?;
    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 0})).await?;
    harness.virt.until_gone(&virt).await?;
    harness.host.until(&host, "forced", |pod| pod["metadata"]["deletionGracePeriodSeconds"] == 0).await?;
    harness.host.patch(&host, json!({"metadata": {"finalizers": null}})).await?;
    harness.host.until_gone(&host).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_name_is_a_new_object() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let first = run(&harness, &namespace, "again", plain()).await?;
    let (virt, host) = places(&harness, &namespace, "again");
    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 0})).await?;
    let second = run(&harness, &namespace, "again", plain()).await?;
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    let uid = second["metadata"]["uid"].clone();
    let twin = harness.host.get(&host).await?.expect("the host pod");
    assert_eq!(twin["metadata"]["annotations"]["tenet.sh/uid"], uid);
    harness.virt.delete(&virt, json!({})).await?;
    harness.host.until_gone(&host).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_is_shown_inside_before_the_pod_goes() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let never = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    run(&harness, &namespace, "job", never).await?;
    let (virt, host) = places(&harness, &namespace, "job");
    let ended = json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                       "state": {"terminated": {"exitCode": 3, "reason": "Error"}}});
    let status = json!({"status": {"phase": "Failed", "containerStatuses": [ended]}});
    harness.host.patch(&format!("{host}/status"), status).await?;
    let shown = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3;
    harness.virt.until(&virt, "showing the exit code", shown).await?;
    harness.virt.delete(&virt, json!({})).await?;
    harness.virt.until_gone(&virt).await?;
    harness.host.until_gone(&host).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_the_virtual_servers_bound_to_the_pod_and_in_a_secret() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let token = json!({"serviceAccountToken": {"path": "t", "audience": "vault", "expirationSeconds": 900}});
    let spec = json!({
        "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "projected": {"sources": [token]}}],
    });
    let pod = run(&harness, &namespace, "tok", spec).await?;
    let (virt, host) = places(&harness, &namespace, "tok");
    let host_pod = harness.host.get(&host).await?.expect("the host pod");
    assert!(!host_pod["metadata"].to_string().contains("eyJ"), "no token in an annotation");
    let volumes = host_pod["spec"]["volumes"].as_array().expect("volumes");
    let volume = volumes.iter().find(|volume| volume["name"] == "v").expect("the volume");
    let source = &volume["projected"]["sources"][0]["secret"];
    let secret = harness.on_host(&format!("secrets/{}", source["name"].as_str().expect("a Secret")));
    let names_node = |secret: &Value| secret["metadata"]["annotations"]["tenet.sh/tokens-node"].is_string();
    let secret = harness.host.until(&secret, "naming the node", names_node).await?;
    let encoded = secret["data"][source["items"][0]["key"].as_str().expect("a key")].as_str().expect("a token");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                        "spec": {"token": decode(encoded), "audiences": ["vault"]}});
    let review = harness.virt.create("/apis/authentication.k8s.io/v1/tokenreviews", review).await?;
    assert_eq!(review["status"]["authenticated"], true, "{review:#}");
    let extra = &review["status"]["user"]["extra"];
    assert_eq!(extra["authentication.kubernetes.io/pod-uid"][0], pod["metadata"]["uid"]);
    assert_eq!(extra["authentication.kubernetes.io/node-name"][0], pod["spec"]["nodeName"]);
    let node = format!("/api/v1/nodes/{}", pod["spec"]["nodeName"].as_str().expect("a node"));
    let node = harness.virt.get(&node).await?.expect("the node");
    assert_eq!(extra["authentication.kubernetes.io/node-uid"][0], node["metadata"]["uid"]);
    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 0})).await?;
    harness.host.until_gone(&host).await
}

fn decode(text: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    String::from_utf8(bytes).expect("a token")
}

/// A Job with `podReplacementPolicy: Failed` replaces a pod when its phase is final, and its finalizer keeps the pod
/// until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_when_the_host_removes_its_pod_at_once() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let template = json!({
        // The simulated node does not end it by itself.
        "metadata": {"labels": {"app": "j"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
    });
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {
        "backoffLimit": 9, "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]},
        "template": template,
    }});
    harness.virt.create(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"), job).await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let bound = |pods: &[Value]| pods.iter().any(|pod| pod["spec"]["nodeName"].is_string());
    let first = harness.virt.until_list(&pods, "with a scheduled pod", bound).await?.remove(0);
    let name = crate::cluster::name(&first).to_owned();
    let host = harness.on_host(&format!("pods/{name}-x-{namespace}-x-vc-1"));
    harness.host.delete(&host, json!({"gracePeriodSeconds": 0})).await?;
    let replaced = |pods: &[Value]| pods.iter().any(|pod| crate::cluster::name(pod) != name);
    harness.virt.until_list(&pods, "with a replacement", replaced).await?;
    harness.virt.until_gone(&format!("{pods}/{name}")).await
}

/// A scheduler of the tenant binds a pod that waits for a claim, before the pod is on the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_bound_inside_first_runs_on_that_node() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let at = |rest: &str| format!("/api/v1/namespaces/{namespace}/{rest}");
    let usual = run(&harness, &namespace, "usual", plain()).await?;
    assert_eq!(usual["metadata"]["annotations"]["tenet.sh/bound"], usual["metadata"]["uid"]);
    let node = usual["spec"]["nodeName"].as_str().context("a node")?;
    let (virt, host) = places(&harness, &namespace, "early");
    let mut spec = plain();
    spec["schedulerName"] = "of-the-tenant".into();
    spec["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "late"}}]);
    let pod = harness.virt.create(&at("pods"), json!({"metadata": {"name": "early"}, "spec": spec})).await?;
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "early"}, "target": target});
    harness.virt.create(&at("pods/early/binding"), binding).await?;
    // The binding wakes the syncer, which would delete a pod that is lost.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(harness.host.get(&host).await?, None, "it waits for its claim");
    let claim = json!({"metadata": {"name": "late"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    harness.virt.create(&at("persistentvolumeclaims"), claim).await?;
    let copy = harness.host.until(&host, "there", Value::is_object).await?;
    assert!(copy["spec"]["affinity"]["nodeAffinity"].to_string().contains(node), "{copy}");
    let found = harness.virt.get(&virt).await?.context("the pod")?;
    assert_eq!((&found["metadata"]["uid"], &found["spec"]["nodeName"]), (&pod["metadata"]["uid"], &json!(node)));
    assert!(found["metadata"]["deletionTimestamp"].is_null(), "{found}");
    assert!(found["metadata"]["annotations"]["tenet.sh/bound"].is_null(), "the syncer has not bound it");
    Ok(())
}

/// The kubelet of the host would give the pod what somebody else keeps under the name that the copy would have.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_no_foreign_object_for_an_optional_one_that_is_missing_inside() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let foreign = format!("later-x-{namespace}-x-vc-1");
    let secret = json!({"metadata": {"name": foreign}, "stringData": {"of": "somebody else"}});
    harness.host.create(&harness.on_host("secrets"), secret).await?;
    let (virt, host) = places(&harness, &namespace, "curious");
    let mut spec = plain();
    spec["volumes"] = json!([{"name": "v", "secret": {"secretName": "later", "optional": true}}]);
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    harness.virt.create(&pods, json!({"metadata": {"name": "curious"}, "spec": spec})).await?;
    until_told(&harness.virt, &namespace, "SyncBlocked", "curious", "").await?;
    assert_eq!(harness.host.get(&host).await?, None);
    harness.host.delete(&harness.on_host(&format!("secrets/{foreign}")), json!({})).await?;
    harness.virt.until(&virt, "running", |pod| phase(pod) == "Running").await?;
    Ok(())
}

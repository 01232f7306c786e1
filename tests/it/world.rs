//! The world on the host: its controllers, policies and limits, and what tenants write into their objects.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::{name, phase};
use crate::harness::{Harness, Separate, in_folder, new_namespace, passed, until_told};

/// As a kubelet computes them, the variables of 400 Services are about 200 KB for each container.
#[tokio::test(flavor = "multi_thread")]
async fn many_services_do_not_make_a_pod_larger() -> Result<()> {
    const SERVICES: usize = 400;
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let at = |kind: &str| format!("/api/v1/namespaces/{namespace}/{kind}");
    let containers =
        |count: usize| (0..count).map(|n| json!({"name": format!("c{n}"), "image": "i"})).collect::<Vec<_>>();
    let pod = |name: &str, count: usize| json!({"metadata": {"name": name}, "spec": {"containers": containers(count), "terminationGracePeriodSeconds": 1}});
    harness.virt.create(&at("pods"), pod("first", 1)).await?;
    harness.virt.until(&at("pods/first"), "running", |pod| phase(pod) == "Running").await?;
    let host = |pod: &str| harness.on_host(&format!("pods/{pod}-x-{namespace}-x-vc-1"));
    let first = harness.host.get(&host("first")).await?.context("the host pod")?;
    let sources = first["spec"]["containers"][0]["envFrom"].clone();
    assert_eq!(sources.as_array().map(Vec::len), Some(2), "{sources}");
    let map = sources[1]["configMapRef"]["name"].as_str().context("a name")?;
    let map = harness.on_host(&format!("configmaps/{map}"));

    let ports = json!([{"port": 80}]);
    let services = (0..SERVICES).map(|n| json!({"metadata": {"name": format!("svc-{n}")}, "spec": {"ports": ports}}));
    let services: Vec<_> = services.collect();
    let (started, collection) = (std::time::Instant::now(), at("services"));
    for some in services.chunks(20) {
        let created = some.iter().map(|service| harness.virt.create(&collection, service.clone()));
        futures::future::try_join_all(created).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let hosts = |map: &Value| {
        let data = map["data"].as_object().into_iter().flatten();
        data.filter(|(name, _)| name.ends_with("_SERVICE_HOST")).count()
    };
    let complete = harness.host.until(&map, "complete", |map| hosts(map) == SERVICES).await?;
    // The API server counts changes of the content in the fields of its writers, not in a generation.
    println!("{SERVICES} Services in {seconds:.1} s; {} bytes of variables", complete["data"].to_string().len());

    harness.virt.create(&at("pods"), pod("many", 10)).await?;
    harness.virt.until(&at("pods/many"), "running", |pod| phase(pod) == "Running").await?;
    let many = harness.host.get(&host("many")).await?.context("the host pod")?;
    for container in many["spec"]["containers"].as_array().into_iter().flatten() {
        assert_eq!(container["envFrom"], sources, "{}", container["name"]);
        assert!(container["env"].is_null(), "{container}");
    }
    let bytes = many["spec"].to_string().len();
    println!("{bytes} bytes of the spec of a host pod with 10 containers");
    assert!(bytes < 20_000, "{bytes} bytes");
    Ok(())
}

/// The tenant reads the words of the host's policy, without the names of the host, and can act on them.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_host_speaks_to_the_tenant() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let marked = json!({"name": "marked", "expression": "has(object.metadata.labels) && 'host-policy-denies' in object.metadata.labels"});
    let team = json!({"expression": "'team' in object.metadata.labels", "message": "pods need the label team"});
    let policy = json!({"metadata": {"name": "host-policy-denies-team"}, "spec": {
        "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "matchConditions": [marked],
        "validations": [team],
    }});
    harness.host.create(policies, policy).await?;
    let binding = json!({"policyName": "host-policy-denies-team", "validationActions": ["Deny"]});
    harness.host.create(bindings, json!({"metadata": {"name": "host-policy-denies-team"}, "spec": binding})).await?;
    // The API server needs a moment to learn of a policy.
    let probe = json!({"metadata": {"name": "probe", "labels": {"host-policy-denies": "yes"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let dry = harness.on_host("pods?dryRun=All");
    for _ in 0..200 {
        if harness.host.create(&dry, probe.clone()).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let at = |kind: &str| format!("/api/v1/namespaces/{namespace}/{kind}");
    let pod = json!({"metadata": {"name": "app", "labels": {"host-policy-denies": "yes"}},
        "spec": {"containers": [{"name": "main", "image": "i"}], "terminationGracePeriodSeconds": 1}});
    harness.virt.create(&at("pods"), pod).await?;
    let event = until_told(&harness.virt, &namespace, "SyncRejected", "app", "").await?;
    let message = event["message"].as_str().unwrap_or_default();
    assert!(message.contains("pods need the label team"), "{message}");
    for word in ["-x-", harness.playground.namespace()] {
        assert!(!message.contains(word), "{word:?} of the host is in: {message}");
    }
    let started = std::time::Instant::now();
    harness.virt.patch(&at("pods/app"), json!({"metadata": {"labels": {"team": "a"}}})).await?;
    harness.virt.until(&at("pods/app"), "running", |pod| phase(pod) == "Running").await?;
    assert!(started.elapsed() < Duration::from_secs(10), "after {:?}", started.elapsed());
    harness.host.delete(&format!("{bindings}/host-policy-denies-team"), json!({})).await?;
    harness.host.delete(&format!("{policies}/host-policy-denies-team"), json!({})).await
}

/// A tenant whose pods never run fills the store of the host with nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_refused_gated_or_finished_pods_refer_to_is_not_on_the_host() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let at = |kind: &str| format!("/api/v1/namespaces/{namespace}/{kind}");
    let copy = |name: &str| harness.on_host(&format!("secrets/{name}-x-{namespace}-x-vc-1"));
    for name in ["refused", "gated", "finished"] {
        let secret = json!({"metadata": {"name": name}, "stringData": {"k": "v"}});
        harness.virt.create(&at("secrets"), secret).await?;
    }
    let pod = |name: &str, spec: Value| {
        let source = json!([{"secretRef": {"name": name}}]);
        let mut pod = json!({"metadata": {"name": name}, "spec": {
            "containers": [{"name": "c", "image": "i", "envFrom": source}], "terminationGracePeriodSeconds": 1}});
        for (field, value) in spec.as_object().into_iter().flatten() {
            pod["spec"][field] = value.clone();
        }
        pod
    };
    harness.virt.create(&at("pods"), pod("refused", json!({"hostPID": true}))).await?;
    harness.virt.create(&at("pods"), pod("gated", json!({"schedulingGates": [{"name": "example.com/wait"}]}))).await?;
    harness.virt.create(&at("pods"), pod("finished", json!({"restartPolicy": "Never"}))).await?;
    harness.virt.until(&at("pods/finished"), "running", |pod| phase(pod) == "Running").await?;
    harness.host.until(&copy("finished"), "there", Value::is_object).await?;
    until_told(&harness.virt, &namespace, "SyncRefused", "refused", "").await?;
    for name in ["refused", "gated"] {
        assert_eq!(harness.host.get(&copy(name)).await?, None, "{name}");
    }

    // The pod ends on the host, and the Secret goes.
    let host = harness.on_host(&format!("pods/finished-x-{namespace}-x-vc-1"));
    harness.host.patch(&format!("{host}/status"), json!({"status": {"phase": "Succeeded"}})).await?;
    harness.virt.until(&at("pods/finished"), "finished", |pod| phase(pod) == "Succeeded").await?;
    harness.host.until_gone(&copy("finished")).await?;

    // The gate opens, and the Secret comes.
    harness.virt.patch(&at("pods/gated"), json!({"spec": {"schedulingGates": null}})).await?;
    harness.virt.until(&at("pods/gated"), "running", |pod| phase(pod) == "Running").await?;
    harness.host.until(&copy("gated"), "there", Value::is_object).await.map(drop)
}

fn plain(name: &str, labels: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "i"}], "terminationGracePeriodSeconds": 1}})
}

/// A `ReplicaSet` takes every pod without a controller that its selector matches, and deletes what is too much.
#[tokio::test(flavor = "multi_thread")]
async fn a_workload_of_the_host_takes_no_pod_of_a_tenant() -> Result<()> {
    let Separate { playground, host, virt } = Separate::start(in_folder("world")).await?;
    new_namespace(&virt, "shop").await?;
    let team = playground.namespace();
    let on_host = |rest: &str| format!("/api/v1/namespaces/{team}/{rest}");
    let labels = json!({"app": "host-replicaset-adop-front"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "i"}]}});
    let set = json!({"metadata": {"name": "front"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}});
    let sets = format!("/apis/apps/v1/namespaces/{team}/replicasets");
    host.create(&sets, set).await?;
    let service = json!({"metadata": {"name": "front"}, "spec": {"selector": labels, "ports": [{"port": 80}]}});
    host.create(&on_host("services"), service.clone()).await?;
    let ready = |set: &Value| set["status"]["readyReplicas"] == 1;
    host.until(&format!("{sets}/front"), "ready", ready).await?;
    let own = |pods: &[Value]| {
        pods.iter().filter(|pod| name(pod).starts_with("front-")).map(name).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = own(&host.list(&on_host("pods")).await?);

    // A Service of the host would send it traffic that is meant for the workload.
    let pods = "/api/v1/namespaces/shop/pods";
    virt.create(pods, plain("double", &labels)).await?;
    until_told(&virt, "shop", "SyncRefused", "double", "").await?;
    assert_eq!(host.get(&on_host("pods/double-x-shop-x-vc-1")).await?, None);

    // Without the Service it runs, and the ReplicaSet leaves it alone.
    host.delete(&on_host("services/front"), json!({})).await?;
    host.until_gone(&on_host("services/front")).await?;
    virt.create(pods, plain("bare", &labels)).await?;
    virt.until(&format!("{pods}/bare"), "running", |pod| phase(pod) == "Running").await?;
    let path = on_host("pods/bare-x-shop-x-vc-1");
    let controller = |pod: &Value| {
        let owners = pod["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        owners.into_iter().find(|owner| owner["controller"] == true).unwrap_or_default()
    };
    let first = host.get(&path).await?.context("the host pod")?;
    assert_eq!(
        (&controller(&first)["kind"], &controller(&first)["name"]),
        (&json!("ConfigMap"), &json!("tenet-pods-vc-1"))
    );
    assert_eq!(first["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"], "false");

    // A Service that comes later is told to the pod that it selects, which stays as it is.
    host.create(&on_host("services"), service).await?;
    let says = |pod: &Value, said: bool| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["type"] == "tenet.sh/Synced" && one["status"] == "False") == said
    };
    virt.until(&format!("{pods}/bare"), "told", |pod| says(pod, true)).await?;
    until_told(&virt, "shop", "SyncRefused", "bare", "").await?;
    host.delete(&on_host("services/front"), json!({})).await?;
    virt.until(&format!("{pods}/bare"), "free", |pod| says(pod, false)).await?;

    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(own(&host.list(&on_host("pods")).await?), before, "the workload of the host is untouched");
    let later = host.get(&path).await?.context("the host pod")?;
    assert_eq!(controller(&later), controller(&first));
    virt.delete(&format!("{pods}/bare"), json!({})).await?;
    virt.until_gone(&format!("{pods}/bare")).await?;

    // Somebody deletes the owner: the garbage collector takes no pod, and the next owner is as good.
    virt.create(pods, plain("calm", &json!({"app": "calm"}))).await?;
    let virtual_pod = virt.until(&format!("{pods}/calm"), "running", |pod| phase(pod) == "Running").await?;
    let path = on_host("pods/calm-x-shop-x-vc-1");
    let first = host.get(&path).await?.context("the host pod")?;
    let owner = on_host("configmaps/tenet-pods-vc-1");
    host.delete(&owner, json!({})).await?;
    let is_next = |pod: &Value| {
        let uid = &controller(pod)["uid"];
        !uid.is_null() && *uid != controller(&first)["uid"]
    };
    let after = host.until(&path, "owned by the next ConfigMap", is_next).await?;
    let next = host.get(&owner).await?.context("the next owner")?;
    assert_eq!(controller(&after)["uid"], next["metadata"]["uid"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let later = host.get(&path).await?.context("the host pod")?;
    assert_eq!(later["metadata"]["uid"], first["metadata"]["uid"]);
    let inside = virt.get(&format!("{pods}/calm")).await?.context("the virtual pod")?;
    assert_eq!(inside["metadata"]["uid"], virtual_pod["metadata"]["uid"]);
    passed(playground).await
}

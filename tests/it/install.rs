//! Installations on a real host API server.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_install::api::Api;
use tenet_install::bootstrap::{self, Changes, Request, Workloads};
use tenet_install::objects::{Installation, objects};
use tenet_install::resources::Resource;
use tenet_install::values::{Distro, ServiceType, StoreType, Values};
use tenet_playground::Component;
use time::OffsetDateTime;

use crate::cluster::{self, Cluster};
use crate::fault::{Moment, Plan, Proxy, Script};
use crate::harness::{Harness, client, new_namespace, rights};

/// The `tenet` command with the rights of a user on the host.
pub struct Tenet {
    pub kubeconfig: PathBuf,
    pub namespace: String,
}

impl Tenet {
    pub fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenet"));
        // Flags end where a command to run begins.
        let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
        command
            .args(&args[..end])
            .args(["-n", &self.namespace, "--kubeconfig"])
            .arg(&self.kubeconfig)
            .args(&args[end..]);
        Ok(command.output()?)
    }

    pub fn succeeds(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args)?;
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        ensure!(output.status.success(), "{args:?}: {stdout}{stderr}");
        Ok(stdout.into_owned())
    }

    pub fn fails(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args)?;
        ensure!(!output.status.success(), "{args:?} succeeded: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stderr)?)
    }
}

/// Creates a namespace on the host, and returns the command of its administrator.
pub async fn admin(harness: &Harness, namespace: &str) -> Result<Tenet> {
    new_namespace(&harness.host, namespace).await?;
    let kubeconfig = harness.playground.host_kubeconfig().to_owned();
    Ok(Tenet { kubeconfig, namespace: namespace.to_owned() })
}

/// Makes what the pod of the control plane of `vc-1` makes, at this time.
pub async fn bootstrap(harness: &Harness, namespace: &str, now: OffsetDateTime) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let request = Request {
        name: "vc-1".to_owned(),
        namespace: namespace.to_owned(),
        workloads: None,
        dir: dir.path().to_owned(),
        tls_sans: Vec::new(),
        service_cidr: None,
        prepared: None,
    };
    bootstrap::ensure(&Api::new(harness.host.client.clone()), &request, now).await?;
    Ok(())
}

/// Kind, name and UID of everything in a namespace and of cluster-scoped roles, without events. The roles of virtual
/// clusters in other namespaces are left out: tests that run at the same time have some.
pub async fn everything(host: &Cluster, namespace: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for group in [
        "/api/v1",
        "/apis/apps/v1",
        "/apis/rbac.authorization.k8s.io/v1",
        "/apis/networking.k8s.io/v1",
        "/apis/discovery.k8s.io/v1",
        "/apis/coordination.k8s.io/v1",
    ] {
        let resources = host.get(group).await?.context(group)?;
        for resource in resources["resources"].as_array().into_iter().flatten() {
            let name = resource["name"].as_str().unwrap_or_default();
            let lists = resource["verbs"].as_array().is_some_and(|verbs| verbs.contains(&json!("list")));
            if !lists || name.contains('/') || name == "events" {
                continue;
            }
            let is_role = name.starts_with("clusterrole");
            if resource["namespaced"] != true && !is_role {
                continue;
            }
            let path =
                if is_role { format!("{group}/{name}") } else { format!("{group}/namespaces/{namespace}/{name}") };
            let of_others = |item: &Value| {
                let name = cluster::name(item);
                name.starts_with("tenet-syncer:") && !name.starts_with(&format!("tenet-syncer:{namespace}:"))
            };
            for item in host.list(&path).await?.iter().filter(|item| !(is_role && of_others(item))) {
                all.push(format!("{name}/{} {}", cluster::name(item), item["metadata"]["uid"]));
            }
        }
    }
    all.sort();
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server_accepts_every_installation_in_a_restricted_namespace() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = "install-restricted";
    new_namespace(&harness.host, namespace).await?;
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    harness.host.patch(&format!("/api/v1/namespaces/{namespace}"), labels).await?;
    // The ServiceAccount has to exist before a pod is admitted.
    let account = json!({"metadata": {"name": "vc-vc-1"}});
    harness.host.create(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), account).await?;
    let stores = [StoreType::Sqlite, StoreType::Etcd, StoreType::Sql, StoreType::External];
    let distros = [Distro::K8s, Distro::K3s, Distro::K0s].into_iter();
    for (distro, store) in distros.flat_map(|distro| stores.map(|store| (distro, store))) {
        for expose in [ServiceType::ClusterIP, ServiceType::NodePort, ServiceType::LoadBalancer] {
            let mut values = Values { distro, ..Values::default() };
            values.store.external.endpoints = vec!["https://etcd:2379".to_owned()];
            "etcd".clone_into(&mut values.store.external.secret);
            values.monitoring.dashboard = true;
            values.store.r#type = store;
            "database".clone_into(&mut values.store.data_source.secret);
            values.expose.r#type = expose;
            values.rbac.cluster_role = true;
            values.pod.tolerations =
                vec![json!({"key": "a", "operator": "Exists"}).as_object().context("a map")?.clone()];
            values.pod.node_selector.insert("pool".to_owned(), "system".to_owned());
            values.images.pull_secrets = vec!["registry".to_owned()];
            let rights = rights("vc-1", namespace, &values)?;
            let installation = Installation { name: "vc-1", namespace, values: &values, rights: &rights };
            for object in objects(&installation) {
                let resource = Resource::of(&object).with_context(|| object["kind"].to_string())?;
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let dry = format!("{}?dryRun=All&fieldValidation=Strict", resource.collection(namespace));
                if name != "vc-vc-1" {
                    harness
                        .host
                        .create(&dry, object.clone())
                        .await
                        .with_context(|| format!("{distro:?} {store:?} {expose:?}"))?;
                }
                if object["kind"] == "StatefulSet" {
                    let template = &object["spec"]["template"];
                    let mut pod = json!({"metadata": template["metadata"], "spec": template["spec"]});
                    pod["metadata"]["name"] = json!("vc-1-0");
                    if matches!(store, StoreType::Sqlite | StoreType::Etcd) {
                        let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-vc-1-0"}});
                        pod["spec"]["volumes"].as_array_mut().context("volumes")?.push(claim);
                    }
                    let dry = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
                    harness.host.create(&dry, pod).await.with_context(|| format!("{distro:?} {store:?} {expose:?}"))?;
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_leaves_the_namespace_as_it_was_before_the_creation() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "install-delete").await?;
    let before = everything(&harness.host, &tenet.namespace).await?;
    let create = ["create", "vc-1", "--set", "rbac.clusterRole=true", "--timeout", "0"];
    tenet.succeeds(&create)?;
    let pods = format!("/api/v1/namespaces/{}/pods", tenet.namespace);
    harness.host.until_list(&pods, "the pod", |pods| !pods.is_empty()).await?;
    let created = everything(&harness.host, &tenet.namespace).await?;
    for kind in [
        "statefulsets/vc-1",
        "services/vc-1-headless",
        "networkpolicies/",
        "clusterroles/tenet-syncer:install-delete:vc-1",
        "persistentvolumeclaims/data-vc-1-0",
    ] {
        ensure!(created.iter().any(|found| found.starts_with(kind)), "no {kind} in {created:#?}");
    }
    // A second creation finds the first.
    tenet.succeeds(&create)?;
    assert_eq!(tenet.succeeds(&["list", "-o", "name"])?, "vc-1\n");
    tenet.succeeds(&["delete", "vc-1"])?;
    assert_eq!(everything(&harness.host, &tenet.namespace).await?, before);
    assert!(tenet.fails(&["delete", "vc-1"])?.contains("no virtual cluster vc-1"));
    tenet.succeeds(&["delete", "vc-1", "--ignore-not-found"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_in_another_namespace_are_deleted_in_both_and_shared_with_no_other_cluster() -> Result<()> {
    let harness = Harness::shared().await?;
    let (tenet, workloads) = (admin(&harness, "install-divided").await?, "install-workloads");
    new_namespace(&harness.host, workloads).await?;
    let both = async || {
        let (here, there) = (everything(&harness.host, &tenet.namespace), everything(&harness.host, workloads));
        Ok::<_, anyhow::Error>([here.await?, there.await?])
    };
    let before = both().await?;
    let create = ["create", "vc-1", "--workload-namespace", workloads, "--timeout", "0"];
    tenet.succeeds(&[&create[..], &["--set", "rbac.clusterRole=true"]].concat())?;
    let pods = format!("/api/v1/namespaces/{}/pods", tenet.namespace);
    harness.host.until_list(&pods, "the pod", |pods| !pods.is_empty()).await?;
    let [_, there] = both().await?;
    for kind in [
        "roles/tenet-syncer-vc-1 ",
        "rolebindings/tenet-syncer-vc-1 ",
        "services/vc-1 ",
        "clusterroles/tenet-syncer:install-workloads:vc-1 ",
    ] {
        ensure!(there.iter().any(|found| found.starts_with(kind)), "no {kind} in {there:#?}");
    }

    // The pod of the control plane, with the rights of its ServiceAccount alone.
    let dir = tempfile::tempdir()?;
    let kubeconfig = dir.path().join("kubeconfig");
    let account = format!("system:serviceaccount:{}:vc-vc-1", tenet.namespace);
    harness.playground.host_plane().write_kubeconfig(&kubeconfig, &account, None)?;
    let host = Api::new(client(&kubeconfig).await?);
    let mut request = Request {
        name: "vc-1".to_owned(),
        namespace: tenet.namespace.clone(),
        workloads: Some(Workloads { namespace: workloads.to_owned(), pod_addresses: vec!["10.1.0.7".parse()?] }),
        dir: dir.path().join("pki"),
        tls_sans: Vec::new(),
        service_cidr: None,
        prepared: None,
    };
    std::fs::create_dir(&request.dir)?;
    let now = OffsetDateTime::now_utc();
    assert_eq!(bootstrap::ensure(&host, &request, now).await?.endpoints, ["vc-1-ipv4"]);
    assert_eq!(bootstrap::ensure(&host, &request, now).await?, Changes::default());
    // Another pod, with another address.
    request.workloads = Some(Workloads { namespace: workloads.to_owned(), pod_addresses: vec!["10.1.0.8".parse()?] });
    assert_eq!(bootstrap::ensure(&host, &request, now).await?.endpoints, ["vc-1-ipv4"]);
    let slice = format!("/apis/discovery.k8s.io/v1/namespaces/{workloads}/endpointslices/vc-1-ipv4");
    let slice = harness.host.get(&slice).await?.context("the EndpointSlice")?;
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["10.1.0.8"]));
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "vc-1");
    let doctor = String::from_utf8(tenet.run(&["doctor", "vc-1"])?.stdout)?;
    for line in ["ok    host namespace          install-workloads", "ok    rights of the syncer "] {
        ensure!(doctor.contains(line), "no {line:?} in {doctor}");
    }

    let expected = "belongs to virtual cluster vc-1 of namespace install-divided";
    let other = admin(&harness, "install-divided-2").await?;
    for told in [other.fails(&create)?, Tenet { namespace: workloads.to_owned(), ..other }.fails(&["create", "vc-1"])?]
    {
        ensure!(told.contains(expected), "{told}");
    }
    let told = tenet.fails(&["create", "vc-1", "--upgrade", "--timeout", "0"])?;
    ensure!(
        told.contains("are in namespace install-workloads of the host: they cannot move to install-divided"),
        "{told}"
    );

    let copy = json!({"metadata": {"name": "copy", "labels": {"tenet.sh/managed-by": "vc-1"}}});
    harness.host.create(&format!("/api/v1/namespaces/{workloads}/configmaps"), copy.clone()).await?;
    tenet.succeeds(&["delete", "vc-1", "--keep-data"])?;
    let [here, there] = both().await?;
    assert_eq!(there, before[1]);
    ensure!(here.iter().any(|found| found.starts_with("secrets/vc-1-certs ")), "{here:#?}");
    // As after `helm uninstall`, only the Secrets are left: they lead to the namespace of the tenant's objects.
    harness.host.create(&format!("/api/v1/namespaces/{workloads}/configmaps"), copy).await?;
    tenet.succeeds(&["delete", "vc-1", "--keep-data"])?;
    assert_eq!(both().await?[1], before[1]);
    // A later creation goes on, in the same namespaces.
    ensure!(tenet.fails(&["create", "vc-1", "--timeout", "0"])?.contains("cannot move"), "the namespace is forgotten");
    tenet.succeeds(&create)?;
    tenet.succeeds(&["delete", "vc-1"])?;
    assert_eq!(both().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_was_interrupted_anywhere_is_finished_by_the_next() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "install-interrupted").await?;
    let values = Values::default();
    let rights = rights("vc-1", &tenet.namespace, &values)?;
    let all = objects(&Installation { name: "vc-1", namespace: &tenet.namespace, values: &values, rights: &rights });
    for written in 0..all.len() {
        for object in &all[..written] {
            let resource = Resource::of(object).context("a resource")?;
            let path = resource.path(&tenet.namespace, object["metadata"]["name"].as_str().unwrap_or_default());
            harness.host.apply(&path, object.clone()).await?;
        }
        tenet.succeeds(&["create", "vc-1", "--timeout", "0"])?;
        let set = format!("/apis/apps/v1/namespaces/{}/statefulsets/vc-1", tenet.namespace);
        ensure!(harness.host.get(&set).await?.is_some(), "no StatefulSet after {written} writes");
        tenet.succeeds(&["delete", "vc-1"])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_killed_at_any_write_is_finished_by_the_next() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "install-killed").await?;
    let before = everything(&harness.host, &tenet.namespace).await?;
    let (dir, script) = (tempfile::tempdir()?, Arc::new(Script::default()));
    let proxy = Proxy::start("host", harness.host.client.clone(), Arc::clone(&script)).await?;
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, proxy.kubeconfig())?;
    let mut write = 0;
    loop {
        tenet.succeeds(&["create", "vc-1", "--timeout", "0"])?;
        let pods = format!("/api/v1/namespaces/{}/pods", tenet.namespace);
        harness.host.until_list(&pods, "the pod", |pods| !pods.is_empty()).await?;
        let mut killed = script.arm(Some(Plan { write, moment: Moment::At }));
        let mut deletion = tokio::process::Command::new(env!("CARGO_BIN_EXE_tenet"))
            .args(["delete", "vc-1", "-n", &tenet.namespace, "--kubeconfig"])
            .arg(&kubeconfig)
            .kill_on_drop(true)
            .spawn()?;
        let is_over = tokio::select! {
            ended = deletion.wait() => ended?.success(),
            _ = killed.recv() => false,
        };
        if !is_over {
            deletion.kill().await?;
            tenet.succeeds(&["delete", "vc-1", "--ignore-not-found"])?;
        }
        assert_eq!(everything(&harness.host, &tenet.namespace).await?, before, "killed at write {write}");
        if is_over {
            break;
        }
        write += 1;
    }
    ensure!(write > 8, "the deletion makes only {write} writes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_can_end_with_a_connection() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "install-connect").await?;
    // A store without a volume: nothing on this host provides one.
    let store = ["--set", "store.type=sql", "--set", "store.dataSource.secret=database"];
    tenet.succeeds(&[&["create", "vc-1", "--timeout", "0", "--expose", "nodeport"], &store[..]].concat())?;
    bootstrap(&harness, &tenet.namespace, OffsetDateTime::now_utc()).await?;
    let service = harness.host.get("/api/v1/namespaces/install-connect/services/vc-1").await?.context("the Service")?;
    let dir = tempfile::tempdir()?;
    let output = Command::new(env!("CARGO_BIN_EXE_tenet"))
        .args(["create", "vc-1", "--connect", "-n", "install-connect", "--kubeconfig"])
        .arg(&tenet.kubeconfig)
        .current_dir(dir.path())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written: Value = serde_saphyr::from_str(&std::fs::read_to_string(dir.path().join("kubeconfig.yaml"))?)?;
    let server = written["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default().to_owned();
    ensure!(server.ends_with(&format!(":{}", service["spec"]["ports"][0]["nodePort"])), "{server}");
    let message = tenet.fails(&["create", "vc-1", "--connect", "--timeout", "0"])?;
    assert_eq!(message, "tenet: --connect waits until the virtual cluster is ready: leave out --timeout 0\n");
    tenet.succeeds(&["delete", "vc-1"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vcluster_yaml_is_translated_and_what_is_left_out_is_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("vcluster.yaml");
    std::fs::write(
        &file,
        "controlPlane: {backingStore: {etcd: {deploy: {enabled: true}}}, service: {spec: {type: NodePort}}}\n\
         sync: {toHost: {customResources: {a.example.com: {enabled: true}}}}\n\
         policies: {resourceQuota: {enabled: true}}\n",
    )?;
    let shown = file.to_string_lossy().into_owned();
    let tenet = Tenet { kubeconfig: "/absent".into(), namespace: "team-a".to_owned() };
    let output = tenet.run(&["create", "vc-1", "--dry-run", "-f", &shown])?;
    assert_eq!(
        String::from_utf8(output.stderr)?,
        format!(
            "tenet: {shown}: policies.resourceQuota: has no counterpart: create it in the host namespace\n\
             tenet: {shown}: sync.toHost.customResources.a.example.com.enabled: has no counterpart\n"
        )
    );
    let same = tenet.succeeds(&["create", "vc-1", "--dry-run", "--store", "etcd", "--expose", "nodeport"])?;
    assert_eq!(String::from_utf8(output.stdout)?, same);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_runs_the_same_program_as_a_plugin() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "install-plugin").await?;
    tenet.succeeds(&["create", "vc-1", "--timeout", "0"])?;
    let dir = tempfile::tempdir()?;
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tenet"), dir.path().join("kubectl-tenet"))?;
    let kubectl = harness.playground.components().path(Component::Kubectl);
    let run = |args: &[&str]| {
        Command::new(kubectl)
            .arg("tenet")
            .args(args)
            .env("PATH", dir.path())
            .env("KUBECONFIG", &tenet.kubeconfig)
            .output()
    };
    let listed = run(&["list", "-n", &tenet.namespace, "-o", "name"])?;
    assert_eq!(String::from_utf8(listed.stdout)?, "vc-1\n", "{}", String::from_utf8_lossy(&listed.stderr));
    let usage = String::from_utf8(run(&["list", "--absent"])?.stderr)?;
    ensure!(usage.contains("Usage: kubectl tenet list"), "{usage}");
    tenet.succeeds(&["delete", "vc-1"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_created_is_told_before_anything_is_written() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "install-mistakes").await?;
    let services = format!("/api/v1/namespaces/{}/services", tenet.namespace);
    let foreign = json!({"metadata": {"name": "vc-1"}, "spec": {"ports": [{"port": 80}]}});
    harness.host.create(&services, foreign).await?;
    let before = everything(&harness.host, &tenet.namespace).await?;
    for (args, expected) in [
        (&["create", "vc-1"][..], "Service vc-1 belongs to somebody else"),
        (&["create", "Vc_2"], "is not a DNS label"),
        (&["create", "vc-2", "--set", "store.typ=etcd"], "unknown field `typ`"),
        (&["create", "vc-2", "--set", "syncer.config.kindz=1"], "kindz"),
        (&["create", "vc-2", "--distro", "k9s"], "k9s"),
        (&["connect", "vc-2"], "no virtual cluster vc-2"),
        (&["pause", "vc-2"], "no virtual cluster vc-2"),
        (&["create", "vc-2", "--context", "nowhere"], "nowhere"),
    ] {
        let told = tenet.fails(args)?;
        ensure!(told.contains(expected), "{args:?}: {told}");
        assert_eq!(everything(&harness.host, &tenet.namespace).await?, before, "{args:?}");
    }
    let elsewhere = Tenet { namespace: "install-nowhere".to_owned(), ..tenet };
    assert!(elsewhere.fails(&["create", "vc-2"])?.contains("namespace install-nowhere does not exist"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_the_namespace_is_told_the_missing_role_and_needs_no_more() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "install-rights").await?;
    let root = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", tenet.namespace);
    let bind = async |kind: &str, role: &str| {
        let subject = json!({"kind": "User", "name": "owner", "apiGroup": "rbac.authorization.k8s.io"});
        let reference = json!({"kind": kind, "name": role, "apiGroup": "rbac.authorization.k8s.io"});
        let binding =
            json!({"metadata": {"name": format!("owner-{role}")}, "subjects": [subject], "roleRef": reference});
        harness.host.create(&format!("{root}/rolebindings"), binding).await
    };
    bind("ClusterRole", "admin").await?;
    let dir = tempfile::tempdir()?;
    let kubeconfig = dir.path().join("kubeconfig");
    harness.playground.host_plane().write_kubeconfig(&kubeconfig, "owner", None)?;
    let owner = Tenet { kubeconfig, namespace: tenet.namespace };
    let told = owner.fails(&["create", "vc-1", "--timeout", "0"])?;
    let (_, role) = told.split_once("grant you this:\n\n").with_context(|| told.clone())?;
    let role: Value = serde_saphyr::from_str(role)?;
    ensure!(told.contains("pods/status"), "{told}");
    harness.host.create(&format!("{root}/roles"), role).await?;
    bind("Role", "tenet-installer").await?;
    owner.succeeds(&["create", "vc-1", "--timeout", "0"])?;
    owner.succeeds(&["delete", "vc-1"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_what_is_created_and_needs_no_host() -> Result<()> {
    let tenet = Tenet { kubeconfig: "/absent".into(), namespace: "team-a".to_owned() };
    let printed = tenet.succeeds(&["create", "vc-1", "--dry-run", "--store", "etcd", "--expose", "nodeport"])?;
    let documents: Vec<Value> = printed
        .split("---\n")
        .filter(|document| !document.is_empty())
        .map(|document| Ok(serde_saphyr::from_str(document)?))
        .collect::<Result<_>>()?;
    let mut values = Values::default();
    values.store.r#type = StoreType::Etcd;
    values.expose.r#type = ServiceType::NodePort;
    let rights = rights("vc-1", "team-a", &values)?;
    assert_eq!(
        documents,
        objects(&Installation { name: "vc-1", namespace: "team-a", values: &values, rights: &rights })
    );
    Ok(())
}

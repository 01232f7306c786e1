//! The rights of the syncer on the host: what is declared, printed and documented is what it needs, and all that
//! it has.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tenet_config::{Config, Overrides};
use tenet_mapper::Side;
use tenet_playground::{Options, Playground};
use tenet_syncer::role::{self, Need};

use crate::harness::{Separate, cluster, configured, in_folder, new_namespace, passed};

/// The user of the syncer in the host cluster of a playground.
const USER: &str = "tenet-syncer";

fn needs() -> Result<(Config, Vec<Need>)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/minimal.yaml");
    let config = Config::load(Some(&file), &Overrides::default())?;
    let needs = role::needs(&config, &tenet_core_mappers::all(), &tenet_sockets::Sockets);
    Ok((config, needs))
}

#[test]
fn the_default_rights_on_the_host_end_at_one_namespace() -> Result<()> {
    for Need { by, right } in needs()?.1.iter().filter(|need| need.right.side == Side::Host) {
        assert!(right.optional || !right.is_cluster_scoped(), "{by} cannot do without {right}");
        assert_ne!(right.resource(), "nodes/proxy", "{by}");
        assert!(!right.verbs.is_empty() && !right.why.is_empty() && !right.why.contains('\n'), "{by}: {right}");
    }
    Ok(())
}

#[test]
fn the_documented_role_is_the_one_that_the_syncer_prints() -> Result<()> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/minimal.yaml");
    let print = |flag: &str| -> Result<String> {
        let run = Command::new(env!("CARGO_BIN_EXE_tenet-syncer")).arg("--config").arg(&config).arg(flag).output()?;
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        Ok(String::from_utf8(run.stdout)?)
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let mut page = std::fs::read_to_string(&file)?;
    for (flag, mark) in [
        ("--print-role", "kind: Role\n"),
        ("--print-cluster-role", "kind: ClusterRole\nmetadata:\n  name: tenet-syncer:team-a:vc-1\n"),
        ("--print-virtual-role", "kind: ClusterRole\nmetadata:\n  name: tenet-syncer:vc-1\n"),
    ] {
        let printed = print(flag)?;
        let at = page.find(mark).with_context(|| format!("docs/operations.md has no {mark}"))?;
        let start = page[..at].rfind("```yaml\n").context("a block")? + "```yaml\n".len();
        let end = start + page[start..].find("```\n").context("its end")?;
        if std::env::var_os("UPDATE").is_some() {
            page.replace_range(start..end, &printed);
            std::fs::write(&file, &page)?;
        }
        assert!(page[start..].starts_with(&printed), "docs/operations.md is not what {flag} prints: run with UPDATE=1");
    }
    Ok(())
}

/// Requests of the syncer that the host forbade: verb and path of each, from its audit log.
fn forbidden(playground: &Playground) -> Result<BTreeSet<String>> {
    let log = std::fs::read_to_string(playground.host_plane().audit_log())?;
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = events.filter(|event| event["user"]["username"] == USER);
    let forbidden = ours.filter(|event| event["responseStatus"]["code"] == 403);
    let path = |event: &Value| event["requestURI"].as_str().unwrap_or_default().split('?').next().map(str::to_owned);
    Ok(forbidden.map(|event| format!("{} {}", event["verb"], path(&event).unwrap_or_default())).collect())
}

/// Requests of the syncer to the virtual cluster that no declared right covers, from its audit log.
fn undeclared(playground: &Playground) -> Result<BTreeSet<String>> {
    let needs = needs()?.1;
    let rights: Vec<_> = needs.iter().map(|need| &need.right).filter(|right| right.side == Side::Virtual).collect();
    let log = std::fs::read_to_string(playground.virtual_plane().audit_log())?;
    let events: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let ours = || events.iter().filter(|event| event["user"]["username"] == USER);
    anyhow::ensure!(ours().count() > 20, "the audit log shows the syncer");
    let mut undeclared = BTreeSet::new();
    for event in ours() {
        let object = &event["objectRef"];
        let text = |member: &str| object[member].as_str().unwrap_or_default();
        let resource = match text("subresource") {
            "" => text("resource").to_owned(),
            subresource => format!("{}/{subresource}", text("resource")),
        };
        let verb = event["verb"].as_str().unwrap_or_default();
        let is_declared = rights.iter().any(|right| {
            right.group() == text("apiGroup")
                && right.resource() == resource
                && right.verbs.iter().any(|declared| declared.as_str() == verb)
        });
        if !resource.is_empty() && !is_declared {
            undeclared.insert(format!("{verb} {resource}.{}", text("apiGroup")));
        }
    }
    Ok(undeclared)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_syncer_lives_with_exactly_the_role_that_it_prints() -> Result<()> {
    let options = Options { syncer_settings: "coredns: { enabled: true }\n".to_owned(), ..in_folder("rights") };
    let Separate { playground, host, virt } = Separate::start(options).await?;
    let namespace = playground.namespace();
    let roles = host.list("/apis/rbac.authorization.k8s.io/v1/rolebindings").await?;
    let subjects = |binding: &Value| binding["subjects"].as_array().cloned().unwrap_or_default();
    let bound = roles.iter().filter(|binding| subjects(binding).iter().any(|subject| subject["name"] == USER));
    let bound: Vec<_> = bound.map(|binding| &binding["metadata"]["name"]).collect();
    assert_eq!(bound, ["tenet-syncer-vc-1"], "no other Role");

    new_namespace(&virt, "shop").await?;
    let objects = "/api/v1/namespaces/shop";
    let outside = |kind: &str, name: &str| format!("/api/v1/namespaces/{namespace}/{kind}/{name}-x-shop-x-vc-1");
    virt.create(&format!("{objects}/configmaps"), json!({"metadata": {"name": "settings"}, "data": {"a": "1"}}))
        .await?;
    virt.create(&format!("{objects}/secrets"), json!({"metadata": {"name": "key"}, "stringData": {"k": "v"}})).await?;
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    virt.create(&format!("{objects}/services"), service).await?;
    let pod = json!({"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {
        "readinessGates": [{"conditionType": "example.com/ok"}],
        "containers": [{"name": "c", "image": "i", "envFrom": [{"configMapRef": {"name": "settings"}}]}],
        "volumes": [{"name": "key", "secret": {"secretName": "key"}}],
    }});
    virt.create(&format!("{objects}/pods"), pod).await?;
    let pod = format!("{objects}/pods/web");
    virt.until(&pod, "running", |pod| pod["status"]["phase"] == "Running").await?;

    // The nodes of the playground do not support a resize.
    let own = cluster("host", playground.syncer_host_kubeconfig()).await?;
    let resize = json!({"verb": "patch", "resource": "pods", "subresource": "resize", "namespace": namespace});
    let review = json!({"spec": {"resourceAttributes": resize}});
    let review = own.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).await?;
    assert_eq!(review["status"]["allowed"], true);

    // Every other write of the mappers, and what the kubelet passes on.
    virt.patch(&pod, json!({"metadata": {"labels": {"tier": "front"}}})).await?;
    virt.patch(&format!("{objects}/configmaps/settings"), json!({"data": {"a": "2"}})).await?;
    virt.patch(&format!("{objects}/services/web"), json!({"spec": {"ports": [{"port": 81}]}})).await?;
    virt.patch(
        &format!("{pod}/ephemeralcontainers"),
        json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "i"}]}}),
    )
    .await?;
    let gate = json!({"type": "example.com/ok", "status": "True"});
    let now = virt.get(&pod).await?.unwrap_or_default();
    let mut conditions = now["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.push(gate);
    virt.patch(&format!("{pod}/status"), json!({"status": {"conditions": conditions}})).await?;
    let followed = |host: &Value| {
        let debugged = host["spec"]["ephemeralContainers"][0]["name"] == "debug";
        let conditions = host["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let told = conditions.iter().any(|condition| condition["type"] == "example.com/ok");
        debugged && told && host["metadata"]["labels"]["tier"] == "front"
    };
    host.until(&outside("pods", "web"), "as inside", followed).await?;
    host.until(&outside("configmaps", "settings"), "as inside", |copy| copy["data"]["a"] == "2").await?;
    host.until(&outside("services", "web"), "as inside", |copy| copy["spec"]["ports"][0]["port"] == 81).await?;
    let kubectl = |args: &[&str]| -> Result<std::process::Output> {
        let kubectl = playground.components().path(tenet_playground::Component::Kubectl);
        Ok(Command::new(kubectl).arg("--kubeconfig").arg(playground.virtual_kubeconfig()).args(args).output()?)
    };
    for args in
        [&["-n", "shop", "logs", "web", "--tail=1"] as &[_], &["-n", "shop", "exec", "web", "--", "echo", "hello"]]
    {
        let output = kubectl(args)?;
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    // The host deletes, and the tenant does.
    host.delete(&outside("services", "web"), json!({})).await?;
    host.until(&outside("services", "web"), "made again", Value::is_object).await?;
    virt.delete(&format!("{objects}/services/web"), json!({})).await?;
    virt.delete(&pod, json!({})).await?;
    for (kind, name) in [("services", "web"), ("pods", "web"), ("configmaps", "settings"), ("secrets", "key")] {
        host.until_gone(&outside(kind, name)).await?;
    }
    playground.start_syncer(&configured(&playground)).await?;

    // Nodes, volumes and classes are read where that is permitted, and metrics are where there are any.
    let optional = [
        "/api/v1/nodes",
        "/api/v1/persistentvolumes",
        "/apis/node.k8s.io/v1/runtimeclasses",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        "/apis/storage.k8s.io/v1/storageclasses",
    ];
    let optional = optional.map(|path| ["list", "watch"].map(|verb| format!("\"{verb}\" {path}"))).concat();
    let mut forbidden = forbidden(&playground)?;
    assert!(forbidden.contains(&optional[0]), "the log tells what is forbidden: {forbidden:#?}");
    forbidden.retain(|request| !optional.contains(request));
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    let undeclared = undeclared(&playground)?;
    assert!(undeclared.is_empty(), "{undeclared:#?}");
    passed(playground).await
}

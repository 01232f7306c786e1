//! `tenet why` about objects of a real virtual cluster.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::harness::{Harness, until_told};
use crate::install::Tenet;

/// Returns the command of the tenant in a virtual namespace.
fn inside(harness: &Harness, namespace: &str) -> Tenet {
    Tenet { kubeconfig: harness.playground.virtual_kubeconfig().to_owned(), namespace: namespace.to_owned() }
}

/// Returns the answer, and true if something blocks the object.
fn asked(harness: &Harness, namespace: &str, args: &[&str]) -> Result<(String, bool)> {
    let tenet = inside(harness, namespace);
    let host = harness.playground.host_kubeconfig().to_string_lossy();
    let output = tenet.run(&[&["why"], args, &["--host-kubeconfig", &host]].concat())?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(!said.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok((said, !output.status.success()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_the_field_and_with_what_to_do() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let spec = json!({"hostNetwork": true, "containers": [{"name": "c", "image": "i"}]});
    harness.virt.create(&pods, json!({"metadata": {"name": "bad"}, "spec": spec})).await?;
    until_told(&harness.virt, &namespace, "SyncRefused", "bad", "").await?;
    let refused = |pod: &Value| pod["status"]["reason"] == "SyncRefused";
    harness.virt.until(&format!("{pods}/bad"), "refused", refused).await?;
    let (said, is_blocked) = asked(&harness, &namespace, &["pod/bad"])?;
    ensure!(is_blocked, "{said}");
    for words in [
        format!("pod/bad in namespace {namespace}\n"),
        "state:       Pending\n".to_owned(),
        "rule:        it is copied to the host, where it counts\n".to_owned(),
        "decision:    SyncRefused (".to_owned(),
        "last write:  ".to_owned(),
        "blocked by:  SyncRefused: spec.hostNetwork".to_owned(),
        "to do:       take the field out, or ask the operator of the virtual cluster to permit it".to_owned(),
    ] {
        ensure!(said.contains(&words), "{words:?} is not in:\n{said}");
    }
    ensure!(!said.contains("on the host:"), "{said}");
    // The workload of such a pod is blocked by it.
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": spec});
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    harness.virt.create(&deployments, deployment).await?;
    let of_web = format!("{pods}?labelSelector=app%3Dweb");
    harness.virt.until_list(&of_web, "a refused pod", |pods| pods.iter().any(refused)).await?;
    let (said, is_blocked) = asked(&harness, &namespace, &["deploy/web", "-o", "json"])?;
    let said: Value = serde_json::from_str(&said)?;
    let blocked_by = said[0]["pod"]["blocked_by"].as_str().unwrap_or_default();
    ensure!(is_blocked && blocked_by.starts_with("SyncRefused: spec.hostNetwork"), "{said:#}");
    assert_eq!(said[0]["rule"], "it stays inside; the pods that it makes are copied to the host");
    harness.virt.delete(&format!("{deployments}/web"), json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_pod_is_not_blocked_and_its_copy_is_named_to_whoever_may_see_it() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let pod = json!({"metadata": {"name": "good"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    harness.virt.create(&pods, pod).await?;
    let is_ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    harness.virt.until(&format!("{pods}/good"), "ready", is_ready).await?;
    let (said, is_blocked) = asked(&harness, &namespace, &["po/good"])?;
    ensure!(!is_blocked && said.ends_with("\n  nothing blocks it\n"), "{said}");
    ensure!(said.contains(&format!("on the host: good-x-{namespace}-x-vc-1, Running, ready\n")), "{said}");
    ensure!(said.contains("state:       Running, ready\n"), "{said}");

    let inside = inside(&harness, &namespace);
    let said = inside.succeeds(&["why", "pod/good"])?;
    ensure!(!said.contains("on the host:") && !said.contains("-x-vc-1"), "{said}");
    let config = format!("/api/v1/namespaces/{namespace}/configmaps");
    harness.virt.create(&config, json!({"metadata": {"name": "unused"}})).await?;
    let said = inside.succeeds(&["why", "cm/unused"])?;
    ensure!(said.contains("it is copied to the host when a pod there, or an Ingress, uses it"), "{said}");
    for (object, expected) in [
        ("pod/absent", format!("tenet: pod/absent in namespace {namespace} does not exist in the virtual cluster\n")),
        ("gizmo/a", "tenet: the virtual cluster has no kind \"gizmo\": kubectl api-resources shows all\n".to_owned()),
        ("nginx", "tenet: \"nginx\" names no object: expected KIND/NAME, such as pod/nginx\n".to_owned()),
    ] {
        assert_eq!(inside.fails(&["why", object])?, expected);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_under_the_name_is_the_obstacle() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let taken = format!("seen-x-{namespace}-x-vc-1");
    let foreign = json!({"metadata": {"name": taken}, "spec": {"containers": [{"name": "theirs", "image": "i"}]}});
    harness.host.create(&harness.on_host("pods"), foreign).await?;
    let pod = json!({"metadata": {"name": "seen"}, "spec": {"containers": [{"name": "ours", "image": "i"}]}});
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    harness.virt.create(&pods, pod).await?;
    until_told(&harness.virt, &namespace, "SyncBlocked", "seen", "").await?;
    let marked = |pod: &Value| pod["status"]["reason"].as_str().is_some_and(|reason| reason.starts_with("Sync"));
    harness.virt.until(&format!("{pods}/seen"), "marked", marked).await?;
    let (said, is_blocked) = asked(&harness, &namespace, &["pod/seen"])?;
    ensure!(is_blocked && said.contains("blocked by:  SyncBlocked: "), "{said}");
    ensure!(said.contains("to do:       ask the operator to remove the object on the host"), "{said}");
    harness.host.delete(&harness.on_host(&format!("pods/{taken}")), json!({"gracePeriodSeconds": 0})).await
}

//! Dual stack, requests that are refused later, and an unavailable webhook.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::lab::{Lab, at, service};
use crate::harness::{passed, until_asked, until_told};

const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/tenet-admission";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_right_in_two_families_after_late_refusals_and_when_nobody_answered() -> Result<()> {
    let lab = Lab::start("admission-policy", "Ignore").await?;
    two_families(&lab).await.context("two families")?;
    refused_later(&lab).await.context("refused later")?;
    slipped_past(&lab).await.context("slipped past")?;
    registered_again(&lab).await.context("registered again")?;
    another_authority(&lab).await.context("another authority")?;
    passed(lab.own.playground).await
}

async fn two_families(lab: &Lab) -> Result<()> {
    for (name, policy, count) in
        [("single", "SingleStack", 1), ("prefer", "PreferDualStack", 2), ("dual", "RequireDualStack", 2)]
    {
        let made = lab.virt.create(&at(""), service(name, &json!({"ipFamilyPolicy": policy}))).await?;
        ensure!(made["spec"]["clusterIPs"].as_array().is_some_and(|all| all.len() == count), "{made:#}");
        let twin = lab.host.get(&lab.twin(name)).await?.context("the twin")?;
        ensure!(made["spec"]["clusterIPs"] == twin["spec"]["clusterIPs"], "{made:#} {twin:#}");
    }
    let second = json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}});
    let changed = lab.virt.patch(&at("/single"), second).await?;
    let twin = lab.host.get(&lab.twin("single")).await?.context("the twin")?;
    ensure!(changed["spec"]["clusterIPs"].as_array().is_some_and(|all| all.len() == 2), "{changed:#}");
    ensure!(changed["spec"]["clusterIPs"] == twin["spec"]["clusterIPs"], "{changed:#} {twin:#}");
    lab.until_equal().await?;
    for name in ["single", "prefer", "dual"] {
        lab.virt.delete(&at(&format!("/{name}")), json!({})).await?;
    }
    lab.until_equal().await
}

/// A policy of the virtual cluster refuses a request that the webhook has allowed: a create leaves
/// nothing behind, and a change removes nothing.
async fn refused_later(lab: &Lab) -> Result<()> {
    let made = lab.virt.create(&at(""), service("stays", &json!({"type": "NodePort"}))).await?;
    lab.until_equal().await?;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({"metadata": {"name": "late"}, "spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]}]},
        "validations": [{"expression": "!object.spec.ports.exists(port, port.port == 81)", "message": "no port 81"}]}});
    lab.virt.create(&format!("{group}/validatingadmissionpolicies"), policy).await?;
    let binding = json!({"metadata": {"name": "late"}, "spec": {"policyName": "late", "validationActions": ["Deny"]}});
    lab.virt.create(&format!("{group}/validatingadmissionpolicybindings"), binding).await?;
    let refused = service("refused", &json!({"ports": [{"port": 81}]}));
    let dry = format!("{}?dryRun=All", at(""));
    while lab.virt.create(&dry, refused.clone()).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    ensure!(lab.host.get(&lab.twin("refused")).await?.is_none(), "a dry run has left something");
    ensure!(lab.virt.create(&at(""), refused).await.is_err());
    ensure!(lab.host.get(&lab.twin("refused")).await?.is_some(), "it is reserved until the request is over");
    let change = json!({"spec": {"ports": [{"port": 81}]}});
    ensure!(lab.virt.patch(&at("/stays"), change).await.is_err());
    let twin = lab.host.get(&lab.twin("stays")).await?.context("the twin")?;
    let has = |port: &Value| {
        twin["spec"]["ports"].as_array().is_some_and(|all| all.iter().any(|one| one["nodePort"] == *port))
    };
    ensure!(has(&made["spec"]["ports"][0]["nodePort"]), "the stored node port is gone: {twin:#}");
    lab.until_equal().await?;
    let after = lab.virt.get(&at("/stays")).await?.context("the Service")?;
    ensure!(after["spec"]["ports"] == made["spec"]["ports"], "{made:#} {after:#}");
    for kind in ["validatingadmissionpolicybindings", "validatingadmissionpolicies"] {
        lab.virt.delete(&format!("{group}/{kind}/late"), json!({})).await?;
    }
    lab.virt.delete(&at("/stays"), json!({})).await?;
    lab.until_equal().await
}

/// The webhook is unavailable and the failure policy ignores it: an address that another Service
/// of the host has is replaced, and the Service keeps its UID.
async fn slipped_past(lab: &Lab) -> Result<()> {
    let address = "10.96.88.88";
    let squatter = service("squatter", &json!({"clusterIP": address}));
    lab.host.create("/api/v1/namespaces/default/services", squatter).await?;
    lab.playground.kill_syncer();
    let made = lab.virt.create(&at(""), service("slipped", &json!({"clusterIP": address}))).await?;
    ensure!(made["spec"]["clusterIP"] == address);
    lab.restart().await?;
    lab.until_equal().await?;
    let after = lab.virt.get(&at("/slipped")).await?.context("the Service")?;
    ensure!(after["metadata"]["uid"] == made["metadata"]["uid"] && after["spec"]["clusterIP"] != address, "{after:#}");
    until_told(&lab.virt, "default", "SyncRepaired", "slipped", "").await?;
    lab.host.delete("/api/v1/namespaces/default/services/squatter", json!({})).await?;
    lab.virt.delete(&at("/slipped"), json!({})).await?;
    lab.until_equal().await
}

/// The registration is deleted, missing after a restore of the store, or
/// changed: it is written again.
async fn registered_again(lab: &Lab) -> Result<()> {
    let before = lab.virt.get(REGISTRATION).await?.context("the registration")?;
    lab.virt.delete(REGISTRATION, json!({})).await?;
    lab.virt.until(REGISTRATION, "there again", |found| found["webhooks"] == before["webhooks"]).await?;
    lab.virt.patch(REGISTRATION, json!({"webhooks": []})).await?;
    lab.virt.until(REGISTRATION, "whole again", |found| found["webhooks"] == before["webhooks"]).await?;
    until_asked(&lab.virt).await
}

/// The authority is lost: a new one is created, and the registration gets it.
async fn another_authority(lab: &Lab) -> Result<()> {
    let before = lab.virt.get(REGISTRATION).await?.context("the registration")?;
    let secret = format!("/api/v1/namespaces/{}/secrets/vc-1-tenet-serving", lab.playground.namespace());
    lab.host.delete(&secret, json!({})).await?;
    lab.restart().await?;
    let config = |found: &Value| found["webhooks"][0]["clientConfig"].clone();
    let after = lab.virt.until(REGISTRATION, "another", |found| config(found) != config(&before)).await?;
    ensure!(config(&after)["url"] != config(&before)["url"], "the secret of the path goes with the authority");
    until_asked(&lab.virt).await?;
    let made = lab.virt.create(&at(""), service("trusted", &json!({}))).await?;
    let twin = lab.host.get(&lab.twin("trusted")).await?.context("the twin")?;
    ensure!(made["spec"]["clusterIP"] == twin["spec"]["clusterIP"]);
    Ok(())
}

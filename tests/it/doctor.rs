//! `tenet doctor` and `tenet certs check` on a real host API server, where no container runs: what needs a virtual API
//! server is in the walk.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::harness::Harness;
use crate::install::{Tenet, admin, bootstrap};

/// Host namespace with the objects of a virtual cluster.
struct Site {
    harness: Harness,
    tenet: Tenet,
}

impl Site {
    async fn new(namespace: &str) -> Result<Self> {
        let harness = Harness::shared().await?;
        let tenet = admin(&harness, namespace).await?;
        tenet.succeeds(&["create", "vc-1", "--timeout", "0"])?;
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        harness.host.until_list(&pods, "the pod of the control plane", |pods| !pods.is_empty()).await?;
        Ok(Self { harness, tenet })
    }

    async fn bootstrap(&self, now: OffsetDateTime) -> Result<()> {
        bootstrap(&self.harness, &self.tenet.namespace, now).await
    }

    /// Returns status, detail and help of each check.
    fn findings(&self) -> Result<BTreeMap<String, [String; 3]>> {
        let output = self.tenet.run(&["doctor", "vc-1", "-o", "json"])?;
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let fails = rows.iter().any(|row| row["status"] == "fail");
        assert_eq!(output.status.success(), !fails, "the exit code tells: {rows:#?}");
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let all =
            rows.iter().map(|row| (text(row, "name"), ["status", "detail", "help"].map(|field| text(row, field))));
        Ok(all.collect())
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.tenet.namespace)
    }
}

fn assert_found(found: &BTreeMap<String, [String; 3]>, check: &str, expected: [&str; 3]) -> Result<()> {
    let parts = found.get(check).with_context(|| format!("no {check} in {found:#?}"))?;
    let [status, detail, help] = parts;
    let is_as_expected = status == expected[0] && detail.contains(expected[1]) && help.starts_with(expected[2]);
    ensure!(is_as_expected, "{check}: {parts:#?} is not {expected:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_is_told_with_the_command_that_helps() -> Result<()> {
    let site = Site::new("doctor-troubles").await?;
    let host = &site.harness.host;
    site.bootstrap(OffsetDateTime::now_utc()).await?;
    let found = site.findings()?;
    assert_found(&found, "host version", ["ok", "v1.", ""])?;
    assert_found(&found, "host namespace", ["ok", "doctor-troubles", ""])?;
    assert_found(&found, "service range", ["ok", tenet_playground::SERVICE_CIDR, ""])?;
    assert_found(&found, "leftover objects", ["ok", "none", ""])?;
    assert_found(&found, "virtual API server", ["fail", "", "tenet logs vc-1 -n doctor-troubles -c api"])?;

    // The ServiceAccount lacks a right.
    let role = "/apis/rbac.authorization.k8s.io/v1/namespaces/doctor-troubles/roles/tenet-syncer-vc-1";
    let mut rules = host.get(role).await?.context("the Role")?["rules"].clone();
    ensure!(found["rights of the syncer"][0] == "ok", "{found:#?}");
    rules.as_array_mut().context("rules")?.retain(|rule| rule["resources"] != json!(["pods/resize"]));
    host.patch(role, json!({"rules": rules})).await?;
    // The range is that of another host.
    let range = json!({"stringData": {"service-cidr": "172.30.0.0/16"}});
    host.patch(&site.path("secrets/vc-1-certs"), range).await?;
    // A copy of an earlier virtual cluster.
    let claim = json!({
        "metadata": {"name": "tenet-claim-vc-1", "labels": {"tenet.sh/claim": "vc-1"}},
        "data": {"virtualClusterUID": "now"},
    });
    host.create(&site.path("configmaps"), claim).await?;
    let labels = json!({"tenet.sh/managed-by": "vc-1"});
    let copy = json!({"metadata": {"name": "old", "labels": labels, "annotations": {"tenet.sh/cluster": "before"}}});
    host.create(&site.path("configmaps"), copy).await?;
    let found = site.findings()?;
    let rights = &found["rights of the syncer"];
    ensure!(rights[0] != "ok" && rights[1].ends_with("are missing, such as patch pods/resize"), "{rights:#?}");
    assert_found(
        &found,
        "service range",
        ["fail", "172.30.0.0/16 does not hold 10.", "delete the key \"service-cidr\" of Secret vc-1-certs"],
    )?;
    assert_found(
        &found,
        "leftover objects",
        ["warn", "1 of an earlier virtual cluster of this name, such as configmaps/old", "kubectl get configmaps/old"],
    )?;
    let table = String::from_utf8(site.tenet.run(&["doctor", "vc-1"])?.stdout)?;
    ensure!(table.contains("\nfail  service range           172.30.0.0/16 does not hold"), "{table}");

    host.delete("/apis/apps/v1/namespaces/doctor-troubles/statefulsets/vc-1", json!({})).await?;
    host.until_gone("/apis/apps/v1/namespaces/doctor-troubles/statefulsets/vc-1").await?;
    let found = site.findings()?;
    assert_found(&found, "control plane", ["fail", "no virtual cluster vc-1", "tenet create vc-1"])?;
    assert_found(&found, "leftover objects", ["warn", ", such as ", "tenet delete vc-1 -n doctor-troubles"])?;
    site.tenet.succeeds(&["delete", "vc-1"])?;
    assert_found(&site.findings()?, "leftover objects", ["ok", "none", ""])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_read_is_not_checked_and_the_rest_is() -> Result<()> {
    let mut site = Site::new("doctor-viewer").await?;
    let subject = json!({"kind": "User", "name": "viewer", "apiGroup": "rbac.authorization.k8s.io"});
    let role = json!({"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({"metadata": {"name": "viewer"}, "subjects": [subject], "roleRef": role});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/doctor-viewer/rolebindings";
    site.harness.host.create(bindings, binding).await?;
    let dir = tempfile::tempdir()?;
    let kubeconfig = dir.path().join("kubeconfig");
    site.harness.playground.host_plane().write_kubeconfig(&kubeconfig, "viewer", None)?;
    let admin = std::mem::replace(&mut site.tenet.kubeconfig, kubeconfig);
    let found = site.findings()?;
    for check in ["service range", "certificates", "rights of the syncer"] {
        assert_found(&found, check, ["warn", "not checked: ", ""])?;
    }
    assert_found(&found, "host version", ["ok", "v1.", ""])?;
    ensure!(found.contains_key("control plane") && found.contains_key("syncer"), "{found:#?}");
    site.tenet.kubeconfig = admin;
    site.tenet.succeeds(&["delete", "vc-1"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_cluster_and_one_that_is_not_there_say_so() -> Result<()> {
    let site = Site::new("doctor-paused").await?;
    site.bootstrap(OffsetDateTime::now_utc()).await?;
    site.tenet.succeeds(&["pause", "vc-1", "--force"])?;
    let found = site.findings()?;
    assert_found(&found, "control plane", ["fail", "it is paused", "tenet resume vc-1 -n doctor-paused"])?;
    ensure!(!found.contains_key("virtual API server"), "{found:#?}");
    assert_found(&found, "certificates", ["ok", "ends on", ""])?;
    let message = site.tenet.fails(&["logs", "vc-1", "-c", "scheduler"])?;
    assert_eq!(
        message,
        "tenet: the control plane has no program \"scheduler\": its containers are bootstrap, kine, kube-apiserver, \
         kube-controller-manager, syncer\n"
    );
    site.tenet.succeeds(&["delete", "vc-1"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_have_ended_are_told_with_their_date() -> Result<()> {
    let site = Site::new("doctor-certs").await?;
    let made = OffsetDateTime::now_utc() - Duration::days(400);
    site.bootstrap(made).await?;
    site.tenet.succeeds(&["pause", "vc-1", "--force"])?;
    let output = site.tenet.run(&["certs", "check", "vc-1", "-o", "json"])?;
    ensure!(!output.status.success(), "{output:?}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).cloned().unwrap_or_default();
    assert_eq!(of("authority")["status"], "ok", "{rows:#?}");
    let kubeconfig = of("kubeconfig of the administrator");
    let ends = (made + Duration::days(365)).date().to_string();
    assert_eq!((&kubeconfig["status"], &kubeconfig["ends"]), (&json!("fail"), &json!(ends)));
    let detail = format!("kubeconfig of the administrator ends on {ends}");
    assert_found(&site.findings()?, "certificates", ["fail", &detail, "tenet certs check vc-1 -n doctor-certs"])?;
    // A start of the control plane renews it.
    site.bootstrap(OffsetDateTime::now_utc()).await?;
    site.tenet.succeeds(&["certs", "check", "vc-1"])?;
    site.tenet.succeeds(&["delete", "vc-1"]).map(drop)
}

//! The bootstrap of a control plane against a real host API server.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tenet_install::api::Api;
use tenet_install::bootstrap::{self, Changes, Request};
use time::{Duration, OffsetDateTime};

use crate::harness::{Harness, new_namespace};

/// Host namespace with a Service for a virtual API server.
struct Site {
    harness: Harness,
    host: Api,
    namespace: String,
}

impl Site {
    async fn new(namespace: &str) -> Result<Self> {
        let harness = Harness::shared().await?;
        new_namespace(&harness.host, namespace).await?;
        let service = json!({"metadata": {"name": "vc-1"}, "spec": {"ports": [{"port": 443}]}});
        harness.host.create(&format!("/api/v1/namespaces/{namespace}/services"), service).await?;
        let host = Api::new(harness.host.client.clone());
        Ok(Self { harness, host, namespace: namespace.to_owned() })
    }

    fn request(&self, dir: &Path) -> Request {
        Request {
            name: "vc-1".to_owned(),
            namespace: self.namespace.clone(),
            workloads: None,
            dir: dir.to_owned(),
            tls_sans: vec!["api.example.com".to_owned()],
            service_cidr: None,
            prepared: None,
        }
    }

    async fn run(&self, dir: &Path) -> Result<Changes> {
        self.run_at(dir, OffsetDateTime::now_utc()).await
    }

    async fn run_at(&self, dir: &Path, now: OffsetDateTime) -> Result<Changes> {
        Ok(bootstrap::ensure(&self.host, &self.request(dir), now).await?)
    }

    fn secret_path(&self, name: &str) -> String {
        format!("/api/v1/namespaces/{}/secrets/{name}", self.namespace)
    }

    async fn secret(&self, name: &str) -> Result<Value> {
        self.harness.host.get(&self.secret_path(name)).await?.with_context(|| format!("no Secret {name}"))
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.harness.host.delete(&self.secret_path(name), json!({})).await
    }
}

fn decoded(secret: &Value, key: &str) -> Result<String> {
    let text = secret["data"][key].as_str().with_context(|| format!("no {key} in {secret}"))?;
    Ok(String::from_utf8(STANDARD.decode(text)?)?)
}

fn files(dir: &Path) -> Result<BTreeMap<String, String>> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?))
    };
    std::fs::read_dir(dir)?.map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bootstrap_changes_nothing_and_the_service_range_is_that_of_the_host() -> Result<()> {
    let site = Site::new("bootstrap-twice").await?;
    let dir = tempfile::tempdir()?;
    let first = site.run(dir.path()).await?;
    assert_eq!(first.secrets, ["vc-1-certs", "vc-vc-1"]);
    assert_eq!(decoded(&site.secret("vc-1-certs").await?, "service-cidr")?, tenet_playground::SERVICE_CIDR);
    let before = (site.secret("vc-1-certs").await?, site.secret("vc-vc-1").await?, files(dir.path())?);
    assert_eq!(site.run(dir.path()).await?, Changes::default());
    assert_eq!((site.secret("vc-1-certs").await?, site.secret("vc-vc-1").await?, files(dir.path())?), before);

    let other_pod = tempfile::tempdir()?;
    assert_eq!(site.run(other_pod.path()).await?.secrets, [""; 0]);
    assert_eq!(files(other_pod.path())?["ca.crt"], before.2["ca.crt"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_bootstrap_is_completed_by_the_next() -> Result<()> {
    let site = Site::new("bootstrap-interrupted").await?;
    let dir = tempfile::tempdir()?;
    site.run(dir.path()).await?;
    let ca = files(dir.path())?["ca.crt"].clone();
    // After the first write, before the second.
    site.delete("vc-vc-1").await?;
    assert_eq!(site.run(dir.path()).await?, Changes { secrets: vec!["vc-vc-1".to_owned()], ..Changes::default() });
    // A Secret that came from elsewhere, without a range.
    site.harness.host.patch(&site.secret_path("vc-1-certs"), json!({"data": {"service-cidr": null}})).await?;
    assert_eq!(site.run(dir.path()).await?.secrets, ["vc-1-certs"]);
    assert_eq!(files(dir.path())?["ca.crt"], ca);
    // New authorities, as nobody can restore the old ones.
    site.delete("vc-1-certs").await?;
    let changes = site.run(dir.path()).await?;
    assert_eq!(changes.secrets, ["vc-1-certs", "vc-vc-1"]);
    assert_ne!(files(dir.path())?["ca.crt"], ca);
    ensure!(changes.files.contains(&"apiserver.crt".to_owned()), "{changes:?}");
    assert_eq!(site.run(dir.path()).await?, Changes::default());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pods_that_start_at_once_get_the_same_authorities() -> Result<()> {
    let site = Site::new("bootstrap-race").await?;
    for _ in 0..5 {
        let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
        tokio::try_join!(site.run(one.path()), site.run(two.path()))?;
        let (one, two) = (files(one.path())?, files(two.path())?);
        assert_eq!((&one["ca.crt"], &one["sa.key"]), (&two["ca.crt"], &two["sa.key"]));
        assert_eq!(decoded(&site.secret("vc-vc-1").await?, "certificate-authority")?, one["ca.crt"]);
        site.delete("vc-1-certs").await?;
        site.delete("vc-vc-1").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_off_for_a_year_gets_new_certificates_of_the_same_authority() -> Result<()> {
    let site = Site::new("bootstrap-year").await?;
    let dir = tempfile::tempdir()?;
    site.run(dir.path()).await?;
    let (ca, kubeconfig) = (files(dir.path())?["ca.crt"].clone(), site.secret("vc-vc-1").await?);
    let changes = site.run_at(dir.path(), OffsetDateTime::now_utc() + Duration::days(366)).await?;
    assert_eq!(changes.secrets, ["vc-vc-1"]);
    ensure!(changes.files.contains(&"apiserver.crt".to_owned()), "{changes:?}");
    assert_eq!(files(dir.path())?["ca.crt"], ca);
    assert_ne!(site.secret("vc-vc-1").await?["data"]["client-key"], kubeconfig["data"]["client-key"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_read_ranges_they_are_found_by_dry_runs() -> Result<()> {
    let site = Site::new("bootstrap-range").await?;
    // A user with the rights of the bootstrap and no others.
    let rules: Vec<Value> = bootstrap::RIGHTS
        .iter()
        .map(|(group, resource, verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}))
        .collect();
    let root = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", site.namespace);
    let host = &site.harness.host;
    host.create(&format!("{root}/roles"), json!({"metadata": {"name": "bootstrap"}, "rules": rules})).await?;
    let subject = json!({"kind": "User", "name": "bootstrap", "apiGroup": "rbac.authorization.k8s.io"});
    let role = json!({"kind": "Role", "name": "bootstrap", "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({"metadata": {"name": "bootstrap"}, "subjects": [subject], "roleRef": role});
    host.create(&format!("{root}/rolebindings"), binding).await?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("kubeconfig");
    site.harness.playground.host_plane().write_kubeconfig(&file, "bootstrap", None)?;
    let limited = Api::new(crate::harness::client(&file).await?);
    ensure!(limited.list("/apis/networking.k8s.io/v1/servicecidrs").await.is_err(), "it may read the ranges");

    let pki = dir.path().join("pki");
    std::fs::create_dir(&pki)?;
    bootstrap::ensure(&limited, &site.request(&pki), OffsetDateTime::now_utc()).await?;
    assert_eq!(decoded(&site.secret("vc-1-certs").await?, "service-cidr")?, tenet_playground::SERVICE_CIDR);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_service_the_bootstrap_fails_and_says_so() -> Result<()> {
    let site = Site::new("bootstrap-no-service").await?;
    let path = format!("/api/v1/namespaces/{}/services/vc-1", site.namespace);
    site.harness.host.delete(&path, json!({})).await?;
    let dir = tempfile::tempdir()?;
    let error = site.run(dir.path()).await.expect_err("no Service");
    assert!(error.to_string().starts_with("host Service bootstrap-no-service/vc-1 has no ClusterIP"), "{error}");
    assert_eq!(files(dir.path())?.len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_without_the_address_of_the_service_is_refused_whether_it_was_set_or_learnt() -> Result<()> {
    let site = Site::new("bootstrap-other-range").await?;
    let dir = tempfile::tempdir()?;
    let request = Request { service_cidr: Some("172.30.0.0/16".to_owned()), ..site.request(dir.path()) };
    let error = bootstrap::ensure(&site.host, &request, OffsetDateTime::now_utc()).await.expect_err("another range");
    let said = error.to_string();
    ensure!(
        said.starts_with("the service range 172.30.0.0/16 does not hold 10.")
            && said.contains("the address of host Service bootstrap-other-range/vc-1")
            && said.ends_with("Set serviceCIDR to the range of the host, or leave it out."),
        "{said}"
    );
    ensure!(site.harness.host.get(&site.secret_path("vc-1-certs")).await?.is_none(), "it was written all the same");
    site.run(dir.path()).await?;
    let other = json!({"stringData": {"service-cidr": "172.30.0.0/16"}});
    site.harness.host.patch(&site.secret_path("vc-1-certs"), other).await?;
    let said = site.run(dir.path()).await.expect_err("another range").to_string();
    let remedy = "delete the key \"service-cidr\" of Secret vc-1-certs to learn it anew.";
    ensure!(said.ends_with(remedy), "{said}");
    site.harness.host.patch(&site.secret_path("vc-1-certs"), json!({"data": {"service-cidr": null}})).await?;
    site.run(dir.path()).await.map(drop)
}

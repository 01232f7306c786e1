//! The chart: it makes the same objects as `tenet create`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_install::objects::{ALERTS, DASHBOARD, Installation, objects};
use tenet_install::values::{self, Values};
use tenet_playground::{Component, Components, Progress};

use crate::harness::rights;

const NAME: &str = "vc-1";
const NAMESPACE: &str = "team-a";

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chart")
}

/// Compares a generated file, or writes it when `UPDATE` is set.
fn is_current(file: &str, expected: &str) -> Result<()> {
    let path = chart().join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, expected)?;
    }
    let found = std::fs::read_to_string(&path).with_context(|| file.to_owned())?;
    ensure!(found == expected, "chart/{file} is not current: run with UPDATE=1");
    Ok(())
}

#[test]
fn the_generated_files_of_the_chart_are_current() -> Result<()> {
    let rights = rights(NAME, NAMESPACE, &Values::default())?;
    is_current("files/role.yaml", &serde_saphyr::to_string(&rights.rules())?)?;
    is_current("files/cluster-role.yaml", &serde_saphyr::to_string(&rights.cluster_rules())?)?;
    is_current("files/alerts.yaml", ALERTS)?;
    is_current("files/dashboard.json", DASHBOARD)?;
    is_current("values.schema.json", &format!("{:#}\n", values::schema()))
}

#[test]
fn the_values_of_the_chart_are_the_defaults() -> Result<()> {
    let text = std::fs::read_to_string(chart().join("values.yaml"))?;
    assert_eq!(values::load(&[("values.yaml".to_owned(), text)], &[])?, Values::default());
    Ok(())
}

/// Returns objects by kind and name. The configuration in a ConfigMap is compared by its meaning.
fn by_name(objects: Vec<Value>) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for mut object in objects {
        for file in ["syncer.yaml", "k3s.yaml", "k0s.yaml"] {
            if let Some(text) = object["data"][file].as_str() {
                object["data"][file] = serde_saphyr::from_str(text)?;
            }
        }
        let metadata = &object["metadata"];
        all.insert(format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"]), object);
    }
    Ok(all)
}

fn rendered(helm: &Path, values: &Value) -> Result<Vec<Value>> {
    let file = tempfile::NamedTempFile::with_suffix(".yaml")?;
    std::fs::write(file.path(), values.to_string())?;
    let mut command = Command::new(helm);
    command.args(["template", NAME]).arg(chart()).args(["--namespace", NAMESPACE, "--values"]).arg(file.path());
    let output = command.output()?;
    ensure!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let documents =
        text.split("---\n").filter(|text| text.lines().any(|line| !line.starts_with('#') && !line.is_empty()));
    documents.map(|document| serde_saphyr::from_str(document).with_context(|| document.to_owned())).collect()
}

/// Values of the comparison: each store with each exposure, and everything that can be set.
fn cases() -> Vec<Value> {
    let mut cases = vec![json!({})];
    for (distro, stores) in [
        ("k8s", &["sqlite", "etcd", "sql", "external"][..]),
        ("k3s", &["sqlite", "sql", "external"]),
        ("k0s", &["sqlite", "etcd", "sql", "external"]),
    ] {
        for store in stores {
            for expose in ["ClusterIP", "NodePort", "LoadBalancer"] {
                cases.push(json!({
                    "distro": distro,
                    "store": {
                        "type": store, "dataSource": {"secret": "database"},
                        "external": {"endpoints": ["https://a:2379", "https://b:2379"], "secret": "etcd"},
                    },
                    "expose": {"type": expose, "nodePort": 30443},
                    "syncer": {"env": {"A": "b"}},
                }));
            }
        }
        let plain = json!({"endpoints": ["http://etcd:2379"], "prefix": "/vc"});
        cases.push(json!({
            "distro": distro, "version": "v1.36.1", "store": {"type": "external", "external": plain},
            "images": {"k3s": "example.com/k3s:1", "k0s": "example.com/k0s:1"},
            "apiServer": {"extraArgs": ["--v=2", "--anonymous-auth=false", "--profiling"]},
            "controllerManager": {"extraArgs": ["--controllers=*"]},
        }));
    }
    for distro in ["k8s", "k3s", "k0s"] {
        cases.push(json!({
            "distro": distro, "workloadNamespace": "tenant-a", "rbac": {"clusterRole": true},
            "syncer": {"config": {"kubelet": {"enabled": true}}, "env": {"A": "b"}},
            "monitoring": {"serviceMonitor": true, "rules": true, "dashboard": true},
        }));
    }
    for workloads in [NAMESPACE, "tenant-a"] {
        let from = ["postgres", "team-a/own", "shared/b", "shared/a", "data/c", "tenant-a/d"];
        let listed: Vec<_> = from.iter().map(|from| json!({"from": from, "to": "data/x"})).collect();
        cases.push(json!({
            "workloadNamespace": workloads, "syncer": {"config": {"replicateServices": {"fromHost": listed}}},
        }));
    }
    cases.push(json!({"workloadNamespace": NAMESPACE}));
    cases.push(json!({"version": "v1.35.4", "networkPolicy": {"enabled": false}}));
    cases.push(json!({"monitoring": {"serviceMonitor": true, "rules": true, "dashboard": true}}));
    cases.push(json!({
        "monitoring": {
            "serviceMonitor": true, "rules": true, "dashboard": true,
            "labels": {"release": "prometheus", "grafana_dashboard": "no", "app.kubernetes.io/part-of": "other"},
            "scraper": {"team": "platform"},
        },
    }));
    cases.push(json!({
        "store": {"size": "1Gi", "storageClass": "", "resources": {"limits": {"memory": "1Gi"}}},
        "images": {
            "syncer": "example.com/syncer:1", "apiServer": "example.com/api:1", "controllerManager": "example.com/kcm:1",
            "etcd": "example.com/etcd:1", "kine": "example.com/kine:1", "pullPolicy": "Never", "pullSecrets": ["registry"],
        },
        "expose": {"annotations": {"example.com/internal": "true"}},
        "serviceCIDR": "10.96.0.0/16",
        "apiServer": {"extraArgs": ["--v=2"], "resources": {"requests": {"cpu": "1"}}},
        "controllerManager": {"extraArgs": ["--v=2"]},
        "syncer": {
            "extraArgs": ["--tls-san=a.example.com,192.0.2.1", "--log-level=debug"],
            "config": {"unknownFields": "drop", "dns": {"clusterDomain": "example.org"}},
            "env": {"HTTPS_PROXY": "http://proxy:3128", "A": "b"},
            "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        },
        "pod": {
            "labels": {"team": "a", "app": "other"}, "annotations": {"a": "b"}, "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "system", "operator": "Exists"}], "priorityClassName": "high",
            "affinity": {"podAntiAffinity": {}}, "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a"]}],
        },
        "rbac": {"clusterRole": true},
    }));
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_and_the_command_make_the_same_objects() -> Result<()> {
    let mut components = Components::locate_or_build(&Progress::silent()).await?;
    components.add(Component::Helm, &Progress::stderr()).await?;
    for case in cases() {
        let values = values::load(&[("case".to_owned(), case.to_string())], &[])?;
        let rights = rights(NAME, NAMESPACE, &values)?;
        let installation = Installation { name: NAME, namespace: NAMESPACE, values: &values, rights: &rights };
        let expected = by_name(objects(&installation))?;
        let found = by_name(rendered(components.path(Component::Helm), &case)?)?;
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{case}");
        for (name, object) in &expected {
            assert_eq!(&found[name], object, "{name} with {case}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_refuses_what_the_command_refuses() -> Result<()> {
    let mut components = Components::locate_or_build(&Progress::silent()).await?;
    components.add(Component::Helm, &Progress::stderr()).await?;
    for (case, expected) in [
        (json!({"store": {"typ": "etcd"}}), "typ"),
        (json!({"store": {"type": "sql"}}), "store.dataSource.secret"),
        (json!({"store": {"type": "external"}}), "store.external.endpoints"),
        (json!({"store": {"type": "external", "external": {"endpoints": ["https://a"]}}}), "store.external.secret"),
        (json!({"distro": "k3s", "store": {"type": "etcd"}}), "cannot be used with k3s"),
        (json!({"distro": "k9s"}), "distro"),
        (json!({"expose": {"nodePort": 99999}}), "nodePort"),
        (json!({"syncer": {"config": {"name": "a"}}}), "is set by the installation"),
        (
            json!({"workloadNamespace": "tenant-a", "syncer": {"config": {"kubelet": {"addresses": "service"}}}}),
            "must be loopback",
        ),
        (json!({"workloadNamespace": "Tenant_A"}), "workloadNamespace"),
    ] {
        assert!(values::load(&[("case".to_owned(), case.to_string())], &[]).is_err(), "{case}");
        let error = rendered(components.path(Component::Helm), &case).expect_err("a refusal");
        assert!(error.to_string().contains(expected), "{case}: {error}");
    }
    Ok(())
}

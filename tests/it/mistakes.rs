//! Mistakes of a user who creates a virtual cluster on a real host: each is told in one message, and nothing is
//! written.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::install::{Tenet, admin, everything};

/// Returns the whole message of a command that fails.
fn told(tenet: &Tenet, args: &[&str]) -> Result<String> {
    Ok(tenet.fails(args)?.trim_end().to_owned())
}

/// Runs `create` in a namespace of its own, and checks that nothing is left.
async fn refused(harness: &Harness, tenet: &Tenet, args: &[&str]) -> Result<String> {
    let before = everything(&harness.host, &tenet.namespace).await?;
    let message = told(tenet, &[&["create"], args, &["--timeout", "0"]].concat())?;
    // A first check may print progress before the mistake is found. The message follows it.
    let message = message.split_once("tenet: ").map(|(_, message)| message.to_owned()).context(message)?;
    assert_eq!(everything(&harness.host, &tenet.namespace).await?, before, "{args:?}");
    Ok(message)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_taken_say_by_whom() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "mistake-names").await?;
    let service = |name: &str, annotations: Value| json!({"metadata": {"name": name, "annotations": annotations}, "spec": {"ports": [{"port": 80}]}});
    let services = format!("/api/v1/namespaces/{}/services", tenet.namespace);
    harness.host.create(&services, service("foreign", json!({}))).await?;
    harness.host.create(&services, service("released", json!({"meta.helm.sh/release-name": "released"}))).await?;
    let head = "namespace mistake-names has other objects under these names:\n  ";
    for (name, expected) in [
        ("foreign", "Service foreign belongs to somebody else: choose another name, or delete it"),
        ("released", "Service released is owned by Helm: change its values there"),
    ] {
        assert_eq!(refused(&harness, &tenet, &[name]).await?, format!("{head}{expected}"));
    }
    tenet.succeeds(&["create", "vc-1", "--timeout", "0"])?;
    let again = tenet.run(&["create", "vc-1", "--timeout", "0"])?;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(said.contains("virtual cluster vc-1 exists; its values stay: --upgrade changes them"), "{said}");
    tenet.succeeds(&["delete", "vc-1"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_and_a_namespace_that_do_not_exist_are_named() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "mistake-places").await?;
    let message = refused(&harness, &tenet, &["vc-1", "--context", "nowhere"]).await?;
    assert_eq!(
        message,
        "cannot use the context \"nowhere\" of the kubeconfig: failed to load current context: nowhere"
    );
    let elsewhere = Tenet { kubeconfig: tenet.kubeconfig.clone(), namespace: "mistake-nowhere".to_owned() };
    assert_eq!(
        refused(&harness, &elsewhere, &["vc-1"]).await?,
        "namespace mistake-nowhere does not exist: pass --create-namespace, or kubectl create namespace mistake-nowhere"
    );
    let absent = Tenet { kubeconfig: "/absent".into(), namespace: tenet.namespace.clone() };
    assert_eq!(
        told(&absent, &["create", "vc-1"])?,
        "tenet: --kubeconfig /absent: No such file or directory (os error 2)"
    );
    // A finalizer keeps the namespace while it is being deleted.
    let ending = admin(&harness, "mistake-ending").await?;
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/test"]}});
    harness.host.create("/api/v1/namespaces/mistake-ending/configmaps", held).await?;
    harness.host.delete("/api/v1/namespaces/mistake-ending", json!({})).await?;
    let message = told(&ending, &["create", "vc-1"])?;
    let free = json!({"metadata": {"finalizers": null}});
    harness.host.patch("/api/v1/namespaces/mistake-ending/configmaps/held", free).await?;
    ensure!(
        message.ends_with(
            "tenet: namespace mistake-ending is being deleted: wait until it is gone, or choose another one"
        ),
        "{message}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_values_are_named_with_file_line_and_column() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "mistake-values").await?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("value.yaml");
    let shown = file.to_string_lossy().into_owned();
    for (text, place, words) in [
        ("store:\n  typ: etcd\n", "line 2 column 3", "unknown field `typ`"),
        ("expose:\n  nodePort: many\n", "line 2 column 13", "nodePort"),
        ("distro: k9s\n", "line 1 column 9", "k9s"),
        ("store: [\n", "line 1 column 8", "expected mapping start"),
    ] {
        std::fs::write(&file, text)?;
        let message = refused(&harness, &tenet, &["vc-1", "-f", &shown]).await?;
        let at = format!("{shown}: ");
        ensure!(message.starts_with(&at) && message.contains(place) && message.contains(words), "{text}: {message}");
    }
    for (flag, expected) in [
        ("serviceCIDR=10.96.0.0", "serviceCIDR: \"10.96.0.0\" is no range of addresses, such as 10.96.0.0/16"),
        ("version=latest", "version: \"latest\" is no version of Kubernetes from v1.30 on"),
        ("store.type=sql", "store.dataSource.secret: is required for the store \"sql\""),
    ] {
        assert_eq!(refused(&harness, &tenet, &["vc-1", "--set", flag]).await?, expected);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_range_that_is_not_that_of_the_host_is_refused_with_an_address_of_the_host() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "mistake-range").await?;
    let message = refused(&harness, &tenet, &["vc-1", "--set", "serviceCIDR=172.30.0.0/16"]).await?;
    let rest = message.strip_prefix("serviceCIDR: 172.30.0.0/16 does not hold 10.").with_context(|| message.clone())?;
    let (_, rest) = rest.split_once(", ").with_context(|| message.clone())?;
    assert_eq!(
        rest,
        "an address that the host gives to Services: set it to the range of the host, or leave it out, and the range of \
         the host is found out"
    );
    let right = format!("serviceCIDR={}", tenet_playground::SERVICE_CIDR);
    tenet.succeeds(&["create", "vc-1", "--timeout", "0", "--set", &right])?;
    tenet.succeeds(&["delete", "vc-1"]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_is_told_the_role_to_ask_for() -> Result<()> {
    let harness = Harness::shared().await?;
    let tenet = admin(&harness, "mistake-rights").await?;
    let dir = tempfile::tempdir()?;
    let kubeconfig = dir.path().join("kubeconfig");
    harness.playground.host_plane().write_kubeconfig(&kubeconfig, "nobody", None)?;
    let nobody = Tenet { kubeconfig, namespace: tenet.namespace.clone() };
    let message = refused(&harness, &nobody, &["vc-1"]).await?;
    let (sentence, role) = message.split_once("\n\n").with_context(|| message.clone())?;
    assert_eq!(
        sentence,
        "you lack rights on the host, which you need yourself to give them to the syncer. An administrator of the host \
         has to grant you this:"
    );
    let role: Value = serde_saphyr::from_str(role)?;
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles?dryRun=All", tenet.namespace);
    harness.host.create(&path, role).await.map(drop)
}

/// An API server of a version that tests cannot start: it answers `/version` alone.
fn old_host(kubeconfig: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = format!("http://{}", listener.local_addr()?);
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "old",
        "clusters": [{"name": "old", "cluster": {"server": server}}],
        "users": [{"name": "old", "user": {}}],
        "contexts": [{"name": "old", "context": {"cluster": "old", "user": "old"}}],
    });
    std::fs::write(kubeconfig, text.to_string())?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        let mut request = [0; 4096];
        let length = connection.read(&mut request)?;
        let is_version = request[..length].starts_with(b"GET /version ");
        let body = json!({"major": "1", "minor": "28", "gitVersion": "v1.28.3"}).to_string();
        let status = if is_version { "200 OK" } else { "404 Not Found" };
        write!(
            connection,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    });
    Ok(())
}

#[test]
fn a_host_that_is_too_old_says_which_version_is_needed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let kubeconfig = dir.path().join("kubeconfig");
    old_host(&kubeconfig)?;
    let tenet = Tenet { kubeconfig, namespace: "team-a".to_owned() };
    let message = told(&tenet, &["create", "vc-1"])?;
    ensure!(message.ends_with("tenet: the host is Kubernetes v1.28.3: version 1.29 or later is needed"), "{message}");
    Ok(())
}

//! Content of projected volumes that only the virtual cluster has.

use anyhow::{Context, Result};
use base64::Engine;
use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair};
use serde_json::{Value, json};
use tenet_install::pki::Authority;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::cluster::Cluster;
use crate::harness::{Harness, pod, until_told};

const BUNDLES: &str = "/apis/certificates.k8s.io/v1/clustertrustbundles";

/// Returns a certificate as a bundle holds it, and as a kubelet writes it.
fn certificate(name: &str) -> Result<String> {
    let pem = Authority::create(name, OffsetDateTime::now_utc())?.certificate;
    Ok(pem.replace("\r\n", "\n"))
}

/// Returns the path of the Secret of the first source of a host pod's last volume, and the key in it.
fn source_of(harness: &Harness, pod: &Value) -> Result<(String, String)> {
    let volumes = pod["spec"]["volumes"].as_array().context("volumes")?;
    let volume = volumes.iter().find(|volume| volume["name"] == "files").context("the volume")?;
    let secret = &volume["projected"]["sources"][0]["secret"];
    let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("a source in {volume}"));
    let path = harness.on_host(&format!("secrets/{}", text(&secret["name"])?));
    Ok((path, text(&secret["items"][0]["key"])?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_the_trust_bundles_of_its_own_cluster_and_follows_them() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let name = format!("roots-of-{namespace}");
    let bundle = |name: &str, pem: &str| json!({"metadata": {"name": name}, "spec": {"trustBundle": pem}});
    // The host has a bundle of this name as well, which is no business of the tenant.
    harness.host.create(BUNDLES, bundle(&name, &certificate("host")?)).await?;
    let sources = json!([{"clusterTrustBundle": {"name": name, "path": "ca.pem"}}]);
    let web = pod("web", &json!({"volumes": [{"name": "files", "projected": {"sources": sources}}]}));
    harness.virt.create(&format!("/api/v1/namespaces/{namespace}/pods"), web).await?;
    let missing = format!("the ClusterTrustBundle {name} does not exist; the containers of the pod wait for it");
    until_told(&harness.virt, &namespace, "SyncDegraded", "web", &missing).await?;
    let place = harness.on_host(&format!("pods/web-x-{namespace}-x-vc-1"));
    let host = harness.host.until(&place, "there", Value::is_object).await?;
    let (secret, key) = source_of(&harness, &host)?;
    let empty = harness.host.until(&secret, "there", Value::is_object).await?;
    assert_eq!(empty["data"].get(&key), None, "a kubelet waits for the content");

    let (first, second) = (certificate("first")?, certificate("second")?);
    harness.virt.create(BUNDLES, bundle(&name, &format!("of this year\n{first}"))).await?;
    let virt = format!("/api/v1/namespaces/{namespace}/pods/web");
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let old = encode(&first);
    harness.host.until(&secret, "filled", |secret| secret["data"][&key] == old.as_str()).await?;

    harness.virt.merge(&format!("{BUNDLES}/{name}"), json!({"spec": {"trustBundle": second}})).await?;
    let fresh = encode(&second);
    let renewed = harness.host.until(&secret, "renewed", |secret| secret["data"][&key] == fresh.as_str()).await?;
    harness.virt.delete(&format!("{BUNDLES}/{name}"), json!({})).await?;
    until_told(&harness.virt, &namespace, "SyncDegraded", "web", "keeps the certificates").await?;
    assert_eq!(harness.host.get(&secret).await?.as_ref(), Some(&renewed), "a kubelet leaves the file, too");

    harness.virt.delete(&virt, json!({"gracePeriodSeconds": 0})).await?;
    harness.host.until_gone(&place).await?;
    harness.host.until_gone(&secret).await
}

/// Signs the certificate of a request inside, and returns it.
async fn sign(virt: &Cluster, path: &str, request: &Value) -> Result<String> {
    let identity = Authority::create("signer", OffsetDateTime::now_utc())?;
    let authority = Issuer::from_ca_cert_pem(&identity.certificate, KeyPair::from_pem(&identity.key)?)?;
    let proof = request["spec"]["stubPKCS10Request"].as_str().context("the proof")?;
    let proof = base64::engine::general_purpose::STANDARD.decode(proof)?;
    let mut leaf = CertificateSigningRequestParams::from_der(&proof.into())?;
    let start = OffsetDateTime::now_utc().replace_nanosecond(0)?;
    let (refresh, end) = (start + Duration::minutes(30), start + Duration::hours(1));
    (leaf.params.not_before, leaf.params.not_after) = (start, end);
    let chain = leaf.signed_by(&authority)?.pem().replace("\r\n", "\n");
    let issued = json!({"type": "Issued", "status": "True", "reason": "Signed", "message": "by the test",
        "lastTransitionTime": start.format(&Rfc3339)?});
    let status = json!({"conditions": [issued], "certificateChain": chain, "notBefore": start.format(&Rfc3339)?,
        "beginRefreshAt": refresh.format(&Rfc3339)?, "notAfter": end.format(&Rfc3339)?});
    virt.patch(&format!("{path}/status"), json!({"status": status})).await?;
    Ok(chain)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_a_certificate_of_a_signer_of_its_own_cluster() -> Result<()> {
    let harness = Harness::shared().await?;
    let namespace = harness.namespace().await?;
    let source = json!({"signerName": "example.com/mesh", "keyType": "ECDSAP256", "maxExpirationSeconds": 3600,
        "credentialBundlePath": "all.pem"});
    let volumes = json!([{"name": "files", "projected": {"sources": [{"podCertificate": source}]}}]);
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    harness.virt.create(&pods, pod("web", &json!({"volumes": volumes}))).await?;
    let requests = format!("/apis/certificates.k8s.io/v1/namespaces/{namespace}/podcertificaterequests");
    let found = harness.virt.until_list(&requests, "one request", |requests| requests.len() == 1).await?;
    let request = found.first().context("the request")?;
    let virt = harness.virt.get(&format!("{pods}/web")).await?.context("the pod")?;
    let spec = &request["spec"];
    assert_eq!((&spec["podUID"], &spec["nodeName"]), (&virt["metadata"]["uid"], &virt["spec"]["nodeName"]));

    let path = format!("{requests}/{}", request["metadata"]["name"].as_str().context("a name")?);
    let chain = sign(&harness.virt, &path, request).await?;
    let place = harness.on_host(&format!("pods/web-x-{namespace}-x-vc-1"));
    let host = harness.host.get(&place).await?.context("the host pod")?;
    let (secret, key) = source_of(&harness, &host)?;
    let stored = harness.host.until(&secret, "with the certificate", |found| found["data"][&key].is_string()).await?;
    let file = stored["data"][&key].as_str().context("the file")?;
    let file = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(file)?)?;
    assert!(file.starts_with("-----BEGIN PRIVATE KEY-----") && file.ends_with(&chain), "a key and its certificate");
    assert!(!format!("{virt}{request}").contains("PRIVATE KEY"), "the key stays on the host");

    // At rest nothing is written, and nothing is requested again.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(harness.host.get(&secret).await?, Some(stored));
    assert_eq!(harness.virt.list(&requests).await?.len(), 1);
    harness.virt.delete(&format!("{pods}/web"), json!({"gracePeriodSeconds": 0})).await?;
    harness.host.until_gone(&place).await?;
    harness.host.until_gone(&secret).await
}

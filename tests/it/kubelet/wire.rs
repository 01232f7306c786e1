//! Client of a virtual node's kubelet that sends exactly the bytes it is given.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::Value;
use tenet_playground::Playground;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::Harness;

const PATIENCE: Duration = Duration::from_secs(10);

/// Certificate and key as PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// Returns the address of a virtual node's kubelet.
pub async fn address(harness: &Harness, node: &str) -> Result<SocketAddr> {
    let node = harness.virt.until(&format!("/api/v1/nodes/{node}"), "there", Value::is_object).await?;
    let mut addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let of_kubelet = addresses.find(|each| each["type"] == "Hostname").context("no Hostname")?;
    let ip = of_kubelet["address"].as_str().context("no address")?;
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64().context("no port")?;
    Ok(format!("{ip}:{port}").parse()?)
}

fn pki(playground: &Playground) -> PathBuf {
    playground.dir().join("virtual").join("pki")
}

fn read(dir: &Path, name: &str) -> Result<String> {
    std::fs::read_to_string(dir.join(name)).with_context(|| name.to_owned())
}

/// Returns the client identity of the virtual API server.
pub fn api_server(playground: &Playground) -> Result<Identity> {
    let pki = pki(playground);
    Ok(Identity { certificate: read(&pki, "kubelet-client.crt")?, key: read(&pki, "kubelet-client.key")? })
}

/// Creates a client certificate signed by the authority of the virtual cluster.
pub fn user(playground: &Playground, name: &str, group: Option<&str>) -> Result<Identity> {
    let pki = pki(playground);
    let key = KeyPair::from_pem(&read(&pki, "ca.key")?)?;
    sign(&Issuer::from_ca_cert_pem(&read(&pki, "ca.crt")?, key)?, name, group, time::Duration::hours(1))
}

/// Creates an expired client certificate.
pub fn expired(playground: &Playground) -> Result<Identity> {
    let pki = pki(playground);
    let key = KeyPair::from_pem(&read(&pki, "ca.key")?)?;
    let issuer = Issuer::from_ca_cert_pem(&read(&pki, "ca.crt")?, key)?;
    sign(&issuer, "late", Some("system:masters"), -time::Duration::minutes(1))
}

/// Creates a client certificate of an unknown authority.
pub fn stranger() -> Result<Identity> {
    let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate()?);
    sign(&issuer, "kube-apiserver-kubelet-client", Some("system:masters"), time::Duration::hours(1))
}

fn sign(issuer: &Issuer<'_, KeyPair>, name: &str, group: Option<&str>, ends: time::Duration) -> Result<Identity> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, name);
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::hours(2);
    params.not_after = now + ends;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?.pem();
    Ok(Identity { certificate, key: key.serialize_pem() })
}

/// Connects to a server whose certificate is for `name` and signed by the authority of
/// the virtual cluster.
pub async fn connect_to(
    playground: &Playground,
    address: SocketAddr,
    name: IpAddr,
    identity: &Identity,
) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(read(&pki(playground), "ca.crt")?.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>()?,
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
        )?;
    let stream = TcpStream::connect(address).await?;
    Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::from(name), stream).await?)
}

/// Connects, with or without a client certificate.
pub async fn connect(address: SocketAddr, identity: Option<&Identity>) -> Result<TlsStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(
            CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>()?,
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
        )?,
    };
    let stream = TcpStream::connect(address).await?;
    Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream).await?)
}

/// Sends bytes on a new connection. Returns the whole answer, or the head of an
/// upgrade.
pub async fn send(address: SocketAddr, identity: Option<&Identity>, request: &[u8]) -> Result<String> {
    let mut stream = connect(address, identity).await?;
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let read = async {
        while stream.read_buf(&mut answer).await.unwrap_or(0) > 0 {
            if answer.starts_with(b"HTTP/1.1 101") && answer.ends_with(b"\r\n\r\n") {
                break;
            }
        }
    };
    timeout(PATIENCE, read).await.context("no end of the answer")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns the status of the answer to a GET; 0 when the connection was refused instead.
pub async fn status(address: SocketAddr, identity: Option<&Identity>, target: &str, headers: &str) -> Result<u16> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    let answer = send(address, identity, request.as_bytes()).await.unwrap_or_default();
    Ok(code(&answer))
}

pub fn code(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Verifier that accepts any certificate, as these tests are not about the kubelet's certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

//! The Secret with the administrator's kubeconfig.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::authorities::Authorities;
use super::{BootstrapError, Changes, Request};
use crate::api::Api;
use crate::pki::{self, Authority, Identity, LEAF_LIFE, Purpose};
use crate::{names, secret};

const ADMIN: Purpose<'static> = Purpose::Client(Some("system:masters"));
const USER: &str = "kubernetes-admin";

/// Creates the Secret, or replaces what is in it when the certificate is due or of another authority.
pub(super) async fn ensure(
    host: &Api,
    request: &Request,
    authorities: &Authorities,
    now: OffsetDateTime,
    changes: &mut Changes,
) -> Result<(), BootstrapError> {
    let name = names::kubeconfig(&request.name);
    let collection = format!("/api/v1/namespaces/{}/secrets", request.namespace);
    let path = format!("{collection}/{name}");
    let found = host.get(&path).await?;
    if found.as_ref().is_some_and(|secret| is_good(secret, authorities, now)) {
        return Ok(());
    }
    let identity = Authority::read(&authorities.ca)?.issue(USER, &ADMIN, now, LEAF_LIFE)?;
    let server = format!("https://{}.{}.svc", request.name, request.namespace);
    let data = json!({
        "config": render(&request.name, &server, &authorities.ca.certificate, USER, &identity),
        "certificate-authority": authorities.ca.certificate,
        "client-certificate": identity.certificate,
        "client-key": identity.key,
    });
    let written = match found {
        Some(_) => host.merge(&path, &json!({"stringData": data})).await,
        None => host.create(&collection, &secret::object(request, &name, &data)).await,
    };
    match written {
        // Another pod was faster, with a certificate of the same authority.
        Err(error) if error.code() == Some(409) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => {
            changes.secrets.push(name);
            Ok(())
        }
    }
}

fn is_good(secret: &Value, authorities: &Authorities, now: OffsetDateTime) -> bool {
    let text = |key: &str| secret::text(secret, key).unwrap_or_default();
    let is_complete = !text("config").is_empty() && !text("client-key").is_empty();
    is_complete
        && text("certificate-authority") == authorities.ca.certificate
        && pki::due(&text("client-certificate"), &ADMIN, now).is_none()
}

/// Renders a kubeconfig with one cluster, one user and one context, which needs no other file.
pub fn render(cluster: &str, server: &str, ca: &str, user: &str, identity: &Identity) -> String {
    let encoded = |text: &str| STANDARD.encode(text);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    client-certificate-data: {crt}
    client-key-data: {key}
contexts:
- name: {cluster}
  context:
    cluster: {cluster}
    user: {user}
current-context: {cluster}
",
        ca = encoded(ca),
        crt = encoded(&identity.certificate),
        key = encoded(&identity.key),
    )
}

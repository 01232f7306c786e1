//! Self-contained kubeconfig files, which can be copied.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::pki::Identity;

/// Renders a kubeconfig with one cluster, one user and one context.
pub(crate) fn render(cluster: &str, url: &str, ca: &str, user: &str, identity: &Identity) -> String {
    let (ca, certificate, key) =
        (STANDARD.encode(ca), STANDARD.encode(&identity.certificate), STANDARD.encode(&identity.key));
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {cluster}
  context:
    cluster: {cluster}
    user: {user}
current-context: {cluster}
"
    )
}

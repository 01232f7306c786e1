//! Files that the programs of the control plane read: authorities, certificates, kubeconfigs.

use std::fs;
use std::path::Path;

use time::{Duration, OffsetDateTime};

use super::authorities::Authorities;
use super::{BootstrapError, Changes};
use crate::names::API_PORT;
use crate::pki::{self, AUTHORITY_LIFE, Authority, LEAF_LIFE, Purpose};
use crate::private_file;

/// Group with all rights.
const MASTERS: &str = "system:masters";

/// Certificate of one server or client.
struct Leaf {
    /// File name without extension.
    file: &'static str,
    /// Common name.
    name: &'static str,
    purpose: Purpose<'static>,
    life: Duration,
    by: By,
    /// True if a kubeconfig is written for it.
    kubeconfig: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Ca,
    FrontProxy,
}

fn leaves(server_names: Vec<String>) -> [Leaf; 5] {
    let leaf = |file, name, purpose| Leaf { file, name, purpose, life: LEAF_LIFE, by: By::Ca, kubeconfig: false };
    [
        leaf("apiserver", "kube-apiserver", Purpose::Server(server_names)),
        leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", Purpose::Client(Some(MASTERS))),
        Leaf { by: By::FrontProxy, ..leaf("front-proxy-client", "front-proxy-client", Purpose::Client(None)) },
        Leaf {
            kubeconfig: true,
            ..leaf("controller-manager", "system:kube-controller-manager", Purpose::Client(None))
        },
        // The syncer reads its certificate once. It never leaves the memory of the pod, so it may be long-lived.
        Leaf {
            kubeconfig: true,
            life: AUTHORITY_LIFE,
            ..leaf("syncer", "tenet-syncer", Purpose::Client(Some(MASTERS)))
        },
    ]
}

/// Writes the files that are missing, due, or made by another authority.
pub(super) fn write(
    dir: &Path,
    authorities: &Authorities,
    server_names: Vec<String>,
    now: OffsetDateTime,
    changes: &mut Changes,
) -> Result<(), BootstrapError> {
    let mut keep = |name: &str, text: &str| -> Result<bool, BootstrapError> {
        let written = write_if_changed(&dir.join(name), text)?;
        if written {
            changes.files.push(name.to_owned());
        }
        Ok(written)
    };
    keep("ca.key", &authorities.ca.key)?;
    let mut is_new = keep("ca.crt", &authorities.ca.certificate)?;
    is_new |= keep("front-proxy-ca.crt", &authorities.front_proxy.certificate)?;
    keep("sa.key", &authorities.tokens.0)?;
    keep("sa.pub", &authorities.tokens.1)?;
    let (ca, front_proxy) = (Authority::read(&authorities.ca)?, Authority::read(&authorities.front_proxy)?);
    for leaf in leaves(server_names) {
        let (crt, key) = (format!("{}.crt", leaf.file), format!("{}.key", leaf.file));
        let found = fs::read_to_string(dir.join(&crt)).unwrap_or_default();
        if is_new || !dir.join(&key).exists() || pki::due(&found, &leaf.purpose, now).is_some() {
            let authority = if leaf.by == By::FrontProxy { &front_proxy } else { &ca };
            let identity = authority.issue(leaf.name, &leaf.purpose, now, leaf.life)?;
            // A program that reads between the two writes finds a pair that does not match, keeps the old one, and
            // reads again after the second.
            keep(&key, &identity.key)?;
            keep(&crt, &identity.certificate)?;
        }
        if leaf.kubeconfig {
            keep(&format!("{}.kubeconfig", leaf.file), &kubeconfig(dir, leaf.file))?;
        }
    }
    Ok(())
}

/// Kubeconfig that names files, which its reader loads again when they change.
fn kubeconfig(dir: &Path, user: &str) -> String {
    let file = |name: &str| serde_json::Value::from(dir.join(name).display().to_string());
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: virtual
  cluster: {{server: \"https://127.0.0.1:{API_PORT}\", certificate-authority: {ca}}}
users:
- name: {user}
  user: {{client-certificate: {crt}, client-key: {key}}}
contexts:
- name: virtual
  context: {{cluster: virtual, user: {user}}}
current-context: virtual
",
        ca = file("ca.crt"),
        crt = file(&format!("{user}.crt")),
        key = file(&format!("{user}.key")),
    )
}

/// Writes a private file. Returns true if it had other content.
pub(super) fn write_if_changed(path: &Path, text: &str) -> Result<bool, BootstrapError> {
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(false);
    }
    let failed = |source| BootstrapError::Write { path: path.to_owned(), source };
    private_file::write(path, text).map(|()| true).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use time::macros::datetime;

    use super::*;
    use crate::pki::key_pair;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn authorities() -> Authorities {
        Authorities {
            ca: Authority::create("ca", NOW).unwrap(),
            front_proxy: Authority::create("front-proxy-ca", NOW).unwrap(),
            tokens: key_pair("tokens").unwrap(),
            service_cidr: "10.96.0.0/16".to_owned(),
        }
    }

    fn written(dir: &Path, authorities: &Authorities, names: &[&str], now: OffsetDateTime) -> Vec<String> {
        let mut changes = Changes::default();
        let names = names.iter().map(|&name| name.to_owned()).collect();
        write(dir, authorities, names, now, &mut changes).unwrap();
        changes.files
    }

    #[test]
    fn only_what_is_due_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let authorities = authorities();
        let first = written(dir.path(), &authorities, &["localhost"], NOW);
        assert_eq!(first.len(), 5 + 5 * 2 + 2, "{first:?}");
        for file in &first {
            let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        assert_eq!(written(dir.path(), &authorities, &["localhost"], NOW), [""; 0]);
        let other_name = written(dir.path(), &authorities, &["vc-1", "localhost"], NOW);
        assert_eq!(other_name, ["apiserver.key", "apiserver.crt"]);
        let year = written(dir.path(), &authorities, &["vc-1", "localhost"], NOW + Duration::days(365));
        assert_eq!(year.len(), 8, "all but the long-lived one of the syncer: {year:?}");
    }

    #[test]
    fn an_interrupted_run_is_completed_and_a_new_authority_replaces_all() {
        let dir = tempfile::tempdir().unwrap();
        let mut authorities = authorities();
        let all = written(dir.path(), &authorities, &["localhost"], NOW);
        for missing in &all {
            fs::remove_file(dir.path().join(missing)).unwrap();
            fs::write(dir.path().join("ca.tenet-new"), "a part").unwrap();
            assert!(written(dir.path(), &authorities, &["localhost"], NOW).contains(missing));
            assert_eq!(written(dir.path(), &authorities, &["localhost"], NOW), [""; 0], "{missing}");
        }
        authorities.ca = Authority::create("ca", NOW).unwrap();
        let again = written(dir.path(), &authorities, &["localhost"], NOW);
        assert!(again.contains(&"syncer.crt".to_owned()) && again.contains(&"apiserver.crt".to_owned()), "{again:?}");
    }
}

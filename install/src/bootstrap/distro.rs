//! Files of k3s and k0s: their authorities in their own folders, and what the bootstrap has found out in their
//! configuration.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tenet_translate::digest;

use super::authorities::Authorities;
use super::leaves::write_if_changed;
use super::{BootstrapError, Changes};
use crate::pki::Identity;
use crate::values::Distro;

/// Folder below that of the data which k3s finds as `/etc/rancher`.
pub(crate) const K3S_ETC_ON_VOLUME: &str = "etc-rancher";

/// Program that makes its own certificates from the authorities that it finds.
#[derive(Clone)]
pub struct Prepared {
    /// The program.
    pub distro: Distro,
    /// Its configuration, as far as it is known before.
    pub config: PathBuf,
    /// Folder of its data.
    pub data: PathBuf,
    /// Data source of an SQL database.
    pub data_source: Option<String>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The data source holds a password.
        let Self { distro, config, data, data_source: _ } = self;
        f.debug_struct("Prepared")
            .field("distro", distro)
            .field("config", config)
            .field("data", data)
            .finish_non_exhaustive()
    }
}

/// File below the folder of the data, and its content.
type Files = Vec<(String, String)>;

impl Prepared {
    /// Writes the authorities, and the complete configuration into `dir`.
    pub(super) fn write(
        &self,
        dir: &Path,
        authorities: &Authorities,
        names: &[String],
        changes: &mut Changes,
    ) -> Result<(), BootstrapError> {
        let mut config = self.read()?;
        let (file, files) = match self.distro {
            Distro::K8s => return Ok(()),
            Distro::K3s => {
                config["tls-san"] = json!(names);
                config["service-cidr"] = json!(authorities.service_cidr);
                config["token"] = json!(secret("token", authorities));
                ("k3s.yaml", k3s(authorities))
            }
            Distro::K0s => {
                config["spec"]["api"]["sans"] = json!(names);
                k0s_network(&authorities.service_cidr, &mut config["spec"]["network"])?;
                if let Some(source) = &self.data_source {
                    config["spec"]["storage"]["kine"]["dataSource"] = json!(source);
                }
                ("k0s.yaml", k0s(authorities))
            }
        };
        for (file, text) in files {
            let path = self.data.join(&file);
            if let Some(folder) = path.parent() {
                let failed = |source| BootstrapError::Write { path: folder.to_owned(), source };
                fs::create_dir_all(folder).map_err(failed)?;
            }
            keep(&path, &text, changes)?;
        }
        // JSON is YAML.
        keep(&dir.join(file), &format!("{config:#}\n"), changes)
    }

    fn read(&self) -> Result<Value, BootstrapError> {
        let failed = |problem: String| BootstrapError::Configuration { path: self.config.clone(), problem };
        let text = fs::read_to_string(&self.config).map_err(|error| failed(error.to_string()))?;
        let config: Value = serde_saphyr::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if config.is_object() { Ok(config) } else { Err(failed("expected a map".to_owned())) }
    }
}

fn keep(path: &Path, text: &str, changes: &mut Changes) -> Result<(), BootstrapError> {
    if write_if_changed(path, text)? {
        changes.files.push(path.display().to_string());
    }
    Ok(())
}

/// Returns the files of <https://docs.k3s.io/cli/certificate#using-custom-ca-certificates>.
fn k3s(authorities: &Authorities) -> Files {
    let Authorities { ca, front_proxy, tokens: (private, public), .. } = authorities;
    let mut files = Vec::new();
    for (name, authority) in [
        ("server-ca", ca),
        ("client-ca", ca),
        ("request-header-ca", front_proxy),
        // Required, also without an etcd.
        ("etcd/peer-ca", ca),
        ("etcd/server-ca", ca),
    ] {
        add(&mut files, "k3s/server/tls", name, authority);
    }
    // The API server finds the public key of an EC key only in a block of its own.
    files.push(("k3s/server/tls/service.key".to_owned(), format!("{private}{public}")));
    files.push((format!("{K3S_ETC_ON_VOLUME}/node/password"), format!("{}\n", secret("node", authorities))));
    files
}

/// IPv6 addresses for pods, which k0s demands and does not use: the host gives pods their addresses.
const UNUSED_POD_RANGE: &str = "fd00::/108";

/// Sets the service ranges of k0s, which takes the one of IPv4 and the one of IPv6 from different keys.
fn k0s_network(ranges: &str, network: &mut Value) -> Result<(), BootstrapError> {
    let (v6, v4): (Vec<&str>, Vec<&str>) = ranges.split(',').map(str::trim).partition(|range| range.contains(':'));
    // IPv6 alone is behind a flag that only new versions have.
    let Some(v4) = v4.first() else { return Err(BootstrapError::OnlyIpv6 { range: ranges.to_owned() }) };
    network["serviceCIDR"] = json!(v4);
    if let Some(v6) = v6.first() {
        network["dualStack"] = json!({"enabled": true, "IPv6serviceCIDR": v6, "IPv6podCIDR": UNUSED_POD_RANGE});
    }
    Ok(())
}

/// Returns the files of <https://docs.k0sproject.io/stable/custom-ca/>.
fn k0s(authorities: &Authorities) -> Files {
    let mut files = Vec::new();
    add(&mut files, "k0s/pki", "ca", &authorities.ca);
    add(&mut files, "k0s/pki", "front-proxy-ca", &authorities.front_proxy);
    add(&mut files, "k0s/pki", "etcd/ca", &authorities.ca);
    for (file, text) in [("sa.key", &authorities.tokens.0), ("sa.pub", &authorities.tokens.1)] {
        files.push((format!("k0s/pki/{file}"), text.clone()));
    }
    files
}

fn add(files: &mut Files, folder: &str, name: &str, authority: &Identity) {
    files.push((format!("{folder}/{name}.crt"), authority.certificate.clone()));
    files.push((format!("{folder}/{name}.key"), authority.key.clone()));
}

/// Returns a secret of k3s. It has to be the same at every start: the token encrypts the authorities in the store, and
/// the password of the node is compared with an earlier one.
fn secret(purpose: &str, authorities: &Authorities) -> String {
    digest::hex(format!("k3s {purpose}\n{}", authorities.tokens.0).as_bytes(), 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use time::macros::datetime;

    use super::*;
    use crate::pki::{Authority, key_pair};

    fn authorities() -> Authorities {
        let now = datetime!(2026-01-01 00:00 UTC);
        Authorities {
            ca: Authority::create("ca", now).unwrap(),
            front_proxy: Authority::create("front-proxy-ca", now).unwrap(),
            tokens: key_pair("tokens").unwrap(),
            service_cidr: "10.96.0.0/16".to_owned(),
        }
    }

    /// Runs the bootstrap of a distro twice, and returns its configuration and its files.
    fn prepared(distro: Distro, config: &str, data_source: Option<&str>) -> (Value, BTreeSet<String>) {
        let dir = tempfile::tempdir().unwrap();
        let prepared = Prepared {
            distro,
            config: dir.path().join("given.yaml"),
            data: dir.path().join("data"),
            data_source: data_source.map(str::to_owned),
        };
        fs::write(&prepared.config, config).unwrap();
        let (authorities, names) = (authorities(), ["vc-1".to_owned(), "10.96.0.9".to_owned()]);
        let mut changes = Changes::default();
        prepared.write(dir.path(), &authorities, &names, &mut changes).unwrap();
        let mut again = Changes::default();
        prepared.write(dir.path(), &authorities, &names, &mut again).unwrap();
        assert_eq!(again, Changes::default());
        let root = format!("{}/", dir.path().display());
        let mut files: BTreeSet<String> = changes.files.iter().map(|file| file.replace(&root, "")).collect();
        let written = files.pop_last().unwrap();
        (serde_saphyr::from_str(&fs::read_to_string(dir.path().join(written)).unwrap()).unwrap(), files)
    }

    #[test]
    fn k3s_finds_every_file_that_it_documents() {
        let (config, files) = prepared(Distro::K3s, "disable-agent: true\n", None);
        let expected = [
            "client-ca.crt",
            "client-ca.key",
            "etcd/peer-ca.crt",
            "etcd/peer-ca.key",
            "etcd/server-ca.crt",
            "etcd/server-ca.key",
            "request-header-ca.crt",
            "request-header-ca.key",
            "server-ca.crt",
            "server-ca.key",
            "service.key",
        ];
        let mut expected = BTreeSet::from(expected.map(|file| format!("data/k3s/server/tls/{file}")));
        expected.insert("data/etc-rancher/node/password".to_owned());
        assert_eq!(files, expected);
        assert_eq!(config["tls-san"], json!(["vc-1", "10.96.0.9"]));
        assert_eq!((&config["service-cidr"], &config["disable-agent"]), (&json!("10.96.0.0/16"), &json!(true)));
        assert_eq!(config["token"].as_str().map(str::len), Some(64));
    }

    #[test]
    fn k0s_finds_every_file_that_it_documents_and_its_data_source() {
        let (config, files) = prepared(Distro::K0s, "spec: {storage: {type: kine}}\n", Some("postgres://a:b@c/d"));
        let expected = [
            "ca.crt",
            "ca.key",
            "etcd/ca.crt",
            "etcd/ca.key",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "sa.key",
            "sa.pub",
        ];
        assert_eq!(files, expected.map(|file| format!("data/k0s/pki/{file}")).into());
        assert_eq!(config["spec"]["api"]["sans"], json!(["vc-1", "10.96.0.9"]));
        assert_eq!(config["spec"]["network"]["serviceCIDR"], "10.96.0.0/16");
        let storage = json!({"type": "kine", "kine": {"dataSource": "postgres://a:b@c/d"}});
        assert_eq!(config["spec"]["storage"], storage);
    }

    #[test]
    fn k0s_takes_the_service_ranges_of_both_families_apart() {
        for ranges in ["10.96.0.0/16,fd00:96::/108", "fd00:96::/108, 10.96.0.0/16"] {
            let mut network = json!({"provider": "custom"});
            k0s_network(ranges, &mut network).unwrap();
            assert_eq!(network["serviceCIDR"], "10.96.0.0/16");
            assert_eq!(network["dualStack"]["enabled"], true);
            assert_eq!(network["dualStack"]["IPv6serviceCIDR"], "fd00:96::/108");
        }
        let error = k0s_network("fd00:96::/108", &mut json!({})).unwrap_err().to_string();
        assert!(error.contains("fd00:96::/108") && error.contains("choose"), "{error}");
    }

    #[test]
    fn an_unreadable_configuration_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("k3s.yaml");
        let prepared =
            Prepared { distro: Distro::K3s, config: config.clone(), data: dir.path().to_owned(), data_source: None };
        let mut changes = Changes::default();
        for text in [None, Some("[1]"), Some("a: [")] {
            if let Some(text) = text {
                fs::write(&config, text).unwrap();
            }
            let error = prepared.write(dir.path(), &authorities(), &[], &mut changes).unwrap_err();
            assert!(error.to_string().contains("k3s.yaml"), "{error}");
        }
        assert_eq!(changes, Changes::default());
    }
}

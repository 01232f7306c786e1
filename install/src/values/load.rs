//! Values from files and from the command line.

use ipnet::IpNet;
use serde_json::Value;
use tenet_translate::dns_name::is_label;

use super::{Distro, StoreType, Values};

/// Problem of the values.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// A file is not YAML, or has a key or a value that does not exist.
    #[error("{file}: {problem}")]
    File {
        /// File.
        file: String,
        /// Problem, with line and column.
        problem: String,
    },
    /// A `--set` is no assignment.
    #[error("--set {0:?} is no assignment: expected KEY=VALUE, such as store.type=etcd")]
    Assignment(String),
    /// A `--set` has a key or a value that does not exist.
    #[error("--set {assignment:?}: {problem}")]
    Set {
        /// The assignment.
        assignment: String,
        /// Problem.
        problem: String,
    },
    /// Values that do not fit together, or not into an object.
    #[error("{field}: {problem}")]
    Field {
        /// Path of the value.
        field: &'static str,
        /// Problem.
        problem: String,
    },
}

/// Reads values: files by name and content, then assignments such as `store.type=etcd`. What comes later wins; lists
/// are replaced as a whole.
pub fn load(files: &[(String, String)], assignments: &[String]) -> Result<Values, ValuesError> {
    let mut all = Value::Object(serde_json::Map::new());
    for (file, text) in files {
        let problem = |error: serde_saphyr::Error| ValuesError::File { file: file.clone(), problem: error.to_string() };
        if text.trim().is_empty() {
            continue;
        }
        // Typed first: its errors have lines.
        serde_saphyr::from_str::<Values>(text).map_err(problem)?;
        merge(&mut all, serde_saphyr::from_str::<Value>(text).map_err(problem)?);
    }
    for assignment in assignments {
        let (key, value) = assignment.split_once('=').ok_or_else(|| ValuesError::Assignment(assignment.clone()))?;
        merge(&mut all, nested(key, scalar(value)));
        serde_json::from_value::<Values>(all.clone())
            .map_err(|error| ValuesError::Set { assignment: assignment.clone(), problem: error.to_string() })?;
    }
    let values = serde_json::from_value::<Values>(all)
        .map_err(|error| ValuesError::File { file: "values".to_owned(), problem: error.to_string() })?;
    check(&values)?;
    Ok(values)
}

/// Merges maps key by key; everything else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn nested(key: &str, value: Value) -> Value {
    key.rsplit('.').fold(value, |inner, name| Value::Object([(name.to_owned(), inner)].into_iter().collect()))
}

/// Reads a value of a command line: a list in braces (`{a,b}`), a boolean, a number, or text.
fn scalar(text: &str) -> Value {
    if let Some(list) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return list.split(',').filter(|item| !item.is_empty()).map(Value::from).collect();
    }
    match text.parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => match text {
            "true" => true.into(),
            "false" => false.into(),
            "null" => Value::Null,
            text => text.into(),
        },
    }
}

/// Keys of the syncer's configuration that the installation sets.
const OURS: [&str; 4] = ["name", "host", "virtual", "admin"];

fn check(values: &Values) -> Result<(), ValuesError> {
    let problem = |field, problem: String| Err(ValuesError::Field { field, problem });
    if values.minor().is_none_or(|minor| minor < 30) {
        return problem("version", format!("{:?} is no version of Kubernetes from v1.30 on", values.version));
    }
    if values.store.r#type == StoreType::Sql && values.store.data_source.secret.is_empty() {
        return problem("store.dataSource.secret", "is required for the store \"sql\"".to_owned());
    }
    if let Some(namespace) = &values.workload_namespace {
        if !is_label(namespace) {
            return problem("workloadNamespace", format!("{namespace:?} is not a DNS label"));
        }
        if values.syncer.config.get("kubelet").is_some_and(|kubelet| kubelet["addresses"] == "service") {
            // A Service selects pods of its own namespace.
            return problem("syncer.config.kubelet.addresses", "must be loopback with a workloadNamespace".to_owned());
        }
    }
    let external = &values.store.external;
    if values.store.r#type == StoreType::External {
        if external.endpoints.is_empty() {
            return problem("store.external.endpoints", "are required for the store \"external\"".to_owned());
        }
        if external.secret.is_empty() && external.endpoints.iter().any(|url| url.starts_with("https:")) {
            return problem("store.external.secret", "is required for endpoints with https".to_owned());
        }
    }
    if values.distro == Distro::K3s && values.store.r#type == StoreType::Etcd {
        // Its members know each other by the address of the pod, which is another after each restart.
        return problem("store.type", "\"etcd\" cannot be used with k3s: choose sqlite, sql or external".to_owned());
    }
    if values.distro == Distro::K0s {
        let fields = [
            ("apiServer.extraArgs", &values.api_server.extra_args),
            ("controllerManager.extraArgs", &values.controller_manager.extra_args),
        ];
        for (field, flags) in fields {
            let names = || flags.iter().map(|flag| flag.split('=').next().unwrap_or_default());
            if let Some(flag) = names().find(|name| names().filter(|other| other == name).count() > 1) {
                return problem(field, format!("{flag:?} is there twice: k0s takes each flag once"));
            }
        }
    }
    if let Some(range) =
        values.service_cidr.iter().flat_map(|all| all.split(',')).find(|it| it.trim().parse::<IpNet>().is_err())
    {
        return problem("serviceCIDR", format!("{range:?} is no range of addresses, such as 10.96.0.0/16"));
    }
    if let Some(key) = OURS.iter().find(|key| values.syncer.config.contains_key(**key)) {
        return problem("syncer.config", format!("{key:?} is set by the installation"));
    }
    if let Some(flag) = values.syncer.extra_args.iter().find(|flag| !flag.starts_with("--")) {
        return problem("syncer.extraArgs", format!("{flag:?} is no flag: write --NAME=VALUE"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, set: &[&str]) -> Result<Values, String> {
        let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
        load(&[("value.yaml".to_owned(), text.to_owned())], &set).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_of_a_user_is_accepted_as_it_is() {
        let values = of("syncer:\n  extraArgs:\n  - --tls-san=192.0.2.1,a.example.com\n", &[]).unwrap();
        assert_eq!(values.syncer.extra_args, ["--tls-san=192.0.2.1,a.example.com"]);
        assert_eq!(of("", &[]).unwrap(), Values::default());
    }

    #[test]
    fn a_flag_that_is_repeated_is_refused_where_it_would_be_lost() {
        let text = |distro: &str| format!("distro: {distro}\napiServer: {{extraArgs: [--a=1, --b=1, --a=2]}}\n");
        assert!(of(&text("k8s"), &[]).is_ok() && of(&text("k3s"), &[]).is_ok());
        let error = of(&text("k0s"), &[]).unwrap_err();
        assert!(error.contains("apiServer.extraArgs") && error.contains("\"--a\" is there twice"), "{error}");
    }

    #[test]
    fn assignments_win_over_files_and_keep_the_rest() {
        let values =
            of("store: {type: etcd, size: 1Gi}\n", &["store.size=2Gi", "networkPolicy.enabled=false"]).unwrap();
        assert_eq!((values.store.r#type, values.store.size.as_str()), (StoreType::Etcd, "2Gi"));
        assert!(!values.network_policy.enabled);
        let listed = of("", &["syncer.extraArgs={--tls-san=a,--log-level=debug}", "expose.nodePort=30443"]).unwrap();
        assert_eq!(listed.syncer.extra_args, ["--tls-san=a", "--log-level=debug"]);
        assert_eq!(listed.expose.node_port, Some(30443));
    }

    #[test]
    fn a_mistake_is_reported_with_its_place() {
        for (text, set, parts) in [
            ("store:\n  typ: etcd\n", &[][..], &["value.yaml", "typ", "2"][..]),
            ("distro: k9s\n", &[], &["value.yaml", "k9s"]),
            ("expose: {nodePort: 99999}\n", &[], &["value.yaml"]),
            ("a: [\n", &[], &["value.yaml"]),
            ("", &["store.typ=etcd"], &["--set \"store.typ=etcd\"", "typ"]),
            ("", &["store"], &["expected KEY=VALUE"]),
            ("store: {type: sql}\n", &[], &["store.dataSource.secret: is required"]),
            ("store: {type: external}\n", &[], &["store.external.endpoints: are required"]),
            (
                "store: {type: external, external: {endpoints: ['https://etcd:2379']}}\n",
                &[],
                &["store.external.secret: is required"],
            ),
            ("{distro: k3s, store: {type: etcd}}\n", &[], &["store.type: \"etcd\" cannot be used with k3s"]),
            ("version: latest\n", &[], &["version: \"latest\""]),
            ("version: v1.20.0\n", &[], &["version: \"v1.20.0\""]),
            ("syncer: {config: {name: a}}\n", &[], &["syncer.config: \"name\" is set by the installation"]),
            ("serviceCIDR: 10.96.0.0\n", &[], &["serviceCIDR: \"10.96.0.0\" is no range of addresses"]),
            ("syncer: {extraArgs: [-v]}\n", &[], &["syncer.extraArgs: \"-v\" is no flag"]),
        ] {
            let error = of(text, set).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{text:?} {set:?}: {error}");
        }
    }
}

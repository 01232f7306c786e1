//! Contexts in the user's kubeconfig.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{name_of, write_private};

/// Select the context that was current before `tenet connect --merge`.
#[derive(Debug, clap::Args)]
pub(crate) struct DisconnectArgs {
    /// Kubeconfig [default: `KUBECONFIG`, or `~/.kube/config`].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Prefix of the contexts that `connect` adds. The context before it follows at the end.
const PREFIX: &str = "tenet_";

pub(crate) fn disconnect(args: &DisconnectArgs) -> Result<()> {
    let path = file(args.kubeconfig.as_deref())?;
    let mut config = read(&path)?;
    let before = select_previous(&mut config)?;
    write_private(&path, &serde_saphyr::to_string(&config)?)?;
    println!("current context: {before}");
    Ok(())
}

/// Adds a context and selects it. Returns its name.
pub(super) fn merge(kubeconfig: Option<&Path>, name: &str, namespace: &str, inside: &str) -> Result<String> {
    let path = file(kubeconfig)?;
    let mut config = if path.exists() { read(&path)? } else { json!({"apiVersion": "v1", "kind": "Config"}) };
    let inside: Value = serde_saphyr::from_str(inside).context("cannot read the kubeconfig of the virtual cluster")?;
    let context = add(&mut config, name, namespace, &inside);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    write_private(&path, &serde_saphyr::to_string(&config)?)?;
    Ok(context)
}

fn file(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let listed =
        env::var_os("KUBECONFIG").and_then(|list| env::split_paths(&list).find(|path| !path.as_os_str().is_empty()));
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube").join("config"));
    listed.or_else(home).context("there is no kubeconfig: HOME is not set, pass --kubeconfig")
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is no kubeconfig", path.display()))
}

fn add(config: &mut Value, name: &str, namespace: &str, inside: &Value) -> String {
    let current = config["current-context"].as_str().unwrap_or_default();
    // A second connection keeps the context before the first.
    let before = previous(current).unwrap_or(current);
    let context = format!("{PREFIX}{name}_{namespace}_{before}");
    put(config, "clusters", json!({"name": context, "cluster": inside["clusters"][0]["cluster"]}));
    put(config, "users", json!({"name": context, "user": inside["users"][0]["user"]}));
    put(config, "contexts", json!({"name": context, "context": {"cluster": context, "user": context}}));
    config["current-context"] = json!(context);
    context
}

/// Replaces the entry of this name, or adds it.
fn put(config: &mut Value, list: &str, entry: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let Some(entries) = config[list].as_array_mut() else { return };
    match entries.iter_mut().find(|found| name_of(found) == name_of(&entry)) {
        Some(found) => *found = entry,
        None => entries.push(entry),
    }
}

/// Removes the current context of ours, and selects the one before it.
fn select_previous(config: &mut Value) -> Result<String> {
    let current = config["current-context"].as_str().unwrap_or_default().to_owned();
    let Some(before) = previous(&current).map(str::to_owned) else {
        bail!("the current context {current:?} is not one of tenet connect --merge");
    };
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = config[list].as_array_mut() {
            entries.retain(|entry| name_of(entry) != current);
        }
    }
    config["current-context"] = json!(before);
    Ok(before)
}

/// Returns the context before one of ours.
pub(crate) fn previous(context: &str) -> Option<&str> {
    // Neither the name nor the namespace holds an underscore.
    context.strip_prefix(PREFIX)?.splitn(3, '_').nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_adds_one_context_and_a_disconnection_restores_the_file() {
        let before = json!({
            "clusters": [{"name": "prod", "cluster": {"server": "https://prod"}}],
            "users": [{"name": "me", "user": {"token": "x"}}],
            "contexts": [{"name": "prod_eu", "context": {"cluster": "prod", "user": "me"}}],
            "current-context": "prod_eu",
        });
        let inside = json!({
            "clusters": [{"name": "vc-1", "cluster": {"server": "https://vc-1"}}],
            "users": [{"name": "admin", "user": {"client-key-data": "eA=="}}],
        });
        let mut config = before.clone();
        for _ in 0..2 {
            assert_eq!(add(&mut config, "vc-1", "team-a", &inside), "tenet_vc-1_team-a_prod_eu");
            assert_eq!(config["clusters"].as_array().map(Vec::len), Some(2));
        }
        assert_eq!(config["current-context"], "tenet_vc-1_team-a_prod_eu");
        assert_eq!(select_previous(&mut config).unwrap(), "prod_eu");
        assert_eq!(config, before);
        assert!(select_previous(&mut config).is_err());
    }
}

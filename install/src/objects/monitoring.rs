//! Objects for Prometheus and Grafana, each on demand: a `ServiceMonitor`, alert rules and a dashboard.

use serde_json::{Value, json};

use super::{Installation, labels, metadata};

/// Name of the port of the metrics.
pub(super) const PORT: &str = "metrics";
/// Alert rules, with `@NAME@` and `@NAMESPACE@` in place of those of a virtual cluster.
pub const ALERTS: &str = include_str!("monitoring/alerts.yaml");
/// Dashboard, with `@NAME@` and `@NAMESPACE@` in place of those of a virtual cluster.
pub const DASHBOARD: &str = include_str!("monitoring/dashboard.json");

const OPERATOR: &str = "monitoring.coreos.com/v1";

pub(super) fn objects(installation: &Installation<'_>) -> Vec<Value> {
    let settings = &installation.values.monitoring;
    let mut all = Vec::new();
    if settings.service_monitor {
        all.push(service_monitor(installation));
    }
    if settings.rules {
        all.push(rules(installation));
    }
    if settings.dashboard {
        all.push(dashboard(installation));
    }
    all
}

fn service_monitor(installation: &Installation<'_>) -> Value {
    json!({
        "apiVersion": OPERATOR,
        "kind": "ServiceMonitor",
        "metadata": labelled(installation, "syncer"),
        "spec": {
            "selector": {"matchLabels": labels(installation.name)},
            // Only the headless Service has a port of this name.
            "endpoints": [{"port": PORT}],
        },
    })
}

fn rules(installation: &Installation<'_>) -> Value {
    // The text is a constant and both names are DNS labels, so it stays YAML: a test reads it.
    let spec: Value = serde_saphyr::from_str(&own(installation, ALERTS)).unwrap_or_default();
    json!({
        "apiVersion": OPERATOR,
        "kind": "PrometheusRule",
        "metadata": labelled(installation, "syncer"),
        "spec": spec,
    })
}

/// Returns the `ConfigMap` that the sidecar of Grafana loads.
fn dashboard(installation: &Installation<'_>) -> Value {
    let mut metadata = labelled(installation, "dashboard");
    metadata["labels"]["grafana_dashboard"] = json!("1");
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {format!("tenet-{}.json", installation.name): own(installation, DASHBOARD)},
    })
}

/// Returns `metadata` with the labels by which the operators select.
fn labelled(installation: &Installation<'_>, suffix: &str) -> Value {
    let mut metadata = metadata(installation, &format!("{}-{suffix}", installation.name));
    for (key, value) in &installation.values.monitoring.labels {
        if metadata["labels"][key].is_null() {
            metadata["labels"][key] = json!(value);
        }
    }
    metadata
}

fn own(installation: &Installation<'_>, text: &str) -> String {
    text.replace("@NAMESPACE@", installation.namespace).replace("@NAME@", installation.name)
}

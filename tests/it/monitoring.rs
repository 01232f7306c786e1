//! Metrics, and everything that names them: alerts, the dashboard and the page of operations.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tenet_install::objects::{ALERTS, DASHBOARD};

use crate::harness::Harness;
use crate::operations::scrape;

/// Endings that Prometheus adds to the name of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Returns the names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_of_name(c)).filter(|word| word.starts_with("tenet_"));
    words.map(|word| PARTS.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word).to_owned()).collect()
}

/// Returns the names that the code registers: those in quotes in the modules of metrics.
fn registered() -> Result<BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("syncer/src/metrics.rs"), root.join("syncer/sockets/src/metrics.rs")];
    for entry in fs::read_dir(root.join("syncer/src/metrics"))? {
        files.push(entry?.path());
    }
    let mut all = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        all.extend(text.split('"').skip(1).step_by(2).filter(|text| text.starts_with("tenet_")).map(str::to_owned));
    }
    Ok(all)
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() -> Result<()> {
    let registered = registered()?;
    ensure!(registered.len() > 30, "only {registered:?}");
    for (text, least) in [(ALERTS, 12), (DASHBOARD, 18)] {
        let asked = names(text);
        let unknown: Vec<_> = asked.difference(&registered).collect();
        ensure!(unknown.is_empty(), "no such metrics: {unknown:?}");
        ensure!(asked.len() >= least, "only {asked:?}");
    }
    Ok(())
}

#[test]
fn the_documentation_lists_every_metric_and_no_other() -> Result<()> {
    let mut listed = BTreeSet::new();
    for page in ["operations.md", "services.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page))?;
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `tenet_")).collect();
        listed.append(&mut names(&rows.join("\n")));
    }
    assert_eq!(listed, registered()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_syncer_exposes_the_registered_names() -> Result<()> {
    let harness = Harness::shared().await?;
    let (_, text) = scrape(harness.playground.admin_port(), "/metrics").await?;
    let exposed: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    let ours: BTreeSet<String> = exposed.into_iter().filter(|name| name.starts_with("tenet_")).collect();
    let registered = registered()?;
    let unknown: Vec<_> = ours.difference(&registered).collect();
    ensure!(unknown.is_empty() && ours.len() > 10, "{ours:?}");
    Ok(())
}

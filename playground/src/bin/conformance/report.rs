//! Results of the tests.

use std::{fmt, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Results of one run.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of the tests.
    pub kubernetes: String,
    /// Level that the pods were held to; `host` for a run on the host itself.
    pub level: String,
    /// Number of nodes.
    pub nodes: u8,
    /// Regular expression of the names of the tests.
    pub focus: Option<String>,
    /// Regular expression of the names of the tests that were left out.
    pub skip: Option<String>,
    /// Duration of the tests.
    pub seconds: u64,
    /// Tests that passed.
    pub passed: Vec<String>,
    /// Tests that failed, with their messages.
    pub failed: Vec<Finding>,
    /// Tests that ran when the time of the run was over.
    pub cut_off: Vec<String>,
    /// Tests that found that they cannot run here, with their reasons.
    pub skipped: Vec<Finding>,
    /// Number of conformance tests that were not to run.
    pub not_run: usize,
}

/// Test with a message.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    name: String,
    message: String,
}

/// Part of the report of Ginkgo.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Results {
    spec_reports: Option<Vec<Spec>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    #[serde(default)]
    leaf_node_type: String,
    #[serde(default)]
    leaf_node_text: String,
    #[serde(default)]
    leaf_node_labels: Option<Vec<String>>,
    state: String,
    #[serde(default)]
    failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
}

const LABEL: &str = "Conformance";
/// Start of the message of a test that the end of the run cut off.
const CUT_OFF: &str = "A suite timeout occurred";

/// Returns the names of the tests that passed in an earlier run.
pub fn passed(file: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Earlier {
        passed: Vec<String>,
    }
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let earlier: Earlier =
        serde_json::from_str(&text).with_context(|| format!("cannot read the report in {}", file.display()))?;
    Ok(earlier.passed)
}

impl Report {
    /// Reads the results of a run that took so long.
    pub fn read(file: &Path, took: Duration) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Self::parse(&text, took).with_context(|| format!("cannot read the results in {}", file.display()))
    }

    fn parse(text: &str, took: Duration) -> Result<Self> {
        let results: Vec<Results> = serde_json::from_str(text)?;
        let mut report = Self { seconds: took.as_secs(), ..Self::default() };
        for spec in results.into_iter().flat_map(|results| results.spec_reports.unwrap_or_default()) {
            report.count(&spec);
        }
        Ok(report)
    }

    fn count(&mut self, spec: &Spec) {
        let is_test = spec.leaf_node_type == "It";
        let is_conformance = is_test && spec.leaf_node_labels.iter().flatten().any(|label| label == LABEL);
        let finding = || Finding { name: spec.name(), message: spec.message() };
        match spec.state.as_str() {
            "passed" if is_test => self.passed.push(spec.name()),
            "passed" => {}
            // A test without a message was not selected.
            "skipped" if is_conformance && !spec.message().is_empty() => self.skipped.push(finding()),
            "skipped" | "pending" | "" => self.not_run += usize::from(is_conformance),
            "interrupted" if is_test => self.cut_off.push(spec.name()),
            "timedout" if is_test && spec.message().starts_with(CUT_OFF) => self.cut_off.push(spec.name()),
            // Also what comes before and after all tests.
            _ => self.failed.push(finding()),
        }
    }

    /// Returns true if some tests passed, and none failed or was cut off.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.cut_off.is_empty() && !self.passed.is_empty()
    }

    /// Writes the report as JSON.
    pub fn write(&self, file: &Path) -> Result<()> {
        Ok(fs::write(file, serde_json::to_string_pretty(self)? + "\n")?)
    }
}

impl Spec {
    fn name(&self) -> String {
        let texts = self.container_hierarchy_texts.iter().flatten().chain([&self.leaf_node_text]);
        let name = texts.filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        if name.is_empty() { self.leaf_node_type.clone() } else { name }
    }

    fn message(&self) -> String {
        self.failure.as_ref().map(|failure| failure.message.trim().to_owned()).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, findings) in [("failed", &self.failed), ("skipped", &self.skipped)] {
            for finding in findings {
                writeln!(f, "{title}: {}", finding.name)?;
                writeln!(f, "    {}", finding.message.lines().next().unwrap_or_default())?;
            }
        }
        for name in &self.cut_off {
            writeln!(f, "cut off: {name}")?;
        }
        writeln!(
            f,
            "Kubernetes {}, level {}, {} nodes, {} s: {} passed, {} failed, {} cut off, {} skipped, {} not run",
            self.kubernetes,
            self.level,
            self.nodes,
            self.seconds,
            self.passed.len(),
            self.failed.len(),
            self.cut_off.len(),
            self.skipped.len(),
            self.not_run,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_their_state() {
        let text = r#"[{"SpecReports": [
            {"LeafNodeType": "SynchronizedBeforeSuite", "State": "passed"},
            {"ContainerHierarchyTexts": ["[sig-node]", "Pods"], "LeafNodeType": "It", "LeafNodeText": "run",
             "LeafNodeLabels": ["Conformance"], "State": "passed"},
            {"ContainerHierarchyTexts": ["[sig-node]"], "LeafNodeType": "It", "LeafNodeText": "fails",
             "LeafNodeLabels": ["Conformance"], "State": "timedout", "Failure": {"Message": "too slow\nby far"}},
            {"LeafNodeType": "It", "LeafNodeText": "runs on", "LeafNodeLabels": ["Conformance"], "State": "timedout",
             "Failure": {"Message": "A suite timeout occurred"}},
            {"LeafNodeType": "It", "LeafNodeText": "needs three nodes", "LeafNodeLabels": ["Conformance"],
             "State": "skipped", "Failure": {"Message": "there are two"}},
            {"LeafNodeType": "It", "LeafNodeText": "other", "LeafNodeLabels": ["Conformance"], "State": "skipped"},
            {"LeafNodeType": "It", "LeafNodeText": "no conformance", "LeafNodeLabels": null, "State": "skipped"}
        ]}]"#;
        let report = Report::parse(text, Duration::from_secs(9)).expect("a report");
        assert_eq!(report.passed, ["[sig-node] Pods run"]);
        let failed = Finding { name: "[sig-node] fails".to_owned(), message: "too slow\nby far".to_owned() };
        assert_eq!(report.failed, [failed]);
        assert_eq!(report.cut_off, ["runs on"]);
        assert_eq!((report.skipped.len(), report.not_run), (1, 1));
        assert!(!report.is_good());
        assert!(report.to_string().contains("failed: [sig-node] fails\n    too slow\n"), "{report}");
    }

    #[test]
    fn a_failure_before_all_tests_is_a_failure() {
        let text = r#"[{"SpecReports": [{"LeafNodeType": "SynchronizedBeforeSuite", "State": "failed",
            "Failure": {"Message": "no nodes"}}]}]"#;
        let report = Report::parse(text, Duration::ZERO).expect("a report");
        assert_eq!(report.failed.len(), 1);
        assert_eq!(report.failed[0].name, "SynchronizedBeforeSuite");
    }
}

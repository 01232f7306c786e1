//! Result of a check.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use crate::verdict::Verdict;

/// Result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    pub(super) detail: String,
    /// Command that helps, or advice; empty if there is nothing to do.
    pub(super) help: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, detail: detail.into(), help: String::new() }
    }

    pub(super) fn warn(check: &'static str, detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, detail: detail.into(), help: help.into() }
    }

    pub(super) fn fail(check: &'static str, detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, detail: detail.into(), help: help.into() }
    }

    /// Returns a warning if the check could not be made, such as for want of a right.
    pub(super) fn or_unchecked(check: &'static str, found: Result<Self>) -> Self {
        found.unwrap_or_else(|error| Self::warn(check, format!("not checked: {error:#}"), ""))
    }

    pub(super) fn row(&self) -> Value {
        json!({"name": self.check, "status": self.verdict.as_str(), "detail": self.detail, "help": self.help})
    }
}

/// Width of the columns before the detail.
const INDENT: usize = 30;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {:<23} {}", self.verdict.as_str(), self.check, self.detail)?;
        for line in self.help.lines() {
            write!(f, "\n{:INDENT$}{line}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_stands_below_the_detail() {
        let finding = Finding::fail("syncer", "it is not ready", "tenet logs vc-1 -n a");
        let shown = finding.to_string();
        let (first, second) = shown.split_once('\n').unwrap();
        assert_eq!(first, "fail  syncer                  it is not ready");
        assert_eq!(second.find("tenet"), first.find("it is"));
    }
}

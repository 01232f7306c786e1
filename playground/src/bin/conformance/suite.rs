//! The test program of Kubernetes.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use tenet_playground::{Component, Components, Died, Launch, Process, Progress};

/// Run of the conformance tests.
pub struct Suite {
    /// Paths of the programs.
    pub components: Components,
    /// Kubeconfig of the cluster under test.
    pub kubeconfig: PathBuf,
    /// Folder of the results; the logs are in `logs` below it.
    pub dir: PathBuf,
    /// Regular expression of the names of the tests to run.
    pub focus: Option<String>,
    /// Regular expression of the names of the tests not to run.
    pub skip: Option<String>,
    /// Names of more tests not to run.
    pub passed: Vec<String>,
    /// Number of processes that run tests at once.
    pub procs: u8,
    /// Time after which the tests are stopped.
    pub limit: Duration,
    /// Output of the progress messages.
    pub progress: Progress,
}

const RESULTS: &str = "ginkgo.json";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time that the tests have to clean up and write the results once their limit is over.
const GRACE: Duration = Duration::from_secs(120);

impl Suite {
    /// Returns the names of the images of all tests.
    pub async fn list_images(&self) -> Result<Vec<String>> {
        let process = self.start("e2e-images", Component::E2eTest, vec!["--list-images".into()])?;
        while process.exited().is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let names: Vec<String> = fs::read_to_string(process.log())?
            .lines()
            .filter(|line| line.contains('/') && line.contains(':') && !line.contains(' '))
            .map(str::to_owned)
            .collect();
        ensure!(!names.is_empty(), "e2e.test lists no images; its output is {}", process.log().display());
        Ok(names)
    }

    /// Returns the file of the results.
    pub fn results(&self) -> PathBuf {
        self.dir.join(RESULTS)
    }

    /// Runs the tests to their end, and returns how long they took. `died` tells of a process of the clusters.
    pub async fn run(&self, died: impl Fn() -> Option<Died>) -> Result<Duration> {
        let (started, results) = (Instant::now(), self.results());
        // Those of an earlier run would count as those of this one.
        if results.exists() {
            fs::remove_file(&results)?;
        }
        self.progress.note(&format!("running the tests; their output is {}", self.log("e2e").display()));
        let process = self.start("e2e", Component::Ginkgo, self.arguments())?;
        let mut seen = 0;
        while process.exited().is_none() {
            if let Some(died) = died() {
                bail!(died);
            }
            if started.elapsed() > self.limit + GRACE {
                process.kill();
                bail!("the tests did not end {} s after their limit", GRACE.as_secs());
            }
            let now = ended(process.log());
            if std::mem::replace(&mut seen, now) != now {
                self.progress.step(&format!("{now} tests have ended"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if !results.exists() {
            let died = process.died().map(|died| died.to_string()).unwrap_or_default();
            bail!("the tests wrote no results: {died}");
        }
        Ok(started.elapsed())
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![
            "run".to_owned(),
            format!("--procs={}", self.procs),
            "--label-filter=Conformance".to_owned(),
            "--v".to_owned(),
            "--no-color".to_owned(),
            format!("--timeout={}s", self.limit.as_secs()),
            format!("--output-dir={}", self.dir.display()),
            format!("--json-report={RESULTS}"),
        ];
        arguments.extend(self.focus.iter().map(|focus| format!("--focus={focus}")));
        arguments.extend(self.skip.iter().map(|skip| format!("--skip={skip}")));
        arguments.extend(self.passed.iter().map(|name| format!("--skip={}", exactly(name))));
        arguments.extend([
            self.components.path(Component::E2eTest).display().to_string(),
            "--".to_owned(),
            "--provider=skeleton".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--kubectl-path={}", self.components.path(Component::Kubectl).display()),
            "--disable-log-dump=true".to_owned(),
        ]);
        arguments.into_iter().map(OsString::from).collect()
    }

    fn start(&self, name: &str, program: Component, args: Vec<OsString>) -> Result<Process> {
        let log = self.log(name);
        fs::write(&log, "")?;
        Ok(Process::spawn(&Launch {
            name: name.to_owned(),
            program: self.components.path(program).to_owned(),
            args,
            dir: self.dir.clone(),
            env: Vec::new(),
            log,
            pid_file: None,
        })?)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }
}

/// Returns the regular expression of the test of this name, and of no other. Ginkgo puts the name of the suite before
/// that of the test.
fn exactly(name: &str) -> String {
    let escaped =
        name.chars().flat_map(|letter| letter.is_ascii_punctuation().then_some('\\').into_iter().chain([letter]));
    format!(" {}$", escaped.collect::<String>())
}

/// Counts the tests that have ended. The output marks each with a bullet.
fn ended(log: &Path) -> usize {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter(|line| line.starts_with('•')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expression_of_a_name_takes_its_punctuation_as_it_is() {
        assert_eq!(exactly("[sig-node] Pods a.b (c)"), r" \[sig\-node\] Pods a\.b \(c\)$");
    }
}

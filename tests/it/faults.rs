//! Churn on real control planes under faults of the network and `kill -9` of every process; the long run is
//! `cargo run --release -p tenet-sim --bin faults`.

use std::time::Duration;

use anyhow::{Result, ensure};
use tenet_sim::faults::{Options, run};

use crate::harness::dir;

/// Time during which faults come. With the start, the end and the check at rest it takes five minutes.
const LENGTH: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_under_faults_and_kills() -> Result<()> {
    let dir = dir("faults");
    let report = run(&Options {
        syncer: env!("CARGO_BIN_EXE_tenet-syncer").into(),
        length: LENGTH,
        seed: 1,
        dir: Some(dir.clone()),
    })
    .await?;
    println!("{report}");
    ensure!(report.findings.is_empty(), "{report}");
    // Zeros mean something only when there was churn and there were faults.
    let is_busy = report.changes > 300 && report.writes[0] > 150 && report.faults.len() > 10;
    ensure!(is_busy && report.objects.iter().all(|count| *count > 0), "{report}");
    Ok(std::fs::remove_dir_all(dir)?)
}

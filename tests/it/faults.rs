//! Churn on real control planes under faults of the network and `kill -9` of every process; the long run is
//! `cargo run --release -p tenet-sim --bin faults`.

use std::time::Duration;

use anyhow::{Result, ensure};
use tenet_sim::faults::{Options, run};

use crate::harness::dir;

/// Time during which faults come. With the start, the end and the check at rest it takes three minutes.
const LENGTH: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_under_faults_and_kills() -> Result<()> {
    let report = run(&Options {
        syncer: env!("CARGO_BIN_EXE_tenet-syncer").into(),
        length: LENGTH,
        seed: 1,
        dir: Some(dir("faults")),
    })
    .await?;
    println!("{report}");
    ensure!(report.findings.is_empty(), "{report}");
    // Zeros mean something only when there was churn and there were faults.
    ensure!(report.changes > 100 && report.writes[0] > 50 && report.faults.len() > 10, "{report}");
    Ok(())
}

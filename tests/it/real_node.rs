//! Streams to containers that really run: through the host alone, and through a virtual cluster.

mod kubectl;
mod lab;

use std::time::Duration;

use anyhow::{Result, ensure};

use lab::{Lab, Side};

/// Runs a check on both sides with both protocols; skipped, and said so, where there can be no real node.
async fn everywhere(check: impl AsyncFn(&Side) -> Result<()>) -> Result<()> {
    let Some(lab) = Lab::shared().await? else { return Ok(()) };
    let _steady = lab.steady().await;
    for side in lab.sides() {
        check(&side).await.map_err(|error| error.context(side.to_string()))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_tells_output_errors_and_exit_codes_apart() -> Result<()> {
    everywhere(async |side| {
        for code in [0, 1, 137] {
            let script = format!("echo out; echo err >&2; exit {code}");
            let ended = side.kubectl(&["exec", "box", "--", "sh", "-c", &script]).run().await?;
            ensure!(ended.code == Some(code), "{ended:?}");
            ensure!(ended.stdout == b"out\n" && ended.stderr().starts_with("err\n"), "{ended:?}");
        }
        Ok(())
    })
    .await
}

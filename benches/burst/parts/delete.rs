//! All pods deleted.

use std::time::Instant;

use anyhow::Result;
use tokio::time::sleep;

use super::{AFTERMATH, Pods, seconds};
use crate::lab::{self, Lab};
use crate::meter::Meter;
use crate::results::Delete;

/// Deletes the pods and waits until no side has any.
pub async fn delete(lab: &Lab, pods: &Pods) -> Result<Delete> {
    let (mark, meter, start) = (lab.mark()?, Meter::start(&lab.playground), Instant::now());
    lab::delete(&pods.api, &pods.namespace, pods.batch, pods.count).await?;
    pods.until_gone().await?;
    let seconds = seconds(start);
    sleep(AFTERMATH).await;
    Ok(Delete { seconds, calls: lab.calls(&mark)?, cpu: meter.read() })
}

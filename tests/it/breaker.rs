//! Many absences at once, after the syncer was away.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tenet_playground::Options;
use tokio::time::Instant;

use crate::harness::{Separate, configured, in_folder, new_namespace, passed};
use crate::operations::scrape;

/// Number of Services: more than may go in a minute.
const SERVICES: usize = 14;

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_deleted_while_the_syncer_is_away_goes_paced_and_alone() -> Result<()> {
    let options = Options {
        // With the webhook no Service is stored while the syncer is away.
        syncer_settings: "webhook: { enabled: false }\n".to_owned(),
        ..in_folder("breaker")
    };
    let own = Separate::start(options).await?;
    let Separate { playground, host, virt } = &own;
    for namespace in ["shop", "stays"] {
        new_namespace(virt, namespace).await?;
        let services = if namespace == "shop" { SERVICES } else { 2 };
        for number in 0..services {
            let service = json!({"metadata": {"name": format!("s{number}")}, "spec": {"ports": [{"port": 80}]}});
            virt.create(&format!("/api/v1/namespaces/{namespace}/services"), service).await?;
        }
    }
    let copies = own.on_host("services?labelSelector=tenet.sh/managed-by%3Dvc-1,tenet.sh/namespace%3D");
    let (of_shop, of_stays) = (format!("{copies}shop"), format!("{copies}stays"));
    host.until_list(&of_shop, "all on the host", |services| services.len() == SERVICES).await?;
    host.until_list(&of_stays, "all on the host", |services| services.len() == 2).await?;

    playground.stop_syncer().await;
    virt.delete("/api/v1/namespaces/shop", json!({})).await?;
    virt.until_gone("/api/v1/namespaces/shop").await?;
    let start = Instant::now();
    playground.start_syncer(&configured(playground)).await?;
    host.until_list(&of_shop, "down to those that wait", |services| services.len() == SERVICES - 10).await?;
    let (_, ready) = scrape(playground.admin_port(), "/readyz").await?;
    ensure!(ready.contains("breaker: deletes of Service in the host cluster are paced"), "{ready}");
    host.until_list(&of_shop, "gone", <[Value]>::is_empty).await?;
    ensure!(start.elapsed() > Duration::from_secs(20), "not paced: {:?}", start.elapsed());
    ensure!(host.list(&of_stays).await?.len() == 2, "the other namespace is not touched");
    let events = virt.list("/api/v1/namespaces/default/events").await?;
    ensure!(events.iter().any(|event| event["reason"] == "SyncPaused"), "no event of the breaker");
    passed(own.playground).await
}

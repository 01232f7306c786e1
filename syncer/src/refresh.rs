//! Periodic refresh of the configuration, the version of the virtual API server, and the gauges.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tenet_config::{Config, Live, ReloadOutcome, Reloader};
use tenet_mapper::Facts;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::logging::LevelHandle;
use crate::queue::Lane;
use crate::{learn, patrol};

const TICK: Duration = Duration::from_secs(2);
/// Number of ticks between two requests for the version of the virtual API server.
const VERSION_TICKS: u32 = 15;

/// Refreshes a running engine.
pub struct Refresh {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The configuration in force.
    pub live: Live,
    /// Watches the file, if there is one.
    pub reloader: Option<Reloader>,
    /// Changes the log level.
    pub level: LevelHandle,
}

impl Refresh {
    /// Runs until it is told to stop.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut ticks = 0u32;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(TICK) => {}
            }
            ticks = ticks.wrapping_add(1);
            learn::doubted(&self.engine);
            if self.reload() {
                patrol::enqueue_all(&self.engine, Lane::Change).await;
            }
            // A fault may have hidden the version at the start.
            let is_unknown = self.engine.facts.load().virtual_version.is_empty();
            if is_unknown || ticks.is_multiple_of(VERSION_TICKS) {
                self.check_version().await;
            }
        }
    }

    /// Applies a changed file. Returns true if a setting changed that mappers read.
    fn reload(&mut self) -> bool {
        let Some(reloader) = &mut self.reloader else { return false };
        match reloader.check() {
            ReloadOutcome::Unchanged => false,
            ReloadOutcome::Refused(problems) => {
                tracing::error!(%problems, "changed configuration rejected");
                false
            }
            ReloadOutcome::Reloaded { applied, deferred } => {
                for change in &deferred {
                    let tenet_config::Deferred { field, from, to } = change;
                    tracing::warn!(field, from, to, "configuration change takes effect after a restart");
                }
                if applied.is_empty() {
                    return false;
                }
                tracing::info!(fields = applied.join(", "), "configuration reloaded");
                self.apply(&self.live.get());
                true
            }
        }
    }

    fn apply(&self, config: &Config) {
        let version = self.engine.facts.load().virtual_version.clone();
        self.renew_facts(config, &version);
        self.engine.gate.set_ceiling(usize::from(config.engine.max_in_flight));
        self.engine.gate.set_limit(*config.engine.request_timeout);
        self.engine.gate.release(&config.breaker.release);
        self.engine.gate.set_budget(&config.budget);
        self.engine.elsewhere.renew_soon();
        self.level.set(&config.log.level);
    }

    /// Applies a configuration for the mappers. It was checked when it was loaded, so this does not fail.
    fn renew_facts(&self, config: &Config, version: &str) {
        let old = self.engine.facts.load();
        match self.engine.settings.facts(config, &old.cluster_id, version) {
            Ok(facts) => {
                let (host_namespace_uid, mappers) = (old.host_namespace_uid.clone(), old.mappers.clone());
                self.engine.facts.store(Arc::new(Facts { host_namespace_uid, mappers, ..facts }));
            }
            Err(error) => tracing::error!(error = %format!("{error:#}"), "cannot apply the changed configuration"),
        }
    }

    /// Checks the version of the virtual API server; a new one may have other defaults.
    async fn check_version(&self) {
        let Some(version) = version(&self.engine.view.virt, self.engine.view.limit).await else { return };
        let old = self.engine.facts.load();
        if version == old.virtual_version {
            return;
        }
        tracing::info!(from = old.virtual_version, to = version, "version of the virtual API server changed");
        // The defaults of the first version are learnt already, or being learnt.
        if !old.virtual_version.is_empty() {
            for mapper in self.engine.mappers.iter().map(|mapper| mapper.spec().id) {
                if self.engine.router.is_running(mapper) {
                    learn::begin(&self.engine, mapper);
                }
            }
        }
        self.renew_facts(&self.live.get(), &version);
        patrol::enqueue_all(&self.engine, Lane::Change).await;
    }
}

/// Returns the version of an API server, such as `v1.37.2`; `None` when it does not answer.
pub async fn version(api: &crate::api::Api, limit: Duration) -> Option<String> {
    let version = api.get_path("/version", limit).await.ok()?;
    version.get("gitVersion").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{Fixture, api};

    #[tokio::test(start_paused = true)]
    async fn a_version_that_was_hidden_at_the_start_is_asked_for_soon() {
        let ((virt, asked), (host, _)) =
            (api(vec![("GET", "/version", 200, json!({"gitVersion": "v1.37.2"}))]), api(Vec::new()));
        let engine = Arc::new(Fixture::new(virt, host, &[]).engine(Vec::new()));
        assert_eq!(engine.facts.load().virtual_version, "");
        let config = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";
        let config = Config::from_yaml(config, &tenet_config::Overrides::default()).unwrap();
        let (live, level) = (Live::new(config), LevelHandle::default());
        let mut refresh = Refresh { engine: Arc::clone(&engine), live, reloader: None, level };
        let stop = CancellationToken::new();
        let ended = stop.clone();
        let running = tokio::spawn(async move { refresh.run(ended).await });
        sleep(TICK * 2).await;
        assert_eq!(engine.facts.load().virtual_version, "v1.37.2");
        sleep(TICK * VERSION_TICKS).await;
        assert_eq!(asked.lock().unwrap().len(), 2, "once it is known it is asked for rarely");
        stop.cancel();
        running.await.unwrap();
    }
}

//! Structured logs. They never contain the data of a Secret.

use tenet_config::{Log, LogFormat};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// kube prints whole bodies that it cannot decode, Secrets among them: never below error.
const QUIET: &str = "kube_client::client=error,kube_runtime=error";

/// Changes the level while the syncer runs.
pub struct LevelHandle(Option<reload::Handle<EnvFilter, Registry>>);

impl LevelHandle {
    /// Sets the level.
    pub fn set(&self, level: &str) {
        let Some(handle) = &self.0 else { return };
        if let Err(error) = filter(level).and_then(|filter| handle.reload(filter).map_err(|error| error.to_string())) {
            tracing::warn!(error, "the log level cannot be changed");
        }
    }
}

/// Starts logging to standard error. A second start in one process changes nothing.
pub fn start(log: &Log) -> Result<LevelHandle, String> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let layer = match log.format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
        LogFormat::Text => fmt::layer()
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(layer).try_init().is_ok();
    Ok(LevelHandle(started.then_some(handle)))
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("{level},{QUIET}")).map_err(|error| error.to_string())
}

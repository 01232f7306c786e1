//! Structured logs. They never contain the data of a Secret, and one event is one line.

use std::fmt::Debug;

use tenet_config::{Log, LogFormat};
use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Directives that no configuration overrides: kube prints whole bodies that it cannot decode, Secrets among them.
const QUIET: &str = "kube_client::client=error,kube_runtime=error";

/// Handle that changes the level while the syncer runs; the default one changes nothing.
#[derive(Default)]
pub struct LevelHandle(Option<reload::Handle<EnvFilter, Registry>>);

impl LevelHandle {
    /// Sets the level.
    pub fn set(&self, level: &str) {
        let Some(handle) = &self.0 else { return };
        if let Err(error) = filter(level).and_then(|filter| handle.reload(filter).map_err(|error| error.to_string())) {
            tracing::warn!(error, "cannot change the log level");
        }
    }
}

/// Starts logging to standard error. A second start in one process changes nothing.
pub fn start(log: &Log) -> Result<LevelHandle, String> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let layer = layer(log.format, ansi, std::io::stderr);
    let started = tracing_subscriber::registry().with(filter).with(layer).try_init().is_ok();
    Ok(LevelHandle(started.then_some(handle)))
}

fn layer<S, W>(format: LogFormat, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        LogFormat::Text => {
            let fields = debug_fn(write_field).delimited(" ");
            fmt::layer().with_ansi(ansi).fmt_fields(fields).with_writer(writer).boxed()
        }
    }
}

/// Writes a field of the text format. A control character in a value, such as a line feed in a name or message of a
/// tenant, is escaped, so that it cannot begin a line that looks like another event.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    for character in format!("{value:?}").chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            write!(writer, "{}", character.escape_default())?;
        } else {
            writer.write_char(character)?;
        }
    }
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("{level},{QUIET}")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = layer(format, false, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_feed_in_a_value_begins_no_new_line() {
        let forged = "web\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2K\u{2028}";
        for format in [LogFormat::Text, LogFormat::Json] {
            for text in [
                logged(format, || tracing::warn!(object = %forged, "not synced")),
                logged(format, || tracing::warn!(object = forged, "not synced")),
                logged(format, || tracing::warn!(object = ?forged, "not synced")),
                logged(format, || tracing::warn!("not synced: {forged}")),
            ] {
                assert_eq!(text.lines().count(), 1, "{format:?}: {text:?}");
                assert!(text.ends_with('\n') && !text.contains(['\r', '\u{1b}']), "{format:?}: {text:?}");
                let escaped = text.contains(r"web\n2026") || text.contains(r"web\\n2026");
                assert!(text.contains("not synced") && escaped, "{format:?}: {text:?}");
            }
        }
    }

    #[test]
    fn a_line_has_the_message_and_then_the_fields() {
        let text = logged(LogFormat::Text, || tracing::info!(kind = "Pod", failures = 2, "reconcile failed"));
        assert!(text.ends_with("reconcile failed kind=\"Pod\" failures=2\n"), "{text:?}");
    }
}

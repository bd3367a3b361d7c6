//! Log lines: which events are worth one, and how lines get out without holding anybody up.

mod limit;
mod narrate;
mod pace;
mod safety;
mod writer;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

pub(super) use narrate::narrate;
use writer::LineWriter;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people: time, level, message, fields.
    #[default]
    Pretty,
    /// One JSON object a line; `trace_id` and `span_id` where a line is about a message.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// A level (`info`) or a filter (`info,plimsoll=debug`), as `tracing-subscriber` reads it.
    pub filter: String,
    /// How lines are written.
    pub format: LogFormat,
    /// Lines that may wait for a slow reader; more are lost and counted.
    pub queue_lines_max: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Pretty, queue_lines_max: 8_192 }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log filter {0:?}: {1}")]
    Filter(String, tracing_subscriber::filter::ParseError),
    /// Logging was set up before in this process.
    #[error("logging is set up already")]
    AlreadySet,
    /// The writer's thread could not be started.
    #[error("log writer: {0}")]
    Thread(#[from] io::Error),
}

/// Logging that is set up: it can be flushed.
#[derive(Clone)]
pub struct LogHandle {
    writer: LineWriter,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogHandle {
    /// Waits, at most `timeout`, until every line so far is written. For the end of the process.
    pub fn flush(&self, timeout: Duration) {
        self.writer.flush(timeout);
    }

    /// Logs what this filter lets through, from now on.
    ///
    /// # Errors
    /// The filter cannot be read; the old one stays.
    pub fn set_filter(&self, text: &str) -> Result<(), LogError> {
        let fresh = filter(text)?;
        // Fails only where the subscriber is gone, and with it every line.
        let _ = self.filter.reload(fresh);
        Ok(())
    }

    /// How many lines were lost so far.
    #[must_use]
    pub fn lost_lines(&self) -> Arc<AtomicU64> {
        self.writer.lost()
    }
}

fn filter(text: &str) -> Result<EnvFilter, LogError> {
    text.parse().map_err(|e| LogError::Filter(text.to_owned(), e))
}

/// Sets up the process's logging, to standard error.
///
/// # Errors
/// When the filter cannot be read, the thread cannot be started, or logging was set up before.
pub fn init(settings: &LogSettings) -> Result<LogHandle, LogError> {
    let writer = LineWriter::start(io::stderr(), settings.queue_lines_max)?;
    let (filter, handle) = reload::Layer::new(filter(&settings.filter)?);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines(settings.format, writer.clone(), io::stderr().is_terminal()))
        .try_init()
        .map_err(|_| LogError::AlreadySet)?;
    Ok(LogHandle { writer, filter: handle })
}

/// The layer that formats lines.
fn lines<S>(format: LogFormat, writer: LineWriter, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = fmt::layer().with_writer(writer).with_target(false);
    match format {
        LogFormat::Pretty => layer.with_ansi(ansi).boxed(),
        LogFormat::Json => {
            layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    pub(super) struct Memory(pub(super) Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_carry_fields_at_the_top() {
        let memory = Memory::default();
        let writer = LineWriter::start(memory.clone(), 16).expect("a thread");
        let layer = lines(LogFormat::Json, writer.clone(), false);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(trace_id = "abc", gate = "g\"1", "gate closed");
        });
        writer.flush(Duration::from_secs(5));
        let text =
            String::from_utf8(memory.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        let line: serde_json::Value =
            serde_json::from_str(text.trim_end()).expect("one JSON object");
        assert_eq!(line["trace_id"], "abc");
        assert_eq!(line["gate"], "g\"1");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "gate closed");
    }

    #[test]
    fn a_bad_filter_is_told_with_what_was_found() {
        let error = filter("plimsoll=loud").expect_err("no such level").to_string();
        assert!(error.contains("plimsoll=loud"), "{error}");
    }
}

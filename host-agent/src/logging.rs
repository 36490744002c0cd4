//! Where the log goes: stderr, as text or JSON, with times; what is said is decided where it happens.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Begins logging at this level, or with these directives (`info`, `curfew_agent=debug,warn`, ...).
///
/// # Errors
/// When the directives cannot be read, or the process logs already.
pub fn init(directives: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| format!("log level {directives:?} cannot be read: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match format {
        // Colours are for terminals, and a service's stderr is a file or a journal.
        LogFormat::Text => builder.with_ansi(false).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    begun.map_err(|error| error.to_string())
}

//! Where the log goes: stderr, as text or JSON; what is said is decided where it happens.

use crate::config::LogFormat;
use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Begins to log what these directives ask for.
///
/// # Errors
/// When they cannot be read, or the process logs already.
pub(super) fn begin(directives: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives).context("cannot read the log level")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match format {
        // Colours are for terminals, and a service's stderr is a file or a journal.
        LogFormat::Text => builder.with_ansi(false).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("cannot begin to log: {error}"))
}

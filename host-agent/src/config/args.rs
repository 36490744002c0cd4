//! The command line and the environment, as they were typed.

use crate::logging::LogFormat;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Curfew's host agent: logs users off the guests of this host when its controller says so.
#[derive(Clone, Debug, Parser)]
#[command(name = "curfew-agent", version)]
pub struct Args {
    /// What to do; nothing named means to run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// What can be done beside running.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check configuration, credentials and providers, and list the guests that are found.
    Check,
}

/// Settings that go before the file's.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Overrides {
    /// The configuration file [default: /etc/curfew/agent.toml].
    #[arg(long, global = true, value_name = "FILE", env = "CURFEW_AGENT_CONFIG")]
    pub config: Option<PathBuf>,
    /// The controller, as https://HOST[:PORT].
    #[arg(long, global = true, value_name = "URL", env = "CURFEW_AGENT_CONTROLLER")]
    pub controller: Option<String>,
    /// The name in the controller's certificate, where it is not the address's host.
    #[arg(long, global = true, value_name = "NAME", env = "CURFEW_AGENT_SERVER_NAME")]
    pub server_name: Option<String>,
    /// The file with the authority that the controller's certificate must come from.
    #[arg(long, global = true, value_name = "FILE", env = "CURFEW_AGENT_CA")]
    pub ca: Option<PathBuf>,
    /// The file with this agent's certificate, which names the host.
    #[arg(long, global = true, value_name = "FILE", env = "CURFEW_AGENT_CERTIFICATE")]
    pub certificate: Option<PathBuf>,
    /// The file with the certificate's key.
    #[arg(long, global = true, value_name = "FILE", env = "CURFEW_AGENT_KEY")]
    pub key: Option<PathBuf>,
    /// Where the ledger lies [default: /var/lib/curfew-agent].
    #[arg(long, global = true, value_name = "DIR", env = "CURFEW_AGENT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// How often guests are discovered [default: 10s].
    #[arg(long, global = true, value_name = "TIME", env = "CURFEW_AGENT_DISCOVERY_INTERVAL")]
    pub discovery_interval: Option<String>,
    /// How long tasks that run may go on when the agent is to stop [default: 30s].
    #[arg(long, global = true, value_name = "TIME", env = "CURFEW_AGENT_STOP_GRACE")]
    pub stop_grace: Option<String>,
    /// error, warn, info, debug, trace, or directives [default: info].
    #[arg(long, global = true, value_name = "LEVEL", env = "CURFEW_AGENT_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// How log lines look [default: text].
    #[arg(long, global = true, value_name = "FORMAT", env = "CURFEW_AGENT_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

//! The settings as they are typed: one flag and one environment variable for each that may differ from start to start.

use std::path::PathBuf;

/// Settings that go before the file's.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// The configuration file [default: /etc/curfew/controller.toml, if it is there].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CURFEW_CONTROLLER_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Where everything lies [default: /var/lib/curfew-controller].
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "CURFEW_CONTROLLER_DATA_DIR",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,
    /// The address and port to listen on [default: 127.0.0.1:7443].
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "CURFEW_CONTROLLER_LISTEN",
        hide_env_values = true
    )]
    pub listen: Option<String>,
    /// A DNS name or IP address that clients dial, for the controller's certificate; may be given several times.
    #[arg(
        long = "name",
        global = true,
        value_name = "NAME",
        value_delimiter = ',',
        env = "CURFEW_CONTROLLER_NAMES",
        hide_env_values = true
    )]
    pub names: Vec<String>,
    /// Whose identities are accepted [default: curfew].
    #[arg(
        long,
        global = true,
        value_name = "DOMAIN",
        env = "CURFEW_CONTROLLER_TRUST_DOMAIN",
        hide_env_values = true
    )]
    pub trust_domain: Option<String>,
    /// How often an agent's stream says something at least [default: 15s].
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "CURFEW_CONTROLLER_HEARTBEAT_INTERVAL",
        hide_env_values = true
    )]
    pub heartbeat_interval: Option<String>,
    /// With a PKI of your own: the authority whose certificates clients have.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CURFEW_CONTROLLER_PKI_CA",
        hide_env_values = true
    )]
    pub pki_ca: Option<PathBuf>,
    /// With a PKI of your own: the controller's certificate.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CURFEW_CONTROLLER_PKI_CERTIFICATE",
        hide_env_values = true
    )]
    pub pki_certificate: Option<PathBuf>,
    /// With a PKI of your own: the key of that certificate.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CURFEW_CONTROLLER_PKI_KEY",
        hide_env_values = true
    )]
    pub pki_key: Option<PathBuf>,
    /// error, warn, info, debug, trace, or directives [default: info].
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "CURFEW_CONTROLLER_LOG_LEVEL",
        hide_env_values = true
    )]
    pub log_level: Option<String>,
    /// How log lines look: text or json [default: text].
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "CURFEW_CONTROLLER_LOG_FORMAT",
        hide_env_values = true
    )]
    pub log_format: Option<String>,
}

//! What an agent is configured with: the file, flags and environment as they were written, and what they come to.
//! A flag goes before the environment, and both before the file. Nothing is opened here but the file.

mod args;

pub use args::{Args, Command, Overrides};

use crate::agent::{DISCOVERY_INTERVAL, STOP_GRACE};
use crate::logging::LogFormat;
use crate::provider::ProvidersConfig;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file that is read if none is named.
pub const DEFAULT_FILE: &str = "/etc/curfew/agent.toml";
/// Where the ledger lies unless the configuration says otherwise.
const DEFAULT_DATA_DIR: &str = "/var/lib/curfew-agent";
/// Discovery asks the hypervisor; more often than this would be a load, and less often hides new guests for long.
const DISCOVERY_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));
/// Longest wait of an agent that is to stop.
const STOP_GRACE_MAX: Duration = Duration::from_secs(3600);

/// Why the configuration cannot be used. Each text names the field, what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: name one with --config FILE", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration file {} cannot be used", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        source: Box<toml::de::Error>,
    },
    /// A field that is needed is missing.
    #[error(
        "{field} is missing: set it in {}, with --{flag} or with {variable}; {what}",
        path.display()
    )]
    Missing {
        /// The field.
        field: &'static str,
        /// Its flag.
        flag: String,
        /// Its environment variable.
        variable: String,
        /// The file that could say it.
        path: PathBuf,
        /// What it is for.
        what: &'static str,
    },
    /// A field says something it cannot.
    #[error("{field} is {value:?}: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
        /// What is wrong, and what to write instead.
        why: String,
    },
}

/// The file as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The controller, as `https://HOST[:PORT]`.
    pub controller: Option<String>,
    /// The name in the controller's certificate, where it is not the endpoint's host.
    pub server_name: Option<String>,
    /// The file with the authority that the controller's certificate must come from.
    pub ca: Option<PathBuf>,
    /// The file with this agent's certificate.
    pub certificate: Option<PathBuf>,
    /// The file with its key.
    pub key: Option<PathBuf>,
    /// Where the ledger lies.
    pub data_dir: Option<PathBuf>,
    /// How often guests are discovered: `10s`, `1m`.
    pub discovery_interval: Option<String>,
    /// How long tasks that run may go on when the agent is to stop: `30s`.
    pub stop_grace: Option<String>,
    /// The log.
    #[serde(default)]
    pub log: RawLog,
    /// What reaches guests.
    #[serde(default)]
    pub providers: ProvidersConfig,
}

/// The log, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLog {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives as of `tracing`.
    pub level: Option<String>,
    /// `text` or `json`.
    pub format: Option<LogFormat>,
}

/// What the agent runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveConfig {
    /// The controller.
    pub controller: String,
    /// The name in its certificate, where it is not the endpoint's host.
    pub server_name: Option<String>,
    /// The authority's file.
    pub ca: PathBuf,
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
    /// Where the ledger lies.
    pub data_dir: PathBuf,
    /// How often guests are discovered.
    pub discovery_interval: Duration,
    /// How long tasks that run may go on when the agent is to stop.
    pub stop_grace: Duration,
    /// What is logged.
    pub log_level: String,
    /// How.
    pub log_format: LogFormat,
    /// What reaches guests.
    pub providers: ProvidersConfig,
}

impl RawConfig {
    /// Reads the file. A default file that does not exist is an empty one, since flags may say it all.
    ///
    /// # Errors
    /// When it cannot be read, or has a key that is not known or a value of the wrong kind.
    pub fn read(named: Option<&Path>) -> Result<RawConfig, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => RawConfig::parse(&text, path),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(RawConfig::default())
            }
            Err(source) => Err(ConfigError::Read { path: path.into(), source }),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<RawConfig, ConfigError> {
        toml::from_str(text)
            .map_err(|error| ConfigError::Parse { path: path.into(), source: Box::new(error) })
    }
}

impl EffectiveConfig {
    /// What flags, environment and file come to.
    ///
    /// # Errors
    /// When something is missing or out of its range.
    pub fn load(args: &Overrides) -> Result<EffectiveConfig, ConfigError> {
        let raw = RawConfig::read(args.config.as_deref())?;
        EffectiveConfig::of(args, raw)
    }

    fn of(args: &Overrides, raw: RawConfig) -> Result<EffectiveConfig, ConfigError> {
        let file = args.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let missing = |field: &'static str, what| ConfigError::Missing {
            field,
            flag: field.replace('_', "-"),
            variable: format!("CURFEW_AGENT_{}", field.to_uppercase()),
            path: file.clone(),
            what,
        };
        let discovery_interval = duration(
            "discovery_interval",
            args.discovery_interval.as_ref().or(raw.discovery_interval.as_ref()),
            DISCOVERY_INTERVAL,
            DISCOVERY_RANGE,
        )?;
        let stop_grace = duration(
            "stop_grace",
            args.stop_grace.as_ref().or(raw.stop_grace.as_ref()),
            STOP_GRACE,
            (Duration::ZERO, STOP_GRACE_MAX),
        )?;
        let given = |flag: &Option<PathBuf>, file: Option<PathBuf>| flag.clone().or(file);
        Ok(EffectiveConfig {
            controller: args
                .controller
                .clone()
                .or(raw.controller)
                .ok_or_else(|| missing("controller", "it is the controller's address, https://HOST:PORT"))?,
            server_name: args.server_name.clone().or(raw.server_name),
            ca: given(&args.ca, raw.ca).ok_or_else(|| missing("ca", "it is the file of the authority"))?,
            certificate: given(&args.certificate, raw.certificate)
                .ok_or_else(|| missing("certificate", "it is the file of this agent's certificate"))?,
            key: given(&args.key, raw.key)
                .ok_or_else(|| missing("key", "it is the file of the certificate's key"))?,
            data_dir: given(&args.data_dir, raw.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            discovery_interval,
            stop_grace,
            log_level: args.log_level.clone().or(raw.log.level).unwrap_or_else(|| "info".into()),
            log_format: args.log_format.or(raw.log.format).unwrap_or_default(),
            providers: raw.providers,
        })
    }
}

fn duration(
    field: &'static str,
    text: Option<&String>,
    default: Duration,
    (shortest, longest): (Duration, Duration),
) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    let refuse = |why| Err(ConfigError::Field { field, value: text.clone(), why });
    match humantime::parse_duration(text) {
        Ok(time) if (shortest..=longest).contains(&time) => Ok(time),
        Ok(_) => refuse(format!(
            "it must be from {} to {}",
            humantime::format_duration(shortest),
            humantime::format_duration(longest)
        )),
        Err(error) => refuse(format!("{error}; write a time such as 10s or 2m")),
    }
}

#[cfg(test)]
mod tests;

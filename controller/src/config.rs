//! What the controller is configured with: the file, the environment and the flags as they were written, and what
//! they come to. A flag goes before the environment, both before the file. Nothing is opened here but the file.
//!
//! ```toml
//! listen = "0.0.0.0:7443"                   # default 127.0.0.1:7443
//! names = ["ctl.example", "192.0.2.10"]     # what clients dial, for the controller's certificate
//! data_dir = "/var/lib/curfew-controller"
//! trust_domain = "curfew"
//! heartbeat_interval = "15s"
//! keep_history = "90d"                      # ended operations are forgotten after that; default: never
//!
//! [approval]                                # larger operations wait for a second person; default: none does
//! above_guests = 5000                       # more guests than this, or
//! above_percent = 20                        # more of a hundred of the fleet's guests than this
//! expires = "24h"                           # how long the approval may take
//!
//! [log]
//! level = "info"                            # or directives, such as "curfew_controller=debug,info"
//! format = "text"                           # or "json"
//!
//! [pki]                                     # only with a PKI of one's own: then nothing is made
//! ca = "ca.pem"
//! certificate = "controller.pem"
//! key = "controller.key"
//! ```
//!
//! Relative paths in the file are relative to the file's directory.

mod approval;
mod flags;
#[cfg(test)]
mod tests;

pub use flags::Flags;

use crate::pki::{PkiSource, TrustDomain};
use curfew_controller_core::ApprovalRule;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file that is read if none is named.
pub const DEFAULT_FILE: &str = "/etc/curfew/controller.toml";
/// Where everything lies unless the configuration says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/curfew-controller";
/// This machine only: to open the port to a network is a decision.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7443);
/// Three of these may be missed before a host counts as away, so a minute at most until somebody knows.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
/// More often than this, 10,000 agents would keep a core busy with signs of life; less often, firewalls forget the
/// connection.
const HEARTBEAT_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));

/// Less is no history: late news of an operation comes within a day or so. More than a century is a mistake.
const KEEP_HISTORY_RANGE: (Duration, Duration) =
    (Duration::from_secs(24 * 60 * 60), Duration::from_secs(100 * 366 * 24 * 60 * 60));

/// Why the configuration cannot be used. Each text names the setting, what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration file {} cannot be used: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        why: String,
    },
    /// A setting says something it cannot.
    #[error("{setting}: {why}")]
    Value {
        /// The setting and where it was made.
        setting: String,
        /// What is wrong, and what to write instead.
        why: String,
    },
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// What clients dial, beside the names that [`crate::pki::server_names`] adds.
    pub names: Vec<String>,
    /// Where everything lies.
    pub data_dir: PathBuf,
    /// Whose identities are accepted.
    pub trust_domain: TrustDomain,
    /// Where certificates come from.
    pub pki: PkiSource,
    /// How often an agent's stream says something at least.
    pub heartbeat_interval: Duration,
    /// How long ended operations are kept; `None` is for ever.
    pub keep_history: Option<Duration>,
    /// Which operations a second person has to approve.
    pub approval: ApprovalRule,
    /// What is logged, in the directives of `tracing`.
    pub log_level: String,
    /// How.
    pub log_format: LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: DEFAULT_LISTEN,
            names: Vec::new(),
            data_dir: DEFAULT_DATA_DIR.into(),
            trust_domain: TrustDomain::default(),
            pki: PkiSource::BuiltIn,
            heartbeat_interval: DEFAULT_HEARTBEAT,
            keep_history: None,
            approval: ApprovalRule::default(),
            log_level: "info".into(),
            log_format: LogFormat::Text,
        }
    }
}

impl Config {
    /// What flags, environment and file come to. Without `--config` a missing default file is an empty one.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key, or a setting says something it cannot.
    pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
        let named = flags.config.as_deref().filter(|path| !path.as_os_str().is_empty());
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Config::resolve(flags, &text, path),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Config::resolve(flags, "", path)
            }
            Err(source) => Err(ConfigError::Read { path: path.into(), source }),
        }
    }

    /// The same with the file's text already read.
    fn resolve(flags: &Flags, text: &str, path: &Path) -> Result<Config, ConfigError> {
        let file: RawConfig = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.into(),
            why: error.to_string().trim_end().to_owned(),
        })?;
        let at = |key: &'static str| Setting { key, file: path };
        let base = path.parent().unwrap_or(Path::new(""));
        let default = Config::default();
        let listen = at("listen").choose(&flags.listen, file.listen);
        let trust_domain = at("trust_domain").choose(&flags.trust_domain, file.trust_domain);
        let heartbeat = at("heartbeat_interval").choose(&flags.heartbeat_interval, file.heartbeat_interval);
        let keep_history = at("keep_history").choose(&None, file.keep_history);
        let log_level = at("log.level").choose(&flags.log_level, file.log.level);
        let log_format = at("log.format").choose(&flags.log_format, file.log.format);
        let data_dir = flags.data_dir.clone().filter(|dir| !dir.as_os_str().is_empty());
        Ok(Config {
            listen: parse(listen, default.listen, |text| {
                text.parse()
                    .map_err(|_| "is not an address and a port; write one such as 0.0.0.0:7443".into())
            })?,
            names: names(&flags.names, file.names, &at("names"))?,
            data_dir: data_dir
                .or_else(|| file.data_dir.map(|dir| base.join(dir)))
                .unwrap_or(default.data_dir),
            trust_domain: parse(trust_domain, default.trust_domain, |text| {
                text.parse().map_err(|_| {
                    "is not a trust domain; use lower-case letters, digits, '-', '_' and '.', such as curfew".into()
                })
            })?,
            pki: pki(flags, file.pki, &at("pki"), base)?,
            heartbeat_interval: parse(heartbeat, default.heartbeat_interval, heartbeat_interval)?,
            keep_history: parse(keep_history, default.keep_history, |text| {
                keep_history_time(text).map(Some)
            })?,
            approval: approval::rule(file.approval, path)?,
            log_level: parse(log_level, default.log_level, log_directives)?,
            log_format: parse(log_format, default.log_format, |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("is no log format; write text or json".into()),
            })?,
        })
    }
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    listen: Option<String>,
    names: Option<Vec<String>>,
    data_dir: Option<PathBuf>,
    trust_domain: Option<String>,
    heartbeat_interval: Option<String>,
    keep_history: Option<String>,
    approval: Option<approval::RawApproval>,
    #[serde(default)]
    log: RawLog,
    #[serde(default)]
    pki: RawPki,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    level: Option<String>,
    format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPki {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// A setting, to say where its value was made.
struct Setting<'a> {
    key: &'static str,
    file: &'a Path,
}

/// A value and the words for where it was made.
struct Chosen {
    text: String,
    setting: String,
}

impl Setting<'_> {
    /// The flag's value before the file's. An empty flag or variable is none.
    fn choose(&self, flag: &Option<String>, file: Option<String>) -> Option<Chosen> {
        let flag = flag.clone().filter(|text| !text.is_empty());
        let flag = flag.map(|text| Chosen { text, setting: self.by_flag() });
        flag.or_else(|| file.map(|text| Chosen { text, setting: self.in_file() }))
    }

    /// `--log-level (CURFEW_CONTROLLER_LOG_LEVEL)` for `log.level`.
    fn by_flag(&self) -> String {
        let flag = match self.key {
            "names" => "name".to_owned(),
            key => key.replace(['.', '_'], "-"),
        };
        let variable = self.key.replace('.', "_").to_ascii_uppercase();
        format!("--{flag} (CURFEW_CONTROLLER_{variable})")
    }

    fn in_file(&self) -> String {
        format!("{} in {}", self.key, self.file.display())
    }
}

fn parse<T>(
    chosen: Option<Chosen>,
    default: T,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    let Some(Chosen { text, setting }) = chosen else { return Ok(default) };
    read(&text).map_err(|why| ConfigError::Value { setting, why: format!("{text:?} {why}") })
}

fn names(flags: &[String], file: Option<Vec<String>>, at: &Setting<'_>) -> Result<Vec<String>, ConfigError> {
    let flags: Vec<String> = flags.iter().filter(|name| !name.is_empty()).cloned().collect();
    let (names, setting) = match (flags.is_empty(), file) {
        (false, _) => (flags, at.by_flag()),
        (true, file) => (file.unwrap_or_default(), at.in_file()),
    };
    for name in &names {
        let dns = rustls_pki_types::DnsName::try_from(name.as_str()).is_ok();
        if !dns && name.parse::<IpAddr>().is_err() {
            let why = format!(
                "{name:?} is neither a DNS name nor an IP address; write what clients dial, without a port"
            );
            return Err(ConfigError::Value { setting, why });
        }
    }
    Ok(names)
}

fn pki(flags: &Flags, file: RawPki, at: &Setting<'_>, base: &Path) -> Result<PkiSource, ConfigError> {
    let choose = |flag: &Option<PathBuf>, file: Option<PathBuf>| {
        let flag = flag.clone().filter(|path| !path.as_os_str().is_empty());
        flag.or_else(|| file.map(|path| base.join(path)))
    };
    let ca = choose(&flags.pki_ca, file.ca);
    let certificate = choose(&flags.pki_certificate, file.certificate);
    let key = choose(&flags.pki_key, file.key);
    match (ca, certificate, key) {
        (None, None, None) => Ok(PkiSource::BuiltIn),
        (Some(ca), Some(certificate), Some(key)) => Ok(PkiSource::Files { ca, certificate, key }),
        (ca, certificate, key) => {
            let missing =
                [("ca", ca.is_none()), ("certificate", certificate.is_none()), ("key", key.is_none())];
            let missing: Vec<&str> = missing.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
            let why = format!(
                "a PKI of your own needs ca, certificate and key, and there is no {}; set all three or none",
                missing.join(" and no ")
            );
            Err(ConfigError::Value { setting: at.in_file(), why })
        }
    }
}

fn heartbeat_interval(text: &str) -> Result<Duration, String> {
    let (least, most) = HEARTBEAT_RANGE;
    match humantime::parse_duration(text) {
        Ok(interval) if (least..=most).contains(&interval) => Ok(interval),
        Ok(_) => Err("is out of range; write a time from 100ms to 5m".into()),
        Err(_) => Err("is not a time; write one such as 15s".into()),
    }
}

fn keep_history_time(text: &str) -> Result<Duration, String> {
    let (least, most) = KEEP_HISTORY_RANGE;
    match humantime::parse_duration(text) {
        Ok(time) if (least..=most).contains(&time) => Ok(time),
        Ok(_) => Err("is out of range; write a time from 1d to 100y".into()),
        Err(_) => Err("is not a time; write one such as 90d".into()),
    }
}

fn log_directives(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err("is no log level; write error, warn, info, debug or trace, or directives of these".into())
        }
    }
}

//! The command line's contexts: which controllers an operator knows, and the credentials for each.
//!
//! `curfew-controller init` writes this file and `curfew` reads it; both use these types. It is TOML:
//!
//! ```toml
//! current = "default"
//!
//! [contexts.default]
//! endpoint = "https://localhost:7443"
//! ca = "default/ca.pem"            # paths are relative to this file's directory
//! certificate = "default/cert.pem"
//! key = "default/key.pem"          # mode 0600
//! server_name = "ctl.example"      # optional: the name expected in the controller's certificate
//! ```
//!
//! It stands at `$XDG_CONFIG_HOME/curfew/config.toml`, by default `~/.config/curfew/config.toml`.

use crate::dial::{Credentials, Dial, DialError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The context that `init` writes and that is used when nothing else is said.
pub const DEFAULT_CONTEXT: &str = "default";

/// Why the contexts cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The file cannot be read.
    #[error(
        "cannot read the contexts in {path}; `curfew-controller init` writes them on the controller's machine"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not of this form.
    #[error("{origin} is not a context file: {why}")]
    Syntax {
        /// The file, or what else the text came from.
        origin: String,
        /// What is wrong, with its place.
        why: String,
    },
    /// No context of that name.
    #[error("there is no context {name:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are, or `none`.
        known: String,
    },
    /// A context of that name says something else already.
    #[error(
        "context {name:?} is there already and points to {endpoint}; choose another name for the new one"
    )]
    Taken {
        /// The name.
        name: String,
        /// Where the present one points to.
        endpoint: String,
    },
    /// The name cannot be a context's.
    #[error("{name:?} is not a context name: use 1 to 64 letters, digits, '-' and '_'")]
    Name {
        /// What was given.
        name: String,
    },
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextFile {
    /// The context used when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// All of them, by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// One controller and the credentials for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// `https://HOST:PORT`.
    pub endpoint: String,
    /// The authority that signed the controller's certificate.
    pub ca: PathBuf,
    /// The operator's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The name expected in the controller's certificate instead of the endpoint's host: for tunnels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

impl ContextFile {
    /// Where the file stands: `$XDG_CONFIG_HOME/curfew/config.toml`, otherwise `$HOME/.config/curfew/config.toml`;
    /// `None` if neither variable is set. `lookup` reads an environment variable.
    pub fn default_path(lookup: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
        let set = |name| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The specification says to ignore a relative one.
        let base = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        let base = base.or_else(|| set("HOME").map(|home| home.join(".config")));
        base.map(|base| base.join("curfew").join("config.toml"))
    }

    /// Reads the file; paths in it become relative to where it stands.
    ///
    /// # Errors
    /// When it cannot be read or is not of this form.
    pub fn load(path: &Path) -> Result<ContextFile, ContextError> {
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| ContextError::Read { path: path.into(), source })?;
        let mut file = ContextFile::parse(&text, &path.display().to_string())?;
        let base = path.parent().unwrap_or(Path::new(""));
        for context in file.contexts.values_mut() {
            for file in [&mut context.ca, &mut context.certificate, &mut context.key] {
                *file = base.join(&file);
            }
        }
        Ok(file)
    }

    fn parse(text: &str, origin: &str) -> Result<ContextFile, ContextError> {
        let syntax = |error: toml::de::Error| ContextError::Syntax {
            origin: origin.into(),
            why: error.to_string().trim_end().to_owned(),
        };
        toml::from_str(text).map_err(syntax)
    }

    /// The context of this name; without a name the current one.
    ///
    /// # Errors
    /// When there is none.
    pub fn select(&self, name: Option<&str>) -> Result<(&str, &Context), ContextError> {
        let wanted = name.or(self.current.as_deref()).unwrap_or(DEFAULT_CONTEXT);
        if let Some((name, context)) = self.contexts.get_key_value(wanted) {
            return Ok((name, context));
        }
        let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        Err(ContextError::Unknown { name: wanted.into(), known })
    }
}

impl Context {
    /// Reads the credentials and makes a dial of them.
    ///
    /// # Errors
    /// When a file cannot be read, the credentials do not fit together, or the endpoint is no address.
    pub fn dial(&self) -> Result<Dial, DialError> {
        let credentials = Credentials::from_files(&self.ca, &self.certificate, &self.key)?;
        let dial = Dial::new(&self.endpoint, credentials)?;
        match &self.server_name {
            Some(name) => dial.with_server_name(name),
            None => Ok(dial),
        }
    }
}

/// The file's text with a context more. What stands there stays as it is, comments too; the new context becomes the
/// current one only if there was none.
///
/// # Errors
/// When the present text is not a context file, the name is taken by another context, or it is no name.
pub fn with_context(text: &str, name: &str, context: &Context) -> Result<String, ContextError> {
    const ORIGIN: &str = "the present file";
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        return Err(ContextError::Name { name: name.into() });
    }
    let present = ContextFile::parse(text, ORIGIN)?;
    match present.contexts.get(name) {
        Some(same) if same == context => return Ok(text.to_owned()),
        Some(other) => {
            return Err(ContextError::Taken { name: name.into(), endpoint: other.endpoint.clone() });
        }
        None => {}
    }
    let addition = ContextFile { current: None, contexts: BTreeMap::from([(name.into(), context.clone())]) };
    let addition = toml::to_string(&addition)
        .map_err(|error| ContextError::Syntax { origin: "the new context".into(), why: error.to_string() })?;
    // A top-level key must stand before the first table.
    let mut merged = match present.current {
        Some(_) => String::new(),
        None => format!("current = \"{name}\"\n"),
    };
    merged.push_str(text);
    if !merged.ends_with('\n') {
        merged.push('\n');
    }
    merged.push('\n');
    merged.push_str(&addition);
    ContextFile::parse(&merged, ORIGIN)?;
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(endpoint: &str) -> Context {
        Context {
            endpoint: endpoint.into(),
            ca: "default/ca.pem".into(),
            certificate: "default/cert.pem".into(),
            key: "default/key.pem".into(),
            server_name: None,
        }
    }

    #[test]
    fn a_first_context_becomes_the_current_one() {
        let text = with_context("", "default", &context("https://ctl:7443")).unwrap();
        assert_eq!(
            text,
            "current = \"default\"\n\n[contexts.default]\nendpoint = \"https://ctl:7443\"\nca = \"default/ca.pem\"\n\
             certificate = \"default/cert.pem\"\nkey = \"default/key.pem\"\n"
        );
    }

    #[test]
    fn a_further_context_leaves_what_was_there_as_it_was() {
        let mine = "# mine\n".to_owned() + &with_context("", "lab", &context("https://lab:7443")).unwrap();
        let text = with_context(&mine, "prod", &context("https://prod:7443")).unwrap();
        assert!(text.starts_with(&mine));
        let file = ContextFile::parse(&text, "x").unwrap();
        assert_eq!(file.select(None).unwrap().0, "lab");
        assert_eq!(file.select(Some("prod")).unwrap().1.endpoint, "https://prod:7443");
    }

    #[test]
    fn the_same_context_again_changes_nothing_and_another_of_its_name_is_refused() {
        let text = with_context("", "default", &context("https://ctl:7443")).unwrap();
        assert_eq!(with_context(&text, "default", &context("https://ctl:7443")).unwrap(), text);
        let error = with_context(&text, "default", &context("https://other:7443")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "context \"default\" is there already and points to https://ctl:7443; choose another name for the new one"
        );
    }

    #[test]
    fn an_unknown_context_lists_the_known_ones() {
        let text = with_context("", "lab", &context("https://lab:7443")).unwrap();
        let file = ContextFile::parse(&text, "x").unwrap();
        let error = file.select(Some("prod")).unwrap_err();
        assert_eq!(error.to_string(), "there is no context \"prod\"; there are: lab");
    }

    #[test]
    fn the_default_path_follows_the_xdg_specification() {
        let path = |xdg: &'static str| {
            ContextFile::default_path(move |name| match name {
                "XDG_CONFIG_HOME" => Some(xdg.into()),
                "HOME" => Some("/home/me".into()),
                _ => None,
            })
        };
        assert_eq!(path("/xdg"), Some("/xdg/curfew/config.toml".into()));
        assert_eq!(path(""), Some("/home/me/.config/curfew/config.toml".into()));
        assert_eq!(path("relative"), Some("/home/me/.config/curfew/config.toml".into()));
    }
}

//! The operator's contexts: finds the file, chooses one, changes which is the current one. Keys are never read
//! here, only by the dial.

use crate::args::ConnectionArgs;
use crate::client::Client;
use crate::error::Why;
use crate::output::{Listed, Shown};
use crate::table::{Cell, Column};
use anyhow::Context as _;
use curfew_proto::context::{Context, ContextFile};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The contexts, and the one that was chosen.
#[derive(Clone, Debug)]
pub struct Contexts {
    /// Where they stand.
    pub path: PathBuf,
    /// All of them.
    pub file: ContextFile,
    /// The one asked for by name, if any was.
    pub wanted: Option<String>,
}

impl Contexts {
    /// Reads the file that the arguments name, or the usual one.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(args: &ConnectionArgs) -> anyhow::Result<Contexts> {
        let usual = || ContextFile::default_path(|name| std::env::var_os(name));
        let named = args.config.clone().filter(|path| !path.as_os_str().is_empty());
        let path = named.or_else(usual).ok_or_else(|| {
            Why::new(
                "neither HOME nor XDG_CONFIG_HOME is set",
                "name the file with the contexts with --config",
            )
        })?;
        let file = ContextFile::load(&path)?;
        Ok(Contexts { path, file, wanted: args.context.clone().filter(|name| !name.is_empty()) })
    }

    /// The context to use.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn chosen(&self) -> anyhow::Result<(&str, &Context)> {
        let chosen = self.file.select(self.wanted.as_deref());
        chosen.with_context(|| format!("cannot use the contexts in {}", self.path.display()))
    }

    /// Connects to the controller of the chosen context.
    ///
    /// # Errors
    /// When there is no such context, or its controller cannot be reached.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        let (name, context) = self.chosen()?;
        Client::connect(context).await.map_err(|error| {
            let help =
                format!("`curfew context show --context {name}` shows which address and files are in use");
            let error = anyhow::Error::new(error);
            let mut why = Why::new(error.to_string(), help);
            why.details = error.chain().skip(1).map(ToString::to_string).collect();
            anyhow::Error::new(why).context(format!("cannot connect (context {name})"))
        })
    }

    /// Every context, for a list.
    pub fn entries(&self) -> Vec<Entry> {
        let current = self.file.select(self.wanted.as_deref()).map(|(name, _)| name);
        let entry = |(name, context): (&String, &Context)| Entry {
            name: name.clone(),
            current: current.as_ref().is_ok_and(|current| current == name),
            endpoint: context.endpoint.clone(),
            ca: context.ca.clone(),
            certificate: context.certificate.clone(),
            key: context.key.clone(),
            server_name: context.server_name.clone(),
        };
        self.file.contexts.iter().map(entry).collect()
    }

    /// Makes a context the current one.
    ///
    /// # Errors
    /// When there is none of that name, or the file cannot be changed.
    pub fn make_current(&self, name: &str) -> anyhow::Result<()> {
        self.file
            .select(Some(name))
            .with_context(|| format!("cannot use the contexts in {}", self.path.display()))?;
        let attempt = || format!("cannot change {}", self.path.display());
        // A link stays a link: what it points to is replaced.
        let path = std::fs::canonicalize(&self.path).with_context(attempt)?;
        let text = std::fs::read_to_string(&path).with_context(attempt)?;
        let changed = with_current(&text, name);
        let read_back: ContextFile = toml::from_str(&changed).with_context(attempt)?;
        anyhow::ensure!(
            read_back.current.as_deref() == Some(name),
            "{}: set `current = \"{name}\"` by hand, its form is not one this command can change",
            attempt()
        );
        replace(&path, &changed).with_context(attempt)
    }
}

/// One context as it is listed. Its key is named, never shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    name: String,
    current: bool,
    endpoint: String,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
}

impl Entry {
    /// Whether it is the one in use.
    pub fn is_current(&self) -> bool {
        self.current
    }
}

impl Listed for Entry {
    const KEY: &'static str = "contexts";
    const COLUMNS: &'static [Column] = &[
        Column::whole("CURRENT"),
        Column::whole("NAME"),
        Column::cut("ENDPOINT"),
        Column::extra("CERTIFICATE"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            if self.current { "*" } else { " " }.into(),
            self.name.as_str().into(),
            self.endpoint.as_str().into(),
            self.certificate.display().to_string().into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

impl Shown for Entry {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Name", self.name.clone()),
            ("Endpoint", self.endpoint.clone()),
            ("Server name", self.server_name.clone().unwrap_or_default()),
            ("CA", self.ca.display().to_string()),
            ("Certificate", self.certificate.display().to_string()),
            ("Key", self.key.display().to_string()),
        ]
    }
}

/// The text with another current context; everything else, comments too, stays as it is.
fn with_current(text: &str, name: &str) -> String {
    let line = format!("current = \"{name}\"");
    let is_current = |line: &str| {
        line.trim_start().strip_prefix("current").is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    // A top-level key stands before the first table.
    let top = text.lines().take_while(|line| !line.trim_start().starts_with('[')).position(is_current);
    let mut lines: Vec<&str> = text.lines().collect();
    match top {
        Some(at) => lines[at] = &line,
        None => lines.insert(0, &line),
    }
    lines.join("\n") + "\n"
}

/// Replaces a file in one step, with the rights it had.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(path)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What was half written is of no use to anybody.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# mine\ncurrent = \"lab\"\n\n[contexts.lab]\nendpoint = \"https://lab:7443\" # the lab\n";

    #[test]
    fn another_current_context_changes_one_line_only() {
        assert_eq!(with_current(FILE, "prod"), FILE.replace("current = \"lab\"", "current = \"prod\""));
    }

    #[test]
    fn a_file_without_a_current_context_gets_one_on_top() {
        let text = "[contexts.lab]\ncurrent = \"not this one\"\n";
        assert_eq!(with_current(text, "lab"), format!("current = \"lab\"\n{text}"));
    }
}

//! The checkout as the rules see it: its text, its tracked files, and what cargo says of it.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The text of a file, by its path from the root.
pub(crate) fn text(path: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = path.as_ref();
    std::fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {}", path.display()))
}

/// The files that git tracks, without those that are deleted and not committed yet.
pub(crate) fn tracked() -> anyhow::Result<Vec<PathBuf>> {
    let listed = output("git", &["ls-files", "-z"])?;
    let files = listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(files.filter(|path| root().join(path).is_file()).collect())
}

/// What a command prints when it runs in the root.
pub(crate) fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let attempt = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).current_dir(root()).output().with_context(attempt)?;
    ensure!(output.status.success(), "{}: {}", attempt(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).with_context(attempt)
}

/// The text between the two comments `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a Markdown file.
pub(crate) fn between_markers(path: &str, name: &str) -> anyhow::Result<String> {
    let text = text(path)?;
    let (_, after) = text
        .split_once(&format!("<!-- {name}:begin -->\n"))
        .with_context(|| format!("{path} has no {name}:begin"))?;
    let (inside, _) = after
        .split_once(&format!("<!-- {name}:end -->"))
        .with_context(|| format!("{path} has no {name}:end"))?;
    Ok(inside.trim_matches('\n').to_owned() + "\n")
}

/// The rows of a Markdown table, without its heading, cell by cell.
pub(crate) fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// What stands in backticks in the first cell of each row.
pub(crate) fn keys(table: &str) -> Vec<&str> {
    rows(table).filter_map(|row| row.first().and_then(|cell| quoted(cell).next())).collect()
}

/// What stands in backticks in a text.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

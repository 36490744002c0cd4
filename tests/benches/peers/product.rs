//! The programs of the peers, as `tests/benches/peers/prepare` gets them.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// A peer's program, made now where that takes no Debian package that is missing.
///
/// # Errors
/// When it is not there and cannot be made; the reason is what `prepare` says.
pub(super) async fn program(product: &str) -> anyhow::Result<PathBuf> {
    prepare(&[product]).await?;
    Ok(PathBuf::from(prepare(&["path", product]).await?))
}

async fn prepare(args: &[&str]) -> anyhow::Result<String> {
    let prepare = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/prepare");
    let output = Command::new(&prepare).args(args).stdin(Stdio::null()).output().await;
    let output = output.with_context(|| format!("cannot run {}", prepare.display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

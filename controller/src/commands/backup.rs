//! `backup` and `restore`: one directory with the store as of one moment, and the authority.
//!
//! ```text
//! BACKUP/          mode 0700: it holds the authority's key
//!   manifest.toml  what it is of
//!   store.db
//!   pki/...        only with the built-in authority
//! ```

use super::absolute;
use crate::config::Config;
use crate::data_dir::{DataDir, ensure_private_dir, write_private};
use crate::store::sqlite;
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The form of a backup; a later one raises it.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.toml";
const STORE: &str = "store.db";
const PKI: &str = "pki";

/// `backup`.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The directory to make; it must not exist.
    #[arg(value_name = "DEST")]
    dest: PathBuf,
}

/// `restore`.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The directory that `backup` made.
    #[arg(value_name = "SRC")]
    source: PathBuf,
}

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    made_at: String,
    made_by: String,
    trust_domain: String,
}

pub(super) async fn backup(config: &Config, args: &BackupArgs) -> anyhow::Result<String> {
    let dir = DataDir::existing(&config.data_dir)?;
    let dest = absolute(&args.dest)?;
    ensure!(!dest.exists(), "{} exists already; a backup goes into a new directory", dest.display());
    let mut partial = dest.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    remove_dir(&partial)?;
    ensure_private_dir(&partial)?;
    let done = fill(&dir, config, &partial).await.and_then(|()| {
        fs::rename(&partial, &dest).with_context(|| format!("cannot name the backup {}", dest.display()))
    });
    if done.is_err() {
        // What went wrong is told; a second failure here would only hide it.
        remove_dir(&partial).ok();
    }
    done?;
    let secret = if dir.pki().exists() {
        " It holds the authority's key: keep it as you would the controller."
    } else {
        ""
    };
    Ok(format!("The backup is in {}.{secret}\n", dest.display()))
}

async fn fill(dir: &DataDir, config: &Config, partial: &Path) -> anyhow::Result<()> {
    // A controller that was only ever `init`ed has no store yet.
    if dir.store().exists() {
        sqlite::snapshot(&dir.store(), &partial.join(STORE)).await.context("cannot copy the store")?;
    }
    copy_files(&dir.pki(), &partial.join(PKI))?;
    let manifest = Manifest {
        format: FORMAT,
        made_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        made_by: format!("curfew-controller {}", env!("CARGO_PKG_VERSION")),
        trust_domain: config.trust_domain.to_string(),
    };
    Ok(write_private(&partial.join(MANIFEST), toml::to_string(&manifest)?.as_bytes())?)
}

pub(super) async fn restore(config: &Config, args: &RestoreArgs) -> anyhow::Result<String> {
    let source = absolute(&args.source)?;
    let manifest = read_manifest(&source)?;
    if manifest.trust_domain != config.trust_domain.as_str() {
        bail!(
            "the backup is of the trust domain {:?}, and `trust_domain` is {:?}; set it to the backup's first",
            manifest.trust_domain,
            config.trust_domain.as_str()
        );
    }
    let dir = DataDir::fresh(&config.data_dir)?;
    let lock = dir.lock()?;
    if let Err(error) = put_back(&source, &dir).await {
        // The directory was empty before: it is again, so that the restore can be tried anew.
        drop(lock);
        if let Err(second) = empty(&dir) {
            tracing::warn!("cannot take back what was restored so far: {second:#}");
        }
        return Err(error);
    }
    Ok(format!(
        "Restored the backup of {} into {}. Start the controller: it goes on from what was known then.\n",
        manifest.made_at,
        dir.path().display()
    ))
}

async fn put_back(source: &Path, dir: &DataDir) -> anyhow::Result<()> {
    copy_files(&source.join(PKI), &dir.pki())?;
    let store = source.join(STORE);
    if store.exists() {
        sqlite::restore(&store, &dir.store()).await.context("cannot put the store back")?;
    }
    Ok(())
}

fn read_manifest(source: &Path) -> anyhow::Result<Manifest> {
    let path = source.join(MANIFEST);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is not a backup: cannot read {MANIFEST} in it", source.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).with_context(|| format!("{} is not a backup's manifest", path.display()))?;
    ensure!(
        manifest.format == FORMAT,
        "{} is a backup of format {}, and this version reads format {FORMAT}; use the version that made it ({})",
        source.display(),
        manifest.format,
        manifest.made_by
    );
    Ok(manifest)
}

/// Copies the files of a directory, private and durable; nothing if there is no such directory.
fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    ensure_private_dir(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let contents =
                fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
            write_private(&to.join(entry.file_name()), &contents)?;
        }
    }
    Ok(())
}

fn remove_dir(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes what a restore puts into a data directory, which was empty before.
fn empty(dir: &DataDir) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir.path())? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

//! Copies of the database: taken while a controller runs, checked, and put in place when none does.

use super::{common, lock, private, schema};
use anyhow::{Context, ensure};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Writes a copy of the database at `source` to the new file `dest`, as of one moment. A controller may be running.
///
/// # Errors
/// When `dest` exists, `source` is no store of a version known here, or one of the disks says no.
pub async fn snapshot(source: &Path, dest: &Path) -> anyhow::Result<()> {
    ensure!(!dest.exists(), "{} exists already", dest.display());
    ensure!(source.exists(), "there is no database at {}", source.display());
    let partial = beside(dest, ".partial");
    remove_if_there(&partial)?;
    private(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let copied = copy(source, &partial).await;
    let moved = copied.and_then(|()| put(&partial, dest));
    if moved.is_err() {
        fs::remove_file(&partial).ok();
    }
    moved
}

/// Puts the copy at `source` in the place of the database at `dest`, after checking it. No controller may be running.
/// What was there before stays beside it with the ending `.before-restore`.
///
/// # Errors
/// When a controller is running, the copy is damaged or of a newer version, or the disk says no.
pub async fn restore(source: &Path, dest: &Path) -> anyhow::Result<()> {
    let _lock = lock(dest)?;
    check(source).await.with_context(|| format!("{} cannot be restored", source.display()))?;
    let partial = beside(dest, ".partial");
    remove_if_there(&partial)?;
    private(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    copy(source, &partial).await?;
    set_aside(dest).await?;
    put(&partial, dest)
}

/// Checks that a copy is whole, and of a version known here.
///
/// # Errors
/// When it is not.
async fn check(file: &Path) -> anyhow::Result<()> {
    let mut connection = open(file).await?;
    recognise(&mut connection).await?;
    let said: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await?;
    ensure!(said == "ok", "the file is damaged: {said}");
    connection.close().await?;
    Ok(())
}

async fn copy(source: &Path, dest: &Path) -> anyhow::Result<()> {
    let mut connection = open(source).await?;
    recognise(&mut connection).await?;
    let name = dest.to_str().context("the name of the copy is not valid UTF-8")?;
    sqlx::query("VACUUM INTO ?")
        .bind(name)
        .execute(&mut connection)
        .await
        .with_context(|| format!("cannot copy {} to {name}", source.display()))?;
    connection.close().await?;
    Ok(())
}

pub(super) async fn open(file: &Path) -> anyhow::Result<SqliteConnection> {
    common(file).connect().await.with_context(|| format!("cannot open {}", file.display()))
}

async fn recognise(connection: &mut SqliteConnection) -> anyhow::Result<()> {
    Ok(schema::recognise(connection).await.map_err(|fault| fault.during("recognise the database"))?)
}

/// Brings what is in the log of the database into its file, and keeps that under another name.
async fn set_aside(file: &Path) -> anyhow::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    // A damaged database may not open; it is kept as it is, with its log.
    if let Ok(connection) = open(file).await {
        connection.close().await.ok();
    }
    for ending in ["", "-wal", "-shm"] {
        let from = beside(file, ending);
        if from.exists() {
            let to = beside(file, &format!(".before-restore{ending}"));
            fs::rename(&from, &to).with_context(|| format!("cannot set {} aside", from.display()))?;
        }
    }
    Ok(())
}

/// Moves a finished file to its place, so that it is there whole or not at all, also after a loss of power.
fn put(partial: &Path, dest: &Path) -> anyhow::Result<()> {
    let sync = || -> std::io::Result<()> {
        File::open(partial)?.sync_all()?;
        fs::rename(partial, dest)?;
        let directory = dest.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    sync().with_context(|| format!("cannot put {} in place", dest.display()))
}

fn remove_if_there(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    name.into()
}

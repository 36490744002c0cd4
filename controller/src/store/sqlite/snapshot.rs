//! Copies of the database: taken while a controller runs, and checked before one becomes a database again.

use super::{common, lock, private, schema};
use anyhow::{Context, ensure};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Writes a copy of the database at `source` to the new file `dest`, as of one moment. A controller may be running.
///
/// # Errors
/// When `dest` exists, `source` is no store of a version known here, or one of the disks says no.
pub async fn snapshot(source: &Path, dest: &Path) -> anyhow::Result<()> {
    ensure!(!dest.exists(), "{} exists already", dest.display());
    ensure!(source.exists(), "there is no database at {}", source.display());
    copy_whole(source, dest).await
}

/// Makes the copy at `source` the database at `dest`, where there is none, after checking it.
///
/// # Errors
/// When there is a database already, the copy is damaged or of a newer version, or the disk says no.
pub async fn restore(source: &Path, dest: &Path) -> anyhow::Result<()> {
    let _lock = lock(dest)?;
    ensure!(!dest.exists(), "there is a database at {} already", dest.display());
    check(source).await.with_context(|| format!("{} cannot be restored", source.display()))?;
    copy_whole(source, dest).await
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

/// Copies to `dest`, which is there whole afterwards or not at all.
async fn copy_whole(source: &Path, dest: &Path) -> anyhow::Result<()> {
    let mut partial = dest.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    remove_if_there(&partial)?;
    private(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let moved = copy(source, &partial).await.and_then(|()| put(&partial, dest));
    if moved.is_err() {
        // What went wrong is told; a second failure here would only hide it.
        fs::remove_file(&partial).ok();
    }
    moved
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

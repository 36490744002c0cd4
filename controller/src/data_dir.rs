//! The data directory: where everything of one controller lies, for its own eyes only.
//!
//! ```text
//! DATA_DIR/              mode 0700
//!   lock                 held by the controller that runs; its mark, too
//!   store.db             the store (and its -wal and -shm)
//!   pki/ca.pem, ca.key   the built-in authority
//!   pki/controller.pem, controller.key
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// For the owner alone.
const PRIVATE_DIR: u32 = 0o700;
/// For the owner alone.
const PRIVATE_FILE: u32 = 0o600;
const LOCK: &str = "lock";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// An operation on a file failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is none, and this command does not make one.
    #[error(
        "there is no data directory at {path}; `curfew-controller init` makes one, and `--data-dir` names another"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The directory is full of somebody else's things.
    #[error(
        "{path} is neither empty nor a data directory of Curfew's; give a directory of its own with `--data-dir`"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// There is something already where a restored directory should go.
    #[error("{path} is not empty; a backup is restored into a new data directory: move this one away first")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Another controller runs on it.
    #[error("another controller{holder} is running on {path}; two must never share a data directory")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its process id in words, if it is known.
        holder: String,
    },
}

/// A data directory that exists and is private.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    path: PathBuf,
}

/// The right to run on a data directory; it ends with this value, or with the process.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDir {
    /// The directory at `path`, made if there is none, and private from now on.
    ///
    /// # Errors
    /// When it cannot be made, or holds things that are not a controller's.
    pub fn ensure(path: &Path) -> Result<DataDir, DataDirError> {
        if !is_there(path)? {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(PRIVATE_DIR).create(path);
            made.map_err(failed("create", path))?;
        } else if !is_empty(path)? && !path.join(LOCK).exists() {
            return Err(DataDirError::Foreign { path: path.into() });
        }
        let dir = DataDir { path: path.into() };
        // A directory that systemd or a package made may be readable for others.
        fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIR))
            .map_err(failed("make private", path))?;
        dir.open_lock()?;
        Ok(dir)
    }

    /// The directory at `path`, which another command made.
    ///
    /// # Errors
    /// When there is none.
    pub fn existing(path: &Path) -> Result<DataDir, DataDirError> {
        if !is_there(&path.join(LOCK))? {
            return Err(DataDirError::Missing { path: path.into() });
        }
        Ok(DataDir { path: path.into() })
    }

    /// A new directory at `path` to restore into.
    ///
    /// # Errors
    /// When there is something in it already, or it cannot be made.
    pub fn fresh(path: &Path) -> Result<DataDir, DataDirError> {
        if is_there(path)? && !is_empty(path)? {
            return Err(DataDirError::NotEmpty { path: path.into() });
        }
        DataDir::ensure(path)
    }

    /// Takes the right to run on it.
    ///
    /// # Errors
    /// When another controller has it.
    pub fn lock(&self) -> Result<DataDirLock, DataDirError> {
        let mut file = self.open_lock()?;
        let path = self.path.join(LOCK);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The holder wrote it for this message only; without it the message is shorter.
                (&file).take(20).read_to_string(&mut pid).ok();
                let holder = match pid.trim() {
                    "" => String::new(),
                    pid => format!(" (process {pid})"),
                };
                return Err(DataDirError::InUse { path: self.path.clone(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        file.set_len(0).map_err(failed("write", &path))?;
        writeln!(file, "{}", std::process::id()).map_err(failed("write", &path))?;
        Ok(DataDirLock { _file: file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store's database.
    pub fn store(&self) -> PathBuf {
        self.path.join("store.db")
    }

    /// The directory of the built-in authority; it may not exist yet.
    pub fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    /// The directory of the built-in authority, made if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn ensure_pki(&self) -> Result<PathBuf, DataDirError> {
        let path = self.pki();
        ensure_private_dir(&path)?;
        Ok(path)
    }

    fn open_lock(&self) -> Result<File, DataDirError> {
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(PRIVATE_FILE);
        options.open(&path).map_err(failed("open", &path))
    }
}

/// Makes a directory for the owner alone, with what leads to it, unless it is there.
///
/// # Errors
/// When it cannot be made.
pub fn ensure_private_dir(path: &Path) -> Result<(), DataDirError> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(path).map_err(failed("create", path))
}

/// Replaces a file by one with these contents, readable by the owner alone: whole or not at all, and durably.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), DataDirError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &partial)(error));
        }
        _ => {}
    }
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(PRIVATE_FILE).open(&partial)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(failed("write", path))
}

/// Whether something is at `path`. Not being allowed to look is an error, not a no.
fn is_there(path: &Path) -> Result<bool, DataDirError> {
    path.try_exists().map_err(failed("look at", path))
}

fn is_empty(path: &Path) -> Result<bool, DataDirError> {
    let mut entries = fs::read_dir(path).map_err(failed("list", path))?;
    Ok(entries.next().is_none())
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { action, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_data_directory_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        DataDir::ensure(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("lock")), 0o600);
    }

    #[test]
    fn an_open_directory_made_by_others_becomes_private() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
        DataDir::ensure(temp.path()).unwrap();
        assert_eq!(mode(temp.path()), 0o700);
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("letter"), "mine").unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
        let error = DataDir::ensure(temp.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Foreign { .. }), "{error}");
        assert_eq!(mode(temp.path()), 0o755);
    }

    #[test]
    fn a_second_controller_on_the_same_directory_is_refused_and_told_by_whom() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::ensure(temp.path()).unwrap();
        let held = dir.lock().unwrap();
        let error = DataDir::ensure(temp.path()).unwrap().lock().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "another controller (process {}) is running on {}; two must never share a data directory",
                std::process::id(),
                temp.path().display()
            )
        );
        drop(held);
        dir.lock().unwrap();
    }

    #[test]
    fn a_private_file_replaces_the_old_one_whole() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("key");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}

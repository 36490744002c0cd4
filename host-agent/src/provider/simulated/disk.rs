//! The simulated guests' files: their state, written whole and atomically, and the logons a test appends. It knows
//! no guest rules.

use super::world::World;
use serde::Deserialize;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Most bytes of the logons file taken at once: thousands of lines; the rest is taken next time.
const LOGONS_READ_MAX: u64 = 1024 * 1024;

/// One line of the logons file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logon {
    /// The guest's name.
    pub(super) guest: String,
    /// Who logs on.
    pub(super) user: String,
}

/// The state that was written before, if any.
pub(super) fn load(path: &Path) -> io::Result<Option<World>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the state beside its place and moves it there, so that no reader and no kill ever sees half of it.
///
/// It is not synced: a simulation need not outlive the machine.
pub(super) fn save(path: &Path, world: &World) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, serde_json::to_vec_pretty(world)?)?;
    std::fs::rename(&beside, path)
}

/// The whole lines that were appended since `read` bytes were read, and how many bytes are read now. A line that is
/// not a logon is left out.
pub(super) fn logons(path: &Path, read: u64) -> io::Result<(Vec<Logon>, u64)> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), read)),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(read))?;
    let mut bytes = Vec::new();
    file.take(LOGONS_READ_MAX).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n');
    let logons = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok((logons, read + whole as u64))
}

//! Containers whose manager leaves a pid file for each. A stale file is a container that does not run.

use crate::provider::pattern::Pattern;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// Most bytes of a pid file: a number and a line's end, many times over.
const FILE_MAX: u64 = 64;

/// The process in each pid file, by the container's name; none where no such process can be.
///
/// # Errors
/// When a folder cannot be read, in words.
pub(super) fn find(patterns: &[Pattern]) -> Result<BTreeMap<String, Option<u32>>, String> {
    let mut found = BTreeMap::new();
    for pattern in patterns {
        for name in pattern.names()? {
            let pid = read(&pattern.path_of(&name));
            found.entry(name).or_insert(pid);
        }
    }
    Ok(found)
}

/// The same for one name; nothing where there is no file.
pub(super) fn find_one(patterns: &[Pattern], name: &str) -> Option<Option<u32>> {
    let paths = patterns.iter().map(|pattern| pattern.path_of(name));
    paths.into_iter().find(|path| path.exists()).map(|path| read(&path))
}

fn read(path: &Path) -> Option<u32> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(FILE_MAX).read_to_string(&mut text).ok()?;
    // 1 is the host's own first process.
    text.trim().parse().ok().filter(|pid| *pid > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_name_is_the_containers_and_its_content_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in [("web-1", "4711\n"), ("web-2", "nonsense"), ("self", "1"), ("empty", "")] {
            std::fs::write(folder.path().join(format!("{name}.pid")), content).expect("a file");
        }
        let pattern = format!("{}/*.pid", folder.path().display());
        let patterns = [Pattern::parse("containers", "pidfiles", &pattern).expect("a pattern")];
        let found = find(&patterns).expect("found");
        let expected = [("empty", None), ("self", None), ("web-1", Some(4711)), ("web-2", None)];
        assert_eq!(found, expected.map(|(name, pid)| (name.to_owned(), pid)).into());
        assert_eq!(find_one(&patterns, "web-1"), Some(Some(4711)));
        assert_eq!(find_one(&patterns, "web-3"), None);
    }
}

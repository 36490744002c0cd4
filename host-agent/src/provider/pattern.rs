//! A path with one `*` in the place of a guest's name: how configuration says where guests' files are.

use super::BuildError;
use std::path::{Path, PathBuf};

/// A path with one `*` in the place of a guest's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Pattern {
    before: String,
    after: String,
}

impl Pattern {
    /// Reads the pattern that `field` of this provider's configuration holds.
    ///
    /// # Errors
    /// When it is no absolute path, or has anything of a pattern but one `*`.
    pub(in crate::provider) fn parse(
        provider: &'static str,
        field: &str,
        text: &str,
    ) -> Result<Pattern, BuildError> {
        let refuse = |why: &str| BuildError { provider, why: format!("{field} is {text:?}: {why}") };
        let (before, after) =
            text.split_once('*').ok_or_else(|| refuse("it has no '*' for the guest's name"))?;
        if !text.starts_with('/') {
            return Err(refuse("it is not an absolute path"));
        }
        if before.contains(['*', '?', '[']) || after.contains(['*', '?', '[']) {
            return Err(refuse("one '*' is all it may have of a pattern"));
        }
        Ok(Pattern { before: before.into(), after: after.into() })
    }

    /// The path for this name.
    pub(in crate::provider) fn path_of(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}{name}{}", self.before, self.after))
    }

    /// The names for which there is a file now.
    ///
    /// # Errors
    /// When a folder cannot be read, in words.
    pub(in crate::provider) fn names(&self) -> Result<Vec<String>, String> {
        let glob = format!("{}*{}", self.before, self.after);
        let failed = |error: String| format!("looking for {glob}: {error}");
        let paths = glob::glob(&glob).map_err(|error| failed(error.to_string()))?;
        let mut names = Vec::new();
        for path in paths {
            let path = path.map_err(|error| failed(error.to_string()))?;
            // A name that cannot be part of an id is not one of ours.
            names.extend(self.name_in(&path).filter(|name| !name.is_empty()).map(str::to_owned));
        }
        Ok(names)
    }

    fn name_in<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.to_str()?.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())
    }
}

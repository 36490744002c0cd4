//! Shell-style name patterns: `*` for any run, `?` for one character. Matched without backtracking blow-up.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest pattern: longer than any name it could match.
const PATTERN_MAX: usize = 640;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing was written.
    #[error("the pattern is empty")]
    Empty,
    /// Longer than any name.
    #[error("the pattern is longer than 640 bytes")]
    TooLong,
}

/// A pattern for names; case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

impl Glob {
    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut seen) = (0, 0);
        // Where to resume when what follows the last `*` does not fit: one more byte goes to that `*`.
        let mut resume: Option<(usize, usize)> = None;
        while seen < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    resume = Some((at + 1, seen));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || *byte == name[seen] => {
                    at += 1;
                    seen += 1;
                }
                _ => match resume {
                    Some((after_star, taken)) => {
                        at = after_star;
                        seen = taken + 1;
                        resume = Some((after_star, taken + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }

    /// Whether it names exactly one thing: it has no wildcard.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// The same pattern for names in lower case.
    #[must_use]
    pub fn to_lowercase(&self) -> Glob {
        Glob(self.0.to_lowercase())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        match text.len() {
            0 => Err(GlobError::Empty),
            n if n > PATTERN_MAX => Err(GlobError::TooLong),
            _ => Ok(Glob(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobError;
    fn try_from(text: String) -> Result<Self, GlobError> {
        text.parse()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        text.parse().expect("a pattern")
    }

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        assert!(glob("vm-*").matches("vm-1"));
        assert!(glob("vm-*").matches("vm-"));
        assert!(!glob("vm-*").matches("xvm-1"));
        assert!(glob("*-?").matches("desk-long-1"));
        assert!(!glob("*-?").matches("desk-12"));
        assert!(glob("a*b*c").matches("aXbXbXc"));
        assert!(!glob("a").matches("ab"));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_any_prefix_with_a_star(name in "[a-z0-9.-]{1,20}", cut in 0_usize..20) {
            prop_assert!(glob(&name).matches(&name));
            let cut = cut.min(name.len());
            let starred = format!("{}*", &name[..cut]);
            prop_assert!(glob(&starred).matches(&name));
        }

        #[test]
        fn many_stars_end_in_linear_time(name in "a{200}") {
            let pattern = "a*".repeat(60) + "b";
            prop_assert!(!glob(&pattern).matches(&name));
        }
    }
}

//! Label selectors in Kubernetes' grammar, parsed once: `env=lab,rack in (r1,r2),os!=windows,!drained`.

use crate::label::{self, Labels};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest selector text.
const SELECTOR_MAX: usize = 4096;

/// Why a text is not a selector; `at` counts characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {why}")]
pub struct SelectorError {
    /// Where it went wrong.
    pub at: usize,
    /// What was found and what would fit.
    pub why: String,
}

/// One requirement on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    /// As in Kubernetes, a missing key satisfies `!=` and `notin`.
    NotIn(String, Vec<String>),
}

/// A label selector: every requirement must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    /// Whether labels that `lookup` finds satisfy every requirement.
    pub fn matches_with<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => lookup(key).is_some(),
            Requirement::Absent(key) => lookup(key).is_none(),
            Requirement::In(key, values) => {
                lookup(key).is_some_and(|value| values.iter().any(|v| v == value))
            }
            Requirement::NotIn(key, values) => {
                lookup(key).is_none_or(|value| values.iter().all(|v| v != value))
            }
        })
    }

    /// Whether `labels` satisfy every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }
}

impl std::str::FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Parser::new(text)?.selector()
    }
}

impl TryFrom<String> for LabelSelector {
    type Error = SelectorError;
    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl From<LabelSelector> for String {
    fn from(selector: LabelSelector) -> String {
        selector.to_string()
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, requirement) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::Exists(key) => f.write_str(key)?,
                Requirement::Absent(key) => write!(f, "!{key}")?,
                Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Requirement::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Requirement::In(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
            }
        }
        Ok(())
    }
}

/// A hand-written descent: the grammar is five lines and its errors must say the place.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, SelectorError> {
        if text.len() > SELECTOR_MAX {
            return Err(SelectorError {
                at: SELECTOR_MAX,
                why: "the selector is longer than 4096 bytes".into(),
            });
        }
        Ok(Parser { text, at: 0 })
    }

    fn selector(mut self) -> Result<LabelSelector, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            requirements.push(self.requirement()?);
            self.skip_spaces();
            if self.rest().is_empty() {
                return Ok(LabelSelector(requirements));
            }
            if !self.take(",") {
                return self.fail("expected ',' or the end");
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        self.skip_spaces();
        if self.take("!") {
            return Ok(Requirement::Absent(self.key()?));
        }
        let key = self.key()?;
        self.skip_spaces();
        if self.take("!=") {
            return Ok(Requirement::NotIn(key, vec![self.value()?]));
        }
        if self.take("==") || self.take("=") {
            return Ok(Requirement::In(key, vec![self.value()?]));
        }
        if self.take_word("notin") {
            return Ok(Requirement::NotIn(key, self.values()?));
        }
        if self.take_word("in") {
            return Ok(Requirement::In(key, self.values()?));
        }
        Ok(Requirement::Exists(key))
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        self.skip_spaces();
        let start = self.at;
        let key = self.word();
        if key.is_empty() {
            return self.fail("expected a label key");
        }
        let checked = if label::WELL_KNOWN.contains(&key) { Ok(()) } else { label::check_key(key) };
        match checked {
            Ok(()) => Ok(key.to_owned()),
            Err(error) => Err(self.error_at(start, error.to_string())),
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        self.skip_spaces();
        let start = self.at;
        let value = self.word();
        // The well-known labels hold ids and names, whose alphabet is wider than that of a label's value.
        if value.len() > 640 {
            return Err(self.error_at(start, "the value is longer than 640 bytes".into()));
        }
        Ok(value.to_owned())
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        self.skip_spaces();
        if !self.take("(") {
            return self.fail("expected '(' and a list of values");
        }
        let mut values = vec![self.value()?];
        loop {
            self.skip_spaces();
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return self.fail("expected ',' or ')'");
            }
            values.push(self.value()?);
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "=!,()".contains(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let follows = self.rest().strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '\t', '(']));
        follows && self.take(word)
    }

    fn fail<T>(&self, why: &str) -> Result<T, SelectorError> {
        let found = match self.rest().chars().next() {
            Some(c) => format!("{why}, found {c:?}"),
            None => format!("{why}, found the end"),
        };
        Err(self.error_at(self.at, found))
    }

    fn error_at(&self, byte: usize, why: String) -> SelectorError {
        SelectorError { at: self.text[..byte].chars().count() + 1, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn selector(text: &str) -> LabelSelector {
        text.parse().expect(text)
    }

    #[test]
    fn every_requirement_must_hold() {
        let desk = labels(&[("env", "lab"), ("rack", "r2"), ("os", "linux")]);
        assert!(selector("env=lab, rack in (r1, r2), os!=windows, !drained").matches(&desk));
        assert!(!selector("env=lab,rack notin (r1,r2)").matches(&desk));
        assert!(selector("rack").matches(&desk));
        assert!(selector("row!=7").matches(&desk), "a missing key satisfies !=, as in Kubernetes");
        assert!(!selector("row=7").matches(&desk));
    }

    #[test]
    fn an_error_names_the_place() {
        for (text, at, why) in [
            ("env=lab,,x", 9, "label key"),
            ("rack in r1", 9, "expected '('"),
            ("rack in (r1", 12, "found the end"),
            ("a=b c", 5, "expected ','"),
            ("", 1, "label key"),
            ("r@ck=1", 1, "not valid"),
        ] {
            let error = text.parse::<LabelSelector>().expect_err(text);
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.why.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_reads_back_the_same(text in "[a-z!=, ()rin/@.]{0,40}") {
            if let Ok(parsed) = text.parse::<LabelSelector>() {
                prop_assert_eq!(parsed.to_string().parse::<LabelSelector>(), Ok(parsed));
            }
        }
    }
}

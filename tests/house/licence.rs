//! Licence expressions as crates write them: SPDX with `AND`, `OR`, `WITH` and parentheses, and the older `/` for `OR`.

use anyhow::{bail, ensure};
use std::collections::BTreeSet;
use std::str::FromStr;

/// A licence expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Licence {
    /// One licence, with its exception if it has one: `Apache-2.0 WITH LLVM-exception`.
    One(String),
    /// All of them hold.
    All(Vec<Licence>),
    /// One of them may be chosen.
    Any(Vec<Licence>),
}

impl Licence {
    /// Which of the allowed licences satisfy it; `None` if they do not.
    pub(crate) fn met_by<'a>(&self, allowed: &BTreeSet<&'a str>) -> Option<BTreeSet<&'a str>> {
        match self {
            Licence::One(name) => allowed.get(name.as_str()).map(|found| BTreeSet::from([*found])),
            Licence::All(parts) => {
                let met: Option<Vec<_>> = parts.iter().map(|part| part.met_by(allowed)).collect();
                met.map(|sets| sets.into_iter().flatten().collect())
            }
            Licence::Any(parts) => parts.iter().find_map(|part| part.met_by(allowed)),
        }
    }
}

impl FromStr for Licence {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Licence> {
        let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let mut words = Words(spaced.split_whitespace().collect());
        let licence = words.any()?;
        ensure!(words.0.is_empty(), "{text:?} goes on after its end");
        Ok(licence)
    }
}

/// What is left of an expression.
struct Words<'a>(std::collections::VecDeque<&'a str>);

impl Words<'_> {
    fn any(&mut self) -> anyhow::Result<Licence> {
        let mut parts = vec![self.all()?];
        while self.skip("OR") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Licence::Any(parts) })
    }

    fn all(&mut self) -> anyhow::Result<Licence> {
        let mut parts = vec![self.one()?];
        while self.skip("AND") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Licence::All(parts) })
    }

    fn one(&mut self) -> anyhow::Result<Licence> {
        if self.skip("(") {
            let inner = self.any()?;
            ensure!(self.skip(")"), "a parenthesis is not closed");
            return Ok(inner);
        }
        let name = match self.0.pop_front() {
            Some(word) if !["AND", "OR", "WITH", ")"].contains(&word) => word,
            other => bail!("a licence's name is missing before {other:?}"),
        };
        if !self.skip("WITH") {
            return Ok(Licence::One(name.to_owned()));
        }
        match self.0.pop_front() {
            Some(exception) => Ok(Licence::One(format!("{name} WITH {exception}"))),
            None => bail!("an exception's name is missing"),
        }
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.0.front() == Some(&word);
        if found {
            self.0.pop_front();
        }
        found
    }
}

#[test]
fn and_needs_all_and_or_needs_one() -> anyhow::Result<()> {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    let met = |text: &str| anyhow::Ok(text.parse::<Licence>()?.met_by(&allowed).is_some());
    for text in ["MIT", "GPL-2.0 OR MIT", "GPL-2.0/MIT", "MIT AND ISC", "(GPL-2.0 OR MIT) AND ISC"] {
        ensure!(met(text)?, "{text} is not met");
    }
    for text in ["GPL-2.0", "MIT AND GPL-2.0", "MIT WITH LLVM-exception", "GPL-2.0 OR MIT AND BSD-3-Clause"] {
        ensure!(!met(text)?, "{text} is met");
    }
    Ok(())
}

#[test]
fn half_an_expression_is_an_error() {
    for text in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "MIT WITH", "AND MIT"] {
        assert!(text.parse::<Licence>().is_err(), "{text:?} was taken");
    }
}

//! Values that are parsed while the command line is: durations, labels, pairs. Errors say how it is written right.

use curfew_types::label;
use std::str::FromStr;
use std::time::Duration;

/// A change of one label, as kubectl writes it: `rack=r1` sets, `rack-` removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelChange {
    /// Sets a label.
    Set(String, String),
    /// Removes a label.
    Remove(String),
}

impl FromStr for LabelChange {
    type Err = String;

    fn from_str(text: &str) -> Result<LabelChange, String> {
        if let Some((key, value)) = text.split_once('=') {
            label::check_settable(key, value).map_err(|error| error.to_string())?;
            return Ok(LabelChange::Set(key.into(), value.into()));
        }
        match text.strip_suffix('-') {
            Some(key) => {
                label::check_settable(key, "").map_err(|error| error.to_string())?;
                Ok(LabelChange::Remove(key.into()))
            }
            None => Err("write KEY=VALUE to set a label, or KEY- to remove one".into()),
        }
    }
}

/// A free pair: `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Before the first `=`.
    pub key: String,
    /// After it; may be empty.
    pub value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Pair, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Pair { key: key.into(), value: value.into() }),
            Some(_) | None => Err("write it as KEY=VALUE".into()),
        }
    }
}

/// A duration as people write it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}: write a number with its unit, for example 90s, 5m or 1h 30m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_set_and_removed_as_kubectl_does() {
        assert_eq!("rack=r1".parse(), Ok(LabelChange::Set("rack".into(), "r1".into())));
        assert_eq!("rack=".parse(), Ok(LabelChange::Set("rack".into(), String::new())));
        assert_eq!("example.com/env-".parse(), Ok(LabelChange::Remove("example.com/env".into())));
        for (wrong, why) in [
            ("rack", "KEY=VALUE"),
            ("-", "not valid"),
            ("=x", "not valid"),
            ("rack=a b", "not valid"),
            ("os=linux", "filled in by the controller"),
            ("agent/x-", "what agents report"),
        ] {
            let error = wrong.parse::<LabelChange>().expect_err(wrong);
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_pair_keeps_everything_after_the_first_equals_sign() {
        assert_eq!("a=b=c".parse(), Ok(Pair { key: "a".into(), value: "b=c".into() }));
        assert!("=x".parse::<Pair>().is_err() && "x".parse::<Pair>().is_err());
    }

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert!(duration("5").expect_err("no unit").contains("for example 90s"));
        assert!(duration("-5m").is_err());
    }
}

//! Values that are parsed while the command line is: times, amounts, labels, pairs. Errors say how it is written right.

use curfew_types::{Amount, Notice, label};
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

/// Most guests at a time that share a value of a label: `rack=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadLimit {
    /// The label's key.
    pub label: String,
    /// Most guests of one value.
    pub max: u32,
}

impl FromStr for SpreadLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<SpreadLimit, String> {
        let how = || "write it as LABEL=N, for example rack=2, with 1 at least".to_owned();
        let (key, max) = text.split_once('=').ok_or_else(how)?;
        label::check_key(key).map_err(|error| error.to_string())?;
        let max = max.parse().ok().filter(|max| *max > 0).ok_or_else(how)?;
        Ok(SpreadLimit { label: key.into(), max })
    }
}

/// A point in time: RFC 3339, or local time to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub jiff::Timestamp);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let local = || {
            let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M", text)?;
            civil.to_zoned(jiff::tz::TimeZone::system()).map(|zoned| zoned.timestamp())
        };
        let moment = text.parse::<jiff::Timestamp>().or_else(|_| local());
        moment.map(Moment).map_err(|_| {
            "write 2027-01-31T18:00:00Z, or '2027-01-31 18:00' in local time, or use --for".to_owned()
        })
    }
}

/// A point in time, or how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Then.
    At(Moment),
    /// So long before now.
    Ago(Duration),
}

impl FromStr for Before {
    type Err = String;

    fn from_str(text: &str) -> Result<Before, String> {
        let moment = text.parse().map(Before::At);
        moment.or_else(|_| humantime::parse_duration(text).map(Before::Ago)).map_err(|_| {
            "write 2027-01-31T18:00:00Z, or '2027-01-31 18:00' in local time, or 2h for 2 hours ago"
                .to_owned()
        })
    }
}

/// The words that people are told before they are logged off.
pub(super) fn notice(text: &str) -> Result<String, String> {
    Notice::check(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// An amount that something must be able to go on with.
pub(super) fn limit(text: &str) -> Result<Amount, String> {
    match budget(text)? {
        amount if amount.is_zero() => Err("nothing would ever begin; write 1 or 1% at least".into()),
        amount => Ok(amount),
    }
}

/// An amount that may be nothing.
pub(super) fn budget(text: &str) -> Result<Amount, String> {
    text.parse::<Amount>().map_err(|error| error.to_string())
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
    fn a_limit_is_something_and_a_budget_may_be_nothing() {
        assert_eq!(limit("10%"), Ok(Amount::Percent(10)));
        assert!(limit("0").is_err() && limit("0%").is_err() && limit("101%").is_err());
        assert_eq!(budget("0"), Ok(Amount::Number(0)));
        assert!(budget("few").expect_err("no number").contains("10%"));
    }

    #[test]
    fn a_spread_names_a_label_and_a_number() {
        assert_eq!("rack=2".parse(), Ok(SpreadLimit { label: "rack".into(), max: 2 }));
        assert_eq!("host=1".parse(), Ok(SpreadLimit { label: "host".into(), max: 1 }));
        for wrong in ["rack", "rack=", "rack=0", "=2", "rack=10%", "a b=1"] {
            assert!(wrong.parse::<SpreadLimit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_rfc_3339_or_local_to_the_minute() {
        let moment = |text: &str| text.parse::<Moment>().map(|moment| moment.0.as_second());
        assert_eq!(moment("2027-01-31T18:00:00Z"), Ok(1_801_418_400));
        assert_eq!(moment("2027-01-31T18:00:00+01:00"), Ok(1_801_414_800));
        let local = moment("2027-01-31 18:00").expect("local time");
        assert!((local - 1_801_418_400).abs() <= 14 * 3600, "{local}");
        for wrong in ["tomorrow", "2027-01-31", "18:00", "2027-13-31 18:00"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_before_is_a_moment_or_some_time_ago() {
        assert_eq!("2h".parse(), Ok(Before::Ago(Duration::from_secs(7200))));
        let moment = "2027-01-31T18:00:00Z".parse().expect("a moment");
        assert_eq!("2027-01-31T18:00:00Z".parse(), Ok(Before::At(moment)));
        assert!("2027-01-31 18:00".parse::<Before>().is_ok());
        for wrong in ["yesterday", "2027-01-31", "-2h", "2", ""] {
            let error = wrong.parse::<Before>().expect_err(wrong);
            assert!(error.contains("2h for 2 hours ago"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_notice_is_one_line_whose_braces_stand_for_something() {
        assert_eq!(notice("Patching in {minutes} min"), Ok("Patching in {minutes} min".to_owned()));
        assert!(notice("in {hours} h").expect_err("no such word").contains("{minutes} and {seconds}"));
        assert!(notice("two\nlines").expect_err("two lines").contains("one line"));
        assert!(notice(" ").is_err());
    }

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert!(duration("5").expect_err("no unit").contains("for example 90s"));
        assert!(duration("-5m").is_err());
    }
}

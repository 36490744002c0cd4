//! Which sessions are meant and how people are treated, as messages. What does not go together is refused here, with
//! what to do about it; nothing is sent where nothing was said.

use super::duration;
use crate::args::{Before, DrainArgs, SessionArgs, SessionStateWord, SpecArgs, TreatmentArgs};
use crate::error::Usage;
use curfew_proto::v1;
use curfew_types::logoff::{DRAIN_MAX_MS, DRAIN_MIN_MS, GRACE_MAX_MS, REPEAT_MIN_MS};
use curfew_types::operation::{DEADLINE_DEFAULT_MS, TASK_TIMEOUT_DEFAULT_MS};
use std::time::Duration;

/// Which sessions, seen from `now`; nothing where all are meant.
///
/// # Errors
/// When no session could fit, or a time is too long ago to be written.
pub fn session_filter(args: &SessionArgs, now: jiff::Timestamp) -> Result<Option<v1::SessionFilter>, Usage> {
    if let Some(both) = args.user.iter().find(|user| is_listed(user, &args.exclude_user)) {
        return usage(format!("{both} is in --user and in --exclude-user: take it out of one of them"));
    }
    if args.idle_at_least.is_some_and(|time| time.is_zero()) {
        return usage("--idle-at-least 0s leaves nobody out: leave the option away, or give a time");
    }
    let state = match args.state {
        None => v1::SessionStateFilter::Unspecified,
        Some(SessionStateWord::Active) => v1::SessionStateFilter::Active,
        Some(SessionStateWord::Disconnected) => v1::SessionStateFilter::Disconnected,
    };
    let filter = v1::SessionFilter {
        users: args.user.clone(),
        exclude_users: args.exclude_user.clone(),
        state: state.into(),
        idle_at_least: args.idle_at_least.map(duration),
        logged_on_before: args.logged_on_before.map(|before| moment(before, now)).transpose()?,
    };
    Ok((filter != v1::SessionFilter::default()).then_some(filter))
}

/// What people are told; nothing where they are told nothing.
pub(super) fn notice(args: &TreatmentArgs) -> Option<v1::Notice> {
    (args.notice.is_some() || args.grace.is_some()).then(|| v1::Notice {
        text: args.notice.clone().unwrap_or_default(),
        grace: args.grace.map(duration),
        repeat: args.repeat.map(duration),
    })
}

/// Whether new logons are refused, and for how long.
pub(super) fn drain(args: &TreatmentArgs) -> Option<v1::DrainOptions> {
    (args.drain || args.drain_for.is_some())
        .then(|| v1::DrainOptions { drain_for: args.drain_for.map(duration) })
}

/// Refuses what does not go together about people's time.
///
/// # Errors
/// The first contradiction, with what to do about it.
pub(super) fn check(args: &SpecArgs) -> Result<(), Usage> {
    let people = &args.people;
    check_notice(people)?;
    let grace = people.grace.unwrap_or_default();
    let deadline = args.how.deadline.unwrap_or(Duration::from_millis(DEADLINE_DEFAULT_MS));
    if grace >= deadline {
        return usage(format!(
            "--grace {} is not shorter than the --deadline of {}: nobody would be logged off; give a longer --deadline",
            shown(grace),
            shown(deadline)
        ));
    }
    let task_timeout = args.how.task_timeout.unwrap_or(Duration::from_millis(TASK_TIMEOUT_DEFAULT_MS));
    if let Some(force_after) = people.force_after.filter(|after| *after >= task_timeout) {
        return usage(format!(
            "--force-after {} is not shorter than the --task-timeout of {}, which begins with it: nothing would be \
             killed; give a shorter --force-after or a longer --task-timeout",
            shown(force_after),
            shown(task_timeout)
        ));
    }
    if let Some(drain_for) = people.drain_for {
        check_drain_time("--drain-for", drain_for)?;
        if drain_for <= grace {
            return usage(format!(
                "--drain-for {} is over before the --grace of {}: logons would return before anybody is logged off; \
                 give a longer --drain-for, or --drain for as long as it takes",
                shown(drain_for),
                shown(grace)
            ));
        }
    }
    Ok(())
}

/// How long a drain by hand lasts.
///
/// # Errors
/// When that is out of range.
pub fn drain_time(args: &DrainArgs) -> Result<pbjson_types::Duration, Usage> {
    check_drain_time("--for", args.for_time)?;
    Ok(duration(args.for_time))
}

fn check_notice(people: &TreatmentArgs) -> Result<(), Usage> {
    let (grace, repeat) = (people.grace, people.repeat);
    if grace.is_some_and(|grace| grace.is_zero()) {
        return usage(
            "--grace 0s gives nobody any time: leave it out and say --notice to tell people and log them off at once",
        );
    }
    if grace.is_some_and(|grace| grace > Duration::from_millis(GRACE_MAX_MS)) {
        return usage("--grace is at most 24h: start the logoff later instead");
    }
    let speaks_of_time = people
        .notice
        .as_ref()
        .is_some_and(|text| ["{minutes}", "{seconds}"].iter().any(|w| text.contains(w)));
    if speaks_of_time && grace.is_none() {
        return usage(
            "--notice speaks of the time that is left, and there is none: add --grace, for example 10m",
        );
    }
    match (repeat, grace) {
        (Some(repeat), _) if repeat < Duration::from_millis(REPEAT_MIN_MS) => {
            usage("--repeat is 1s at least: people are not told more often than that")
        }
        (Some(repeat), Some(grace)) if repeat >= grace => usage(format!(
            "--repeat {} is not shorter than --grace {}: nobody would be told a second time; give a shorter --repeat, \
             or leave it out",
            shown(repeat),
            shown(grace)
        )),
        (Some(_) | None, _) => Ok(()),
    }
}

fn check_drain_time(option: &str, time: Duration) -> Result<(), Usage> {
    let fits = (DRAIN_MIN_MS..=DRAIN_MAX_MS).contains(&u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    if fits { Ok(()) } else { usage(format!("{option} {} is not between 1s and 7d", shown(time))) }
}

fn moment(before: Before, now: jiff::Timestamp) -> Result<pbjson_types::Timestamp, Usage> {
    let at = match before {
        Before::At(moment) => moment.0,
        Before::Ago(time) => now
            .checked_sub(time)
            .map_err(|_| Usage::new("--logged-on-before is too long ago: nobody is logged on for so long"))?,
    };
    Ok(pbjson_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

fn is_listed(user: &str, users: &[String]) -> bool {
    users.iter().any(|other| other.to_lowercase() == user.to_lowercase())
}

fn shown(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(time)
}

fn usage<T>(message: impl Into<String>) -> Result<T, Usage> {
    Err(Usage::new(message))
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command, GuestCommand};
    use crate::effective;
    use clap::Parser as _;
    use curfew_proto::v1;

    fn meant(options: &[&str]) -> anyhow::Result<v1::OperationSpec> {
        let line = [&["curfew", "logoff", "--all"], options].concat();
        let Command::Logoff(args) = Cli::try_parse_from(line)?.command else { panic!("a logoff") };
        Ok(effective::spec(&args.spec)?)
    }

    fn seconds(seconds: i64) -> Option<pbjson_types::Duration> {
        Some(pbjson_types::Duration { seconds, nanos: 0 })
    }

    #[test]
    fn what_people_are_told_and_get_reaches_its_field() {
        let spec = meant(&[
            "--notice",
            "in {minutes} min",
            "--grace",
            "10m",
            "--repeat",
            "5m",
            "--force-after",
            "2m",
            "--drain-for",
            "4h",
        ])
        .expect("it is right");
        let notice =
            v1::Notice { text: "in {minutes} min".into(), grace: seconds(600), repeat: seconds(300) };
        assert_eq!(spec.notice, Some(notice));
        assert_eq!(spec.force_after, seconds(120));
        assert_eq!(spec.drain, Some(v1::DrainOptions { drain_for: seconds(14_400) }));
        let spec = meant(&["--grace", "10m", "--drain"]).expect("it is right");
        assert_eq!(spec.notice.expect("a standard text").text, "");
        assert_eq!(spec.drain, Some(v1::DrainOptions { drain_for: None }));
    }

    #[test]
    fn every_filter_reaches_its_field() {
        let spec = meant(&[
            "--user",
            "CORP\\*",
            "--user",
            "*@desk.example",
            "--exclude-user",
            "alice",
            "--state",
            "disconnected",
            "--idle-at-least",
            "30m",
            "--logged-on-before",
            "2027-01-31T18:00:00Z",
        ])
        .expect("it is right");
        let filter = v1::SessionFilter {
            users: vec!["CORP\\*".into(), "*@desk.example".into()],
            exclude_users: vec!["alice".into()],
            state: v1::SessionStateFilter::Disconnected.into(),
            idle_at_least: seconds(1800),
            logged_on_before: Some(pbjson_types::Timestamp { seconds: 1_801_418_400, nanos: 0 }),
        };
        assert_eq!(spec.sessions, Some(filter));
    }

    #[test]
    fn some_time_ago_is_counted_from_now() {
        let now = jiff::Timestamp::from_second(1_800_000_000).expect("a time");
        let before = "2h".parse().expect("a time");
        let args = crate::args::SessionArgs { logged_on_before: Some(before), ..Default::default() };
        let filter = super::session_filter(&args, now).expect("it is right").expect("a filter");
        assert_eq!(filter.logged_on_before.expect("a time").seconds, 1_799_992_800);
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_what_to_do() {
        for (options, to_do) in [
            (&["--repeat", "5m"][..], "--grace <TIME>"),
            (&["--grace", "0s"], "leave it out and say --notice"),
            (&["--grace", "25h"], "start the logoff later"),
            (&["--grace", "2h", "--deadline", "1h"], "give a longer --deadline"),
            (&["--grace", "5m", "--repeat", "5m"], "give a shorter --repeat"),
            (&["--grace", "5m", "--repeat", "10ms"], "1s at least"),
            (&["--notice", "in {minutes} min"], "add --grace"),
            (&["--notice", "in {hours} h"], "{minutes} and {seconds}"),
            (&["--force-after", "5m"], "a longer --task-timeout"),
            (&["--force-after", "2m", "--task-timeout", "1m"], "give a shorter --force-after"),
            (&["--drain-for", "8d"], "between 1s and 7d"),
            (&["--drain-for", "5m", "--grace", "10m"], "give a longer --drain-for"),
            (&["--user", "alice", "--exclude-user", "Alice"], "take it out of one of them"),
            (&["--idle-at-least", "0s"], "or give a time"),
            (&["--logged-on-before", "yesterday"], "2h for 2 hours ago"),
            (&["--state", "idle"], "disconnected"),
        ] {
            let error = format!("{:#}", meant(options).expect_err("it does not go together"));
            assert!(error.contains(to_do), "{options:?}: {error}");
        }
        assert!(meant(&["--force-after", "8m", "--task-timeout", "10m"]).is_ok());
        assert!(meant(&["--grace", "25m", "--deadline", "1h", "--drain", "--drain-for", "1h"]).is_ok());
    }

    #[test]
    fn a_drain_by_hand_has_an_end_within_a_week() {
        let time = |line: &str| {
            let command = Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?.command;
            let Command::Guest(GuestCommand::Drain(args)) = command else { panic!("a drain") };
            super::drain_time(&args).map_err(|error| error.to_string())
        };
        assert_eq!(time("curfew guest drain desk-1 --for 4h").ok(), seconds(14_400));
        assert!(time("curfew guest drain desk-1 --for 8d").expect_err("too long").contains("7d"));
        assert!(time("curfew guest drain desk-1").expect_err("no end").contains("--for <TIME>"));
    }
}

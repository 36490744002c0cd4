//! What the command line means: typed arguments become the API's messages. Defaults stay the controller's own, so
//! what was not said is not sent.

mod people;
mod rollout;

pub use people::{drain_time, session_filter};
pub use rollout::{budgets, rollout};

use crate::args::{
    Command, GuestCommand, HoldArgs, LabelChange, LogoffArgs, NotRunningWord, OperationStateWord,
    OutcomeWord, Pair, RetryArgs, SelectionArgs, SessionCommand, SpecArgs,
};
use crate::error::Usage;
use crate::logoff::LogoffRequest;
use crate::retry::RetryRequest;
use crate::start;
use curfew_proto::v1;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Refuses what contradicts itself before anything is asked, where that takes a controller.
///
/// # Errors
/// When the arguments contradict one another.
pub fn check(command: &Command) -> Result<(), Usage> {
    match command {
        Command::Preview(args) => spec(&args.spec).map(drop),
        Command::Session(SessionCommand::List(args)) => {
            session_filter(&args.sessions, jiff::Timestamp::now()).map(drop)
        }
        Command::Guest(GuestCommand::Drain(args)) => drain_time(args).map(drop),
        Command::Guest(GuestCommand::Hold(args)) => hold_end(args, jiff::Timestamp::now()).map(drop),
        _ => Ok(()),
    }
}

/// What `curfew logoff` was told to do.
///
/// # Errors
/// When the arguments contradict one another.
pub fn logoff(args: &LogoffArgs) -> anyhow::Result<LogoffRequest> {
    Ok(LogoffRequest {
        spec: spec(&args.spec)?,
        request_id: request_id(args.request_id.as_deref())?,
        expected_count: args.expect,
        is_confirmed: args.yes,
        stays: !args.no_wait,
    })
}

/// What `curfew operation retry` was told to do.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn retry(args: &RetryArgs) -> anyhow::Result<RetryRequest> {
    Ok(RetryRequest {
        operation_id: args.id.clone(),
        request_id: request_id(args.request_id.as_deref())?,
        is_confirmed: args.yes,
        stays: !args.no_wait,
    })
}

fn request_id(given: Option<&str>) -> anyhow::Result<String> {
    given.map_or_else(start::random_request_id, |id| Ok(id.to_owned()))
}

/// What an operation is asked to do.
///
/// # Errors
/// When the arguments contradict one another.
pub fn spec(args: &SpecArgs) -> Result<v1::OperationSpec, Usage> {
    people::check(args)?;
    let how = &args.how;
    let not_running = match how.not_running {
        None => v1::NotRunningPolicy::Unspecified,
        Some(NotRunningWord::Skip) => v1::NotRunningPolicy::Skip,
        Some(NotRunningWord::Refuse) => v1::NotRunningPolicy::Refuse,
    };
    Ok(v1::OperationSpec {
        selection: Some(selection(&args.selection)),
        not_running: not_running.into(),
        max_in_flight: args.rollout.max_in_flight.map(v1::Amount::from),
        task_timeout: how.task_timeout.map(duration),
        deliver_within: how.deliver_within.map(duration),
        deadline: how.deadline.map(duration),
        reason: how.reason.clone().unwrap_or_default(),
        annotations: annotations(&how.annotation)?,
        rollout: rollout(&args.rollout),
        budgets: budgets(&args.budgets),
        sessions: session_filter(&args.sessions, jiff::Timestamp::now())?,
        notice: people::notice(&args.people),
        force_after: args.people.force_after.map(duration),
        drain: people::drain(&args.people),
    })
}

/// Which guests.
pub fn selection(args: &SelectionArgs) -> v1::Selection {
    v1::Selection {
        all: args.all,
        label_selector: args.selector.clone().unwrap_or_default(),
        hosts: args.host.clone(),
        guests: args.guest.clone(),
        guest_ids: args.guest_id.clone(),
        exclude: args.exclude.clone(),
        include_host_guests: args.include_host_guests,
    }
}

/// Labels to set and keys to remove.
///
/// # Errors
/// When one key is changed twice.
pub fn label_changes(changes: &[LabelChange]) -> Result<(HashMap<String, String>, Vec<String>), Usage> {
    let (mut set, mut remove, mut seen) = (HashMap::new(), Vec::new(), BTreeSet::new());
    for change in changes {
        let key = match change {
            LabelChange::Set(key, value) => {
                set.insert(key.clone(), value.clone());
                key
            }
            LabelChange::Remove(key) => {
                remove.push(key.clone());
                key
            }
        };
        if !seen.insert(key) {
            return Err(Usage::new(format!("label {key} is changed twice")));
        }
    }
    Ok((set, remove))
}

/// The outcomes to list.
pub fn outcomes(words: &[OutcomeWord]) -> Vec<i32> {
    let outcome = |word: &OutcomeWord| match word {
        OutcomeWord::Succeeded => v1::Outcome::Succeeded,
        OutcomeWord::NothingToDo => v1::Outcome::NothingToDo,
        OutcomeWord::Refused => v1::Outcome::Refused,
        OutcomeWord::Failed => v1::Outcome::Failed,
        OutcomeWord::TimedOut => v1::Outcome::TimedOut,
        OutcomeWord::Unreachable => v1::Outcome::Unreachable,
        OutcomeWord::Unknown => v1::Outcome::Unknown,
        OutcomeWord::Cancelled => v1::Outcome::Cancelled,
        OutcomeWord::Skipped => v1::Outcome::Skipped,
    };
    words.iter().map(|word| outcome(word).into()).collect()
}

/// The state to list.
pub fn operation_state(word: Option<OperationStateWord>) -> v1::OperationState {
    match word {
        None => v1::OperationState::Unspecified,
        Some(OperationStateWord::AwaitingApproval) => v1::OperationState::AwaitingApproval,
        Some(OperationStateWord::Paused) => v1::OperationState::Paused,
        Some(OperationStateWord::Halted) => v1::OperationState::Halted,
        Some(OperationStateWord::Running) => v1::OperationState::Running,
        Some(OperationStateWord::Cancelling) => v1::OperationState::Cancelling,
        Some(OperationStateWord::Ended) => v1::OperationState::Ended,
    }
}

/// When a hold is released by itself, seen from `now`.
///
/// # Errors
/// When that is over already, or too far away to be written.
pub fn hold_end(args: &HoldArgs, now: jiff::Timestamp) -> Result<Option<pbjson_types::Timestamp>, Usage> {
    let end = match (args.until, args.for_time) {
        (Some(moment), _) if moment.0 <= now => {
            return Err(Usage::new(format!("--until {:.0} is over already: name a time to come", moment.0)));
        }
        (Some(moment), _) => moment.0,
        (None, Some(time)) => now.checked_add(time).map_err(|_| {
            Usage::new("--for is too long: leave it out to hold the guest until it is released")
        })?,
        (None, None) => return Ok(None),
    };
    Ok(Some(pbjson_types::Timestamp { seconds: end.as_second(), nanos: end.subsec_nanosecond() }))
}

/// A duration on the wire; one too long for it becomes the longest, which the controller refuses by name.
pub fn duration(time: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0),
    }
}

fn annotations(pairs: &[Pair]) -> Result<HashMap<String, String>, Usage> {
    let mut annotations = HashMap::new();
    for Pair { key, value } in pairs {
        if annotations.insert(key.clone(), value.clone()).is_some() {
            return Err(Usage::new(format!("--annotation {key} is given twice")));
        }
    }
    Ok(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;
    use curfew_types::Amount;

    fn meant(line: &str) -> anyhow::Result<LogoffRequest> {
        let Command::Logoff(args) = Cli::try_parse_from(line.split(' '))?.command else {
            panic!("{line} is not a logoff");
        };
        logoff(&args)
    }

    #[test]
    fn what_was_not_said_is_not_sent() {
        let request = meant("curfew logoff --all").expect("it is enough");
        let selection = Some(v1::Selection { all: true, ..Default::default() });
        assert_eq!(request.spec, v1::OperationSpec { selection, ..Default::default() });
        assert!(!request.is_confirmed && request.stays);
    }

    #[test]
    fn every_option_reaches_its_field() {
        let line = "curfew logoff -l env=lab --host h* --guest a --guest b --guest-id u-1 --exclude x --yes \
                    --include-host-guests --not-running refuse --max-in-flight 7% --task-timeout 90s \
                    --waves 1,10%,100% --wave-pause 10m --seed 42 --max-per-host 2 --spread rack=3 --spread zone=4 \
                    --max-failed 0 --max-timed-out 1% --max-unreachable 2 --max-refused 3 --expect 12 \
                    --deliver-within 1500ms --deadline 2h --reason patching --annotation ticket=A-1 --request-id r1 \
                    --no-wait";
        let request = meant(line).expect("it is right");
        let number = |number| Some(Amount::Number(number).into());
        let share = |percent| Some(Amount::Percent(percent).into());
        let seconds = |seconds, nanos| Some(pbjson_types::Duration { seconds, nanos });
        let spec = v1::OperationSpec {
            selection: Some(v1::Selection {
                all: false,
                label_selector: "env=lab".into(),
                hosts: vec!["h*".into()],
                guests: vec!["a".into(), "b".into()],
                guest_ids: vec!["u-1".into()],
                exclude: vec!["x".into()],
                include_host_guests: true,
            }),
            not_running: v1::NotRunningPolicy::Refuse.into(),
            max_in_flight: share(7),
            task_timeout: seconds(90, 0),
            deliver_within: seconds(1, 500_000_000),
            deadline: seconds(7200, 0),
            reason: "patching".into(),
            annotations: HashMap::from([("ticket".into(), "A-1".into())]),
            rollout: Some(v1::Rollout {
                waves: vec![
                    Amount::Number(1).into(),
                    Amount::Percent(10).into(),
                    Amount::Percent(100).into(),
                ],
                wave_pause: seconds(600, 0),
                promotion: false,
                seed: Some(42),
                max_per_host: 2,
                spread: vec![
                    v1::SpreadLimit { label: "rack".into(), max: 3 },
                    v1::SpreadLimit { label: "zone".into(), max: 4 },
                ],
            }),
            budgets: Some(v1::FailureBudgets {
                failed: number(0),
                timed_out: share(1),
                unreachable: number(2),
                refused: number(3),
            }),
            ..v1::OperationSpec::default()
        };
        assert_eq!(request.spec, spec);
        assert_eq!(request.expected_count, Some(12));
        assert_eq!(request.request_id, "r1");
        assert!(request.is_confirmed && !request.stays);
    }

    #[test]
    fn request_ids_are_fresh() {
        let id = || meant("curfew logoff --all").expect("it is enough").request_id;
        assert_ne!(id(), id());
    }

    #[test]
    fn a_logoff_without_a_selection_or_with_two_kinds_of_all_is_refused() {
        assert!(meant("curfew logoff --yes").is_err());
        assert!(meant("curfew logoff --exclude x").is_err());
        assert!(meant("curfew logoff --all --guest x").is_err());
        assert!(meant("curfew logoff --all --annotation a=1 --annotation a=2").is_err());
    }

    #[test]
    fn a_person_and_a_pause_between_waves_exclude_one_another_and_both_need_waves() {
        let by_hand = meant("curfew logoff --all --waves 1,100% --promote-by-hand").expect("it is right");
        assert!(by_hand.spec.rollout.expect("it was said").promotion);
        for wrong in [
            "--waves 1,100% --promote-by-hand --wave-pause 1m",
            "--promote-by-hand",
            "--wave-pause 1m",
            "--waves 0,1",
            "--max-in-flight 0",
            "--max-failed 101%",
            "--spread rack",
        ] {
            assert!(meant(&format!("curfew logoff --all {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_hold_ends_at_a_time_to_come_or_never() {
        let now = jiff::Timestamp::from_second(1_800_000_000).expect("a time");
        let end = |line: &str| {
            let command = Cli::try_parse_from(line.split(' ')).expect("it parses").command;
            let Command::Guest(crate::args::GuestCommand::Hold(args)) = command else { panic!("a hold") };
            hold_end(&args, now).map(|end| end.map(|end| end.seconds))
        };
        let hold = "curfew guest hold desk-1 --reason exam";
        assert_eq!(end(hold).expect("never"), None);
        assert_eq!(end(&format!("{hold} --for 4h")).expect("later"), Some(1_800_014_400));
        assert_eq!(end(&format!("{hold} --until 2027-01-31T18:00:00Z")).expect("later"), Some(1_801_418_400));
        assert!(end(&format!("{hold} --until 2020-01-31T18:00:00Z")).is_err());
    }

    #[test]
    fn a_label_cannot_be_set_and_removed_at_once() {
        let change = |text: &str| text.parse::<LabelChange>().expect("a change");
        let (set, remove) = label_changes(&[change("rack=r1"), change("env-")]).expect("two keys");
        assert_eq!((set.get("rack").map(String::as_str), remove), (Some("r1"), vec!["env".to_owned()]));
        assert!(label_changes(&[change("rack=r1"), change("rack-")]).is_err());
    }
}

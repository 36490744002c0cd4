//! What the command line means: typed arguments become the API's messages. Defaults stay the controller's own, so
//! what was not said is not sent.

use crate::args::{
    LabelChange, LogoffArgs, NotRunningWord, OperationStateWord, OutcomeWord, Pair, SelectionArgs, SpecArgs,
};
use crate::error::Usage;
use crate::logoff::{self, LogoffRequest};
use curfew_proto::v1;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// What `curfew logoff` was told to do.
///
/// # Errors
/// When the arguments contradict one another.
pub fn logoff(args: &LogoffArgs) -> anyhow::Result<LogoffRequest> {
    let request_id = match &args.request_id {
        Some(id) => id.clone(),
        None => logoff::random_request_id()?,
    };
    Ok(LogoffRequest { spec: spec(&args.spec)?, request_id, is_confirmed: args.yes, stays: !args.no_wait })
}

/// What an operation is asked to do.
///
/// # Errors
/// When the arguments contradict one another.
pub fn spec(args: &SpecArgs) -> Result<v1::OperationSpec, Usage> {
    let how = &args.how;
    let not_running = match how.not_running {
        None => v1::NotRunningPolicy::Unspecified,
        Some(NotRunningWord::Skip) => v1::NotRunningPolicy::Skip,
        Some(NotRunningWord::Refuse) => v1::NotRunningPolicy::Refuse,
    };
    Ok(v1::OperationSpec {
        selection: Some(selection(&args.selection)),
        not_running: not_running.into(),
        max_in_flight: how.max_in_flight.unwrap_or(0),
        task_timeout: how.task_timeout.map(duration),
        deliver_within: how.deliver_within.map(duration),
        deadline: how.deadline.map(duration),
        reason: how.reason.clone().unwrap_or_default(),
        annotations: annotations(&how.annotation)?,
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
        Some(OperationStateWord::Running) => v1::OperationState::Running,
        Some(OperationStateWord::Cancelling) => v1::OperationState::Cancelling,
        Some(OperationStateWord::Ended) => v1::OperationState::Ended,
    }
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
                    --include-host-guests --not-running refuse --max-in-flight 7 --task-timeout 90s \
                    --deliver-within 1500ms --deadline 2h --reason patching --annotation ticket=A-1 --request-id r1 \
                    --no-wait";
        let request = meant(line).expect("it is right");
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
            max_in_flight: 7,
            task_timeout: seconds(90, 0),
            deliver_within: seconds(1, 500_000_000),
            deadline: seconds(7200, 0),
            reason: "patching".into(),
            annotations: HashMap::from([("ticket".into(), "A-1".into())]),
        };
        assert_eq!(request.spec, spec);
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
    fn a_label_cannot_be_set_and_removed_at_once() {
        let change = |text: &str| text.parse::<LabelChange>().expect("a change");
        let (set, remove) = label_changes(&[change("rack=r1"), change("env-")]).expect("two keys");
        assert_eq!((set.get("rack").map(String::as_str), remove), (Some("r1"), vec!["env".to_owned()]));
        assert!(label_changes(&[change("rack=r1"), change("rack-")]).is_err());
    }
}

//! Builders of records: operations of any shape, verdicts, guests.

use curfew_controller_core::record::{Record, Started, TargetGuest, TargetHost};
use curfew_types::operation::{EventKind, OperationEvent, Standing};
use curfew_types::{
    Budgets, DrainFor, GuestId, HostName, Logoff, Notice, OperationId, OperationSpec, OperationState,
    Outcome, Reason, Selection, SessionCounts, SessionFate, SessionFilter, SessionResult, StateFilter,
    StatusCode, Verdict, WallTime,
};

/// When everything here begins.
pub(crate) const BEGIN: WallTime = WallTime(1_795_000_000_000);

pub(crate) fn host(number: u32) -> HostName {
    format!("host-{number}").parse().expect("a host name")
}

pub(crate) fn guest(host: u32, number: u32) -> GuestId {
    match number % 3 {
        0 => format!("0c7a9b1e-52d4-4f0e-8d5b-{host:04x}{number:08x}").parse(),
        1 => format!("host-{host}/qga/vm-{number}").parse(),
        _ => format!("{host}:{number}").parse(),
    }
    .expect("a guest id")
}

pub(crate) fn operation_id(number: u64) -> OperationId {
    OperationId::new(BEGIN.plus(number), number)
}

/// How an operation stands in `state`, whatever else.
pub(crate) fn standing(state: OperationState) -> Standing {
    let why = format!("it is {}", state.as_str());
    Standing { state, why, wave: 1, ..Standing::running(Budgets::default()) }
}

/// The operation was brought to stand so.
pub(crate) fn steer(operation: OperationId, what: EventKind, to: &Standing, at: WallTime) -> Record {
    let by = (what != EventKind::Halted).then(|| "carol".to_owned());
    let event = OperationEvent { at, what, by, why: format!("{} it is", what.as_str()) };
    Record::Steered { operation, event, standing: to.clone() }
}

/// An operation with as many guests on its hosts as `guests` says.
pub(crate) fn started(number: u64, guests: &[u32]) -> Started {
    let mut first = 0;
    let hosts = guests.iter().zip(0_u32..).map(|(count, place)| {
        let target = |n| TargetGuest {
            id: guest(place, n),
            name: format!("vm-{place}-{n}").into(),
            // The first guest of every host is in the first wave.
            wave: u8::from(n > 0),
        };
        let target_host = TargetHost { host: host(place), first, guests: (0..*count).map(target).collect() };
        first += count;
        target_host
    });
    let hosts = hosts.collect();
    let mut spec = OperationSpec::plain(Selection { all: true, ..Selection::default() });
    spec.request_id = Some(format!("request-{number}"));
    spec.reason = "maintenance".into();
    spec.annotations.insert("ticket".into(), number.to_string());
    // Every second one says how people are logged off.
    if number % 2 == 1 {
        spec.logoff = logoff(number);
    }
    Started {
        id: operation_id(number),
        spec,
        requester: "alice".into(),
        created: BEGIN.plus(number),
        deadline: BEGIN.plus(number + 1000),
        digest: u64::MAX - number,
        seed: u64::MAX / 3 + number,
        standing: Standing::running(Budgets::default()),
        hosts,
    }
}

/// Every option there is.
fn logoff(number: u64) -> Logoff {
    let glob = |text: &str| text.parse().expect("a pattern");
    Logoff {
        sessions: SessionFilter {
            users: vec![glob("CORP\\*")],
            exclude_users: vec![glob("svc-*"), glob("eve@desk.example")],
            state: Some(StateFilter::Disconnected),
            idle_at_least_ms: Some(number),
            logged_on_before: Some(BEGIN),
        },
        notice: Some(Notice { text: "in {minutes} min".into(), grace_ms: 600_000, repeat_ms: Some(60_000) }),
        force_after_ms: Some(120_000),
        drain: Some(if number % 4 == 1 { DrainFor::TheTask } else { DrainFor::Ms(3_600_000) }),
    }
}

pub(crate) fn start(started: &Started) -> Record {
    Record::Started(Box::new(started.clone()))
}

/// The host's place of a task.
pub(crate) fn place_of(started: &Started, index: u32) -> u32 {
    let place = started.hosts.partition_point(|host| host.first <= index);
    // Hosts without guests share the index of the next one.
    u32::try_from(place).expect("a place") - 1
}

/// One record for each host that has some of the tasks.
pub(crate) fn finish(started: &Started, tasks: &[(u32, Verdict)], at: WallTime) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for (index, verdict) in tasks {
        let place = place_of(started, *index);
        match records.last_mut() {
            Some(Record::Finished { host, tasks, .. }) if *host == place => {
                tasks.push((*index, verdict.clone().into()));
            }
            _ => records.push(Record::Finished {
                operation: started.id,
                host: place,
                tasks: vec![(*index, verdict.clone().into())],
                at,
            }),
        }
    }
    records
}

/// All that is left of an operation, well ended.
pub(crate) fn finish_all(started: &Started, at: WallTime) -> Vec<Record> {
    let tasks: Vec<_> = (0..started.task_count()).map(|index| (index, succeeded())).collect();
    let mut records = finish(started, &tasks, at);
    records.push(Record::Ended { operation: started.id, at, revision: 7, slowest: Vec::new() });
    records
}

pub(crate) fn late(started: &Started, index: u32, verdict: Verdict, at: WallTime) -> Record {
    let host = &started.hosts[place_of(started, index) as usize];
    Record::Late {
        operation: started.id,
        host: host.host.clone(),
        index,
        guest: host.guests[(index - host.first) as usize].id.clone(),
        verdict: verdict.into(),
        at,
    }
}

pub(crate) fn succeeded() -> Verdict {
    let sessions = SessionCounts { found: 2, ended: 2, ..SessionCounts::default() };
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "2 sessions ended")
        .with_sessions(sessions, Vec::new())
}

/// A verdict for any number, each outcome among the first nine.
pub(crate) fn verdict(number: u8) -> Verdict {
    let (code, reason) = match Outcome::ALL[usize::from(number) % 9] {
        Outcome::Succeeded => return succeeded(),
        Outcome::NothingToDo => (StatusCode::NoSuchLogonSession, Reason::NoSessions),
        Outcome::Refused => (StatusCode::VmPaused, Reason::Paused),
        Outcome::Failed => (StatusCode::Unexpected, Reason::SessionsRemain),
        Outcome::TimedOut => (StatusCode::TimedOut, Reason::GuestSilent),
        Outcome::Unreachable => (StatusCode::TimedOut, Reason::HostOffline),
        Outcome::Unknown => (StatusCode::Unexpected, Reason::NoReport),
        Outcome::Cancelled => (StatusCode::Ok, Reason::NotStarted),
        Outcome::Skipped if number < 9 => (StatusCode::Ok, Reason::NotRunningByChoice),
        Outcome::Skipped => (StatusCode::Ok, Reason::DeadlineBeforeStart),
    };
    let sessions = SessionCounts { found: u32::from(number), remaining: 1, ..SessionCounts::default() };
    // Some with the words of a remaining session, some with every fate, some with as many sessions as are kept.
    let result = |place: u8| SessionResult {
        id: place.to_string(),
        user: "CORP\\bob".into(),
        fate: SessionFate::ALL[usize::from(place) % SessionFate::ALL.len()],
        notices: u32::from(place % 3),
        why: if place == 0 { "held by vim, sleep".into() } else { String::new() },
    };
    let results = (0..[1, 6, 0, 100][usize::from(number) % 4]).map(result).collect();
    Verdict::new(Outcome::ALL[usize::from(number) % 9], code, reason, format!("case {number}"))
        .with_sessions(sessions, results)
}

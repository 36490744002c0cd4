//! Operations of a past that never was, record by record as the core writes them: the same number gives the same ones.

use curfew_controller_core::record::{Record, Started, TargetGuest, TargetHost};
use curfew_types::agent::LedgerMark;
use curfew_types::operation::Standing;
use curfew_types::{
    Budgets, GuestId, HostName, OperationId, OperationSpec, Outcome, Reason, Selection, SessionCounts,
    SessionFate, SessionResult, StatusCode, Verdict, WallTime,
};

/// Guests on each host.
pub(super) const GUESTS: u32 = 10;
/// When it begins, in milliseconds since the Unix epoch.
const BEGIN: i64 = 1_750_000_000_000;
/// From one operation to the next, in milliseconds: a minute.
const BETWEEN: u64 = 60_000;
/// People who are logged on somewhere.
const PEOPLE: u64 = 100_000;

/// A fleet and what happens to it.
pub(super) struct Past {
    hosts: u32,
    tasks: u32,
}

impl Past {
    /// That of `hosts` hosts, in operations of `tasks` tasks each.
    pub(super) fn new(hosts: u32, tasks: u32) -> Past {
        Past { hosts, tasks }
    }

    /// The operation with this number. Each takes the next hosts of the fleet.
    pub(super) fn operation(&self, number: u32) -> anyhow::Result<Started> {
        self.operation_of(number, self.tasks)
    }

    /// The same with another number of tasks.
    pub(super) fn operation_of(&self, number: u32, tasks: u32) -> anyhow::Result<Started> {
        let from = u64::from(number) * u64::from(tasks.div_ceil(GUESTS));
        let mut hosts = Vec::new();
        let mut first = 0;
        while first < tasks {
            let place = (from + hosts.len() as u64) % u64::from(self.hosts);
            let guests = (0..GUESTS.min(tasks - first)).map(|guest| target(place, guest));
            hosts.push(TargetHost {
                host: host(place)?,
                first,
                guests: guests.collect::<anyhow::Result<_>>()?,
            });
            first += GUESTS;
        }
        let created = WallTime(BEGIN).plus(u64::from(number) * BETWEEN);
        let spec = OperationSpec {
            request_id: Some(format!("nightly-{number}")),
            reason: "nightly maintenance of the desktops".into(),
            ..OperationSpec::plain(Selection { all: true, ..Selection::default() })
        };
        Ok(Started {
            id: OperationId::new(created, dice(&[1, u64::from(number)])),
            deadline: created.plus(spec.deadline_ms),
            spec,
            requester: "operator-1".into(),
            created,
            digest: dice(&[2, u64::from(number)]),
            seed: dice(&[3, u64::from(number)]),
            standing: Standing::running(Budgets::default()),
            hosts: hosts.into(),
        })
    }
}

/// When an operation began, in the wall time of the past.
pub(super) fn began(number: u32) -> WallTime {
    WallTime(BEGIN).plus(u64::from(number) * BETWEEN)
}

/// Its start, and all of its orders handed over.
pub(super) fn start(started: &Started) -> Vec<Record> {
    let mut records = vec![Record::Started(Box::new(started.clone()))];
    records.extend(started.hosts.iter().zip(0..).map(|(target, host)| Record::Handed {
        operation: started.id,
        host,
        tasks: (target.first..).take(target.guests.len()).collect(),
        until: started.created.plus(started.spec.task_timeout_ms),
    }));
    records
}

/// The outcomes of these tasks, which are one host's, and up to where its findings are stored then.
pub(super) fn finish(started: &Started, host: u32, tasks: &[u32], at: WallTime) -> [Record; 2] {
    let name = started.hosts[host as usize].host.clone();
    let finished = tasks.iter().map(|task| (*task, verdict(started, *task).into())).collect();
    let acknowledged = at.0.cast_unsigned() / 8;
    let incarnation = name.as_str().bytes().fold(7, |all, byte| dice(&[all, u64::from(byte)]));
    [
        Record::Finished { operation: started.id, host, tasks: finished, at },
        Record::LedgerSeen {
            host: name,
            ledger: LedgerMark { incarnation, counter: acknowledged * 3 },
            acknowledged,
        },
    ]
}

/// The end of an operation.
pub(super) fn end(started: &Started, at: WallTime) -> Record {
    let slowest = (0..started.task_count().min(10)).map(|task| (task, 9_000 - u64::from(task))).collect();
    Record::Ended { operation: started.id, at, revision: 90, slowest }
}

/// A number that looks like any, and is the same for the same `of`.
pub(super) fn dice(of: &[u64]) -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for part in of {
        state = (state ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
    }
    state
}

/// The name of a host of the fleet.
pub(super) fn host(place: u64) -> anyhow::Result<HostName> {
    Ok(format!("host-{place:05}").parse()?)
}

fn target(host: u64, guest: u32) -> anyhow::Result<TargetGuest> {
    let (high, low) = (dice(&[4, host, u64::from(guest)]), dice(&[5, host, u64::from(guest)]));
    let id: GuestId = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        0x8000 | low >> 48 & 0x3FFF,
        low & 0xFFFF_FFFF_FFFF
    )
    .parse()?;
    Ok(TargetGuest { id, name: format!("desk-{host:05}-{guest:02}").into(), wave: 0 })
}

/// How a task ended: nearly always well, with one session.
fn verdict(started: &Started, task: u32) -> Verdict {
    let dice = dice(&[started.seed, u64::from(task)]);
    let result = |fate, why: &str| SessionResult {
        id: format!("c{}", dice >> 40 & 0xFF),
        user: format!("user-{}", (dice >> 8) % PEOPLE),
        fate,
        notices: 0,
        why: why.to_owned(),
    };
    let found = SessionCounts { found: 1, ..SessionCounts::default() };
    let ended = SessionCounts { ended: 1, ..found };
    match dice % 100 {
        0 => Verdict::new(
            Outcome::Failed,
            StatusCode::Unexpected,
            Reason::SessionsRemain,
            "1 session is still there; held by vim, sleep",
        )
        .with_sessions(
            SessionCounts { remaining: 1, ..found },
            vec![result(SessionFate::Remaining, "held by vim, sleep")],
        ),
        1 => Verdict::new(
            Outcome::TimedOut,
            StatusCode::TimedOut,
            Reason::GuestSilent,
            "the guest did not answer within 300 s",
        ),
        2 => Verdict::new(
            Outcome::NothingToDo,
            StatusCode::NoSuchLogonSession,
            Reason::NoSessions,
            "nobody was logged on",
        ),
        _ => Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "1 session ended")
            .with_sessions(ended, vec![result(SessionFate::Ended, "")]),
    }
}

//! What agents and controllers say comes back as it was said; an older peer's silence reads as nothing.

use super::*;
use curfew_types::{
    Drain, DrainFor, DrainOwner, DrainState, Logoff, Notice, SessionCounts, SessionFilter, Stage, WallTime,
};

fn mark(revision: u64) -> SafeguardsMark {
    SafeguardsMark { epoch: 3, revision }
}

fn safeguards() -> Safeguards {
    Safeguards {
        mark: mark(9),
        held: vec!["vm-1".parse().unwrap(), "vm-2".parse().unwrap()],
        protected_users: vec!["root".parse().unwrap(), "CORP\\svc-*".parse().unwrap()],
    }
}

fn order() -> Order {
    Order {
        operation: OperationId::from_number(7).unwrap(),
        epoch: 4,
        remaining_ms: 1,
        task_timeout_ms: 2,
        logoff: Logoff {
            sessions: SessionFilter { users: vec!["a*".parse().unwrap()], ..SessionFilter::default() },
            notice: Some(Notice { text: "go".into(), grace_ms: 5_000, repeat_ms: Some(1_000) }),
            force_after_ms: Some(7),
            drain: Some(DrainFor::Ms(60_000)),
        },
        required_capabilities: vec!["drain".into()],
        safeguards: mark(1),
        tasks: vec![OrderedTask { index: 5, guest: "vm-1".parse().unwrap() }],
    }
}

fn report() -> Report {
    let operation = OperationId::from_number(7).unwrap();
    let sessions = SessionCounts { excluded: 2, ..SessionCounts::default() };
    Report {
        progress: vec![TaskProgress { operation, index: 1, stage: Stage::Ending, sessions }],
        first_sequence: 8,
        findings: Vec::new(),
        ledger: LedgerMark { incarnation: 1, counter: 2 },
        safeguards: mark(2),
        drains: Some(vec![Drain {
            guest: "vm-1".parse().unwrap(),
            owner: DrainOwner::Operation(operation),
            until: WallTime(9),
            by: String::new(),
            reason: "patching".into(),
            state: DrainState::InForce,
            problem: String::new(),
        }]),
    }
}

fn hello() -> Hello {
    Hello {
        ledger: LedgerMark { incarnation: 1, counter: 2 },
        epoch_seen: 3,
        capabilities: Vec::new(),
        unfinished: report().progress,
        first_pending_sequence: 4,
        inventory_digest: 5,
        safeguards: mark(6),
        drains: report().drains.unwrap_or_default(),
    }
}

#[test]
fn what_is_said_comes_back_as_it_was_said() {
    assert_eq!(wire::Safeguards::from(safeguards()).try_into(), Ok(safeguards()));
    assert_eq!(wire::Order::from(order()).try_into(), Ok(order()));
    assert_eq!(wire::Report::from(report()).try_into(), Ok(report()));
    assert_eq!(wire::Hello::new(hello(), "h1", "1.0").try_into(), Ok(hello()));
    for only_unaccepted in [false, true] {
        let Order { operation, epoch, tasks, .. } = order();
        let cancel = Cancel { operation, epoch, tasks, only_unaccepted };
        assert_eq!(wire::Cancel::from(cancel.clone()).try_into(), Ok(cancel));
    }
}

#[test]
fn an_older_peer_has_no_safeguards() {
    let none = SafeguardsMark::default();
    let order: Order = wire::Order { safeguards: None, ..order().into() }.try_into().unwrap();
    let report: Report = wire::Report { safeguards: None, ..report().into() }.try_into().unwrap();
    let hello = wire::Hello { safeguards: None, ..wire::Hello::new(hello(), "h1", "1.0") };
    assert_eq!([order.safeguards, report.safeguards, Hello::try_from(hello).unwrap().safeguards], [none; 3]);
}

#[test]
fn held_guests_are_put_in_order_so_that_each_is_found() {
    let held_guest_ids = vec!["vm-3".into(), "vm-1".into(), "vm-2".into(), "vm-1".into()];
    let read =
        Safeguards::try_from(wire::Safeguards { held_guest_ids, ..wire::Safeguards::default() }).unwrap();
    assert_eq!(read.held.len(), 3);
    assert!(["vm-1", "vm-2", "vm-3"].iter().all(|guest| read.holds(&guest.parse().unwrap())));
}

#[test]
fn safeguards_that_are_too_many_or_cannot_be_read_are_refused_whole() {
    let whole = wire::Safeguards::from(safeguards());
    let too_many_held = vec!["vm-1".into(); HOLDS_MAX + 1];
    let too_many_users = vec!["root".into(); PROTECTED_USERS_MAX + 1];
    for (held_guest_ids, protected_users, field) in [
        (too_many_held, Vec::new(), "safeguards.held_guest_ids"),
        (vec![String::new()], Vec::new(), "safeguards.held_guest_ids"),
        (Vec::new(), too_many_users, "safeguards.protected_users"),
        (Vec::new(), vec![String::new()], "safeguards.protected_users"),
    ] {
        let said = wire::Safeguards { held_guest_ids, protected_users, ..whole.clone() };
        assert_eq!(Safeguards::try_from(said).unwrap_err().field, field);
    }
}

//! The claims about how operations stand, and about what protects the fleet from all of them.

use crate::build::{
    BEGIN, finish, finish_all, guest, operation_id, standing, start, started, steer, succeeded, verdict,
};
use crate::conformance::{Place, all_tasks, append, refusal};
use curfew_controller::store::{OperationQuery, Store};
use curfew_controller_core::record::{CancelScope, Freeze, Hold, ProtectedUser, Record, Started};
use curfew_types::agent::SafeguardsMark;
use curfew_types::amount::Amount;
use curfew_types::operation::{EventKind, Standing};
use curfew_types::{Budgets, OperationId, OperationState, Outcome, Reason};
use std::sync::Arc;

async fn state_of(store: &Arc<dyn Store>, id: OperationId) -> OperationState {
    store.operation(id).await.expect("an answer").expect("the operation").state
}

fn cancel(operation: OperationId) -> Record {
    let (by, reason) = ("bob".into(), String::new());
    Record::CancelRequested { operation, scope: CancelScope::Operation, by, reason, at: BEGIN }
}

pub(crate) async fn an_operation_stands_as_it_was_steered_last(place: &impl Place) {
    let mut operation = started(1, &[3]);
    operation.standing =
        Standing { approval_until: Some(BEGIN.plus(50)), ..standing(OperationState::AwaitingApproval) };
    let budgets =
        Budgets { failed: Some(Amount::Percent(5)), refused: Some(Amount::Number(2)), ..Budgets::default() };
    let running = Standing { approved_by: Some("dora".into()), wave: 0, ..Standing::running(budgets) };
    let halted =
        Standing { state: OperationState::Halted, why: "too much failed".into(), wave: 2, ..running.clone() };
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    assert_eq!(state_of(&store, operation.id).await, OperationState::AwaitingApproval);
    let approved = steer(operation.id, EventKind::Approved, &running, BEGIN.plus(1));
    let paused = steer(operation.id, EventKind::Paused, &standing(OperationState::Paused), BEGIN.plus(2));
    let resumed = steer(operation.id, EventKind::Resumed, &running, BEGIN.plus(3));
    let stopped = steer(operation.id, EventKind::Halted, &halted, BEGIN.plus(4));
    append(&store, std::slice::from_ref(&approved)).await;
    append(&store, std::slice::from_ref(&paused)).await;
    assert_eq!(state_of(&store, operation.id).await, OperationState::Paused);
    append(&store, &[resumed.clone(), stopped.clone()]).await;
    drop(store);

    let store = place.open().await;
    assert_eq!(state_of(&store, operation.id).await, OperationState::Halted);
    let recovered = store.load().await.expect("a load").operations.remove(0);
    assert_eq!(recovered.started, Started { standing: halted.clone(), ..operation.clone() });
    let told = [approved, paused, resumed, stopped].map(|record| match record {
        Record::Steered { event, .. } => event,
        other => panic!("{other:?}"),
    });
    assert_eq!(store.events(operation.id).await.expect("events"), told);
    assert_eq!(store.events(operation_id(9)).await.expect("events"), []);

    // What was cancelled stays so, whatever else is said of it.
    append(&store, &[cancel(operation.id)]).await;
    append(&store, &[steer(operation.id, EventKind::Resumed, &running, BEGIN.plus(5))]).await;
    assert_eq!(state_of(&store, operation.id).await, OperationState::Cancelling);
    append(&store, &finish_all(&operation, BEGIN.plus(6))).await;
    assert_eq!(state_of(&store, operation.id).await, OperationState::Ended);
    let again = [steer(operation.id, EventKind::Paused, &running, BEGIN.plus(7))];
    assert!(refusal(&store, &again).await.contains("has ended"));
    assert_eq!(store.events(operation.id).await.expect("events").len(), 5);
}

pub(crate) async fn unfinished_operations_are_found_in_every_state(place: &impl Place) {
    let states = [
        OperationState::Running,
        OperationState::Paused,
        OperationState::Halted,
        OperationState::AwaitingApproval,
    ];
    let store = place.open().await;
    for (number, state) in (1..).zip(states) {
        let mut operation = started(number, &[2]);
        operation.standing = standing(state);
        append(&store, &[start(&operation)]).await;
    }
    append(&store, &[start(&started(5, &[2])), cancel(operation_id(5))]).await;
    append(&store, &[start(&started(6, &[2]))]).await;
    append(&store, &finish_all(&started(6, &[2]), BEGIN)).await;
    drop(store);

    let store = place.open().await;
    let recovered = store.load().await.expect("a load").operations;
    let found: Vec<_> = recovered.iter().map(|operation| operation.started.id).collect();
    assert_eq!(found, [1, 2, 3, 4, 5].map(operation_id));
    let listed = states.into_iter().chain([OperationState::Cancelling, OperationState::Ended]);
    for (number, state) in (1..).zip(listed) {
        let query = OperationQuery { state: Some(state), before: None, limit: 10 };
        let page = store.operations(&query).await.expect("a page");
        let ids: Vec<_> = page.items.iter().map(|operation| operation.id).collect();
        assert_eq!(ids, [operation_id(number)], "{state:?}");
    }
    // Each of them goes on after the restart.
    for (number, state) in (1..).zip(states) {
        let operation = started(number, &[2]);
        append(&store, &finish(&operation, &[(1, succeeded())], BEGIN)).await;
        assert_eq!(state_of(&store, operation.id).await, state);
    }
    store.prune(BEGIN.plus(1_000_000)).await.expect("a pruning");
    assert_eq!(store.load().await.expect("a load").operations.len(), 5, "only what has ended is forgotten");
}

pub(crate) async fn an_operation_that_waits_gets_other_guests(place: &impl Place) {
    let mut operation = started(1, &[700, 20]);
    operation.standing = standing(OperationState::AwaitingApproval);
    let mut grown = started(1, &[300, 0, 5]);
    grown.standing = Standing { why: "5 guests came".into(), ..operation.standing.clone() };
    (grown.digest, grown.seed) = (77, 78);
    grown.deadline = operation.deadline.plus(9);
    let replanned = Record::Replanned(Box::new(grown.clone()));
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    append(&store, &[replanned.clone(), steer(operation.id, EventKind::SetGrew, &grown.standing, BEGIN)])
        .await;
    let shown = all_tasks(&store, operation.id).await;
    assert_eq!((shown.len(), &shown[304].guest, shown[304].wave), (305, &guest(2, 4), 1));
    let summary = store.operation(operation.id).await.expect("an answer").expect("the operation");
    assert_eq!((summary.task_count, summary.host_count, summary.digest, summary.seed), (305, 3, 77, 78));
    assert_eq!((summary.wave_sizes.as_slice(), summary.deadline), ([2, 303].as_slice(), grown.deadline));
    drop(store);

    let store = place.open().await;
    assert_eq!(store.load().await.expect("a load").operations[0].started, grown);
    // The old set had such a task, the new one has not.
    let past = finish(&operation, &[(400, succeeded())], BEGIN);
    assert!(refusal(&store, &past).await.contains("has no task 400"));
    append(&store, &finish_all(&grown, BEGIN)).await;
    assert_eq!(state_of(&store, operation.id).await, OperationState::Ended);
}

pub(crate) async fn an_operation_that_runs_keeps_its_guests(place: &impl Place) {
    let waiting = |number| {
        let mut operation = started(number, &[3]);
        operation.standing = standing(OperationState::AwaitingApproval);
        operation
    };
    let replan = |number| Record::Replanned(Box::new(waiting(number)));
    let approve =
        |number| steer(operation_id(number), EventKind::Approved, &standing(OperationState::Running), BEGIN);
    let store = place.open().await;
    append(&store, &[start(&waiting(1)), start(&waiting(2)), start(&waiting(3)), start(&started(4, &[3]))])
        .await;
    append(&store, &[approve(1), cancel(operation_id(2))]).await;
    append(&store, &finish(&waiting(3), &[(1, verdict(8))], BEGIN)).await;
    for (number, why) in [(1, "approved"), (2, "cancelled"), (3, "begun"), (4, "never waited")] {
        assert!(refusal(&store, &[replan(number)]).await.contains("for good"), "{why}");
    }
    assert!(refusal(&store, &[replan(5)]).await.contains("is unknown"));
    append(&store, &[start(&waiting(6))]).await;
    let turns = [
        vec![approve(6), replan(6)],
        vec![cancel(operation_id(6)), replan(6)],
        [finish(&waiting(6), &[(0, verdict(8))], BEGIN), vec![replan(6)]].concat(),
        vec![approve(6), replan(6), replan(6)],
    ];
    for turn in turns {
        assert!(refusal(&store, &turn).await.contains("for good"), "{turn:?}");
    }
    append(&store, &[replan(6), replan(6), approve(6)]).await;
    assert_eq!(state_of(&store, operation_id(6)).await, OperationState::Running);
}

pub(crate) async fn ended_tasks_are_counted_by_reason(place: &impl Place) {
    let operation = started(1, &[600]);
    let store = place.open().await;
    append(&store, &[start(&operation)]).await;
    for (from, to) in [(0, 300), (300, 301), (301, 500)] {
        let tasks: Vec<_> = (from..to)
            .map(|index| (index, if index % 100 == 0 { verdict(4) } else { succeeded() }))
            .collect();
        append(&store, &finish(&operation, &tasks, BEGIN)).await;
    }
    append(&store, &finish(&operation, &[(501, verdict(8)), (502, verdict(17))], BEGIN)).await;
    let summary = store.operation(operation.id).await.expect("an answer").expect("the operation");
    assert_eq!(
        summary.reasons,
        [
            (Outcome::Succeeded, Reason::SessionsEnded, 495),
            (Outcome::TimedOut, Reason::GuestSilent, 5),
            (Outcome::Skipped, Reason::DeadlineBeforeStart, 1),
            (Outcome::Skipped, Reason::NotRunningByChoice, 1),
        ]
    );
    assert_eq!(summary.wave_sizes, [1, 599]);
}

fn hold(number: u32, reason: &str) -> Hold {
    Hold {
        guest: guest(1, number),
        name: format!("vm-{number}"),
        by: "alice".into(),
        reason: reason.into(),
        since: BEGIN,
        until: number.is_multiple_of(2).then(|| BEGIN.plus(60)),
    }
}

fn protected(pattern: &str, by: &str) -> ProtectedUser {
    let pattern = pattern.parse().expect("a pattern");
    ProtectedUser { pattern, by: by.into(), reason: "on call".into(), since: BEGIN }
}

pub(crate) async fn safeguards_are_as_they_were_set_last(place: &impl Place) {
    let mark = |revision| SafeguardsMark { epoch: u64::MAX, revision };
    let freeze = Freeze { by: "alice".into(), reason: "storm".into(), since: BEGIN, hard: true };
    let store = place.open().await;
    let held = |number, reason, revision| Record::Held { hold: hold(number, reason), mark: mark(revision) };
    append(&store, &(0..200).map(|number| held(number, "a", 1)).collect::<Vec<_>>()).await;
    append(
        &store,
        &[
            held(3, "b", 2),
            Record::Released { guest: guest(1, 4), mark: mark(3) },
            Record::Released { guest: guest(1, 5), mark: mark(4) },
            held(5, "again", 5),
            held(999, "short", 6),
            Record::Released { guest: guest(1, 999), mark: mark(7) },
            Record::Protected { user: protected("svc-*", "alice"), mark: mark(8) },
            Record::Protected { user: protected("CORP\\bob", "alice"), mark: mark(9) },
            Record::FreezeChanged { freeze: Some(freeze.clone()) },
        ],
    )
    .await;
    append(
        &store,
        &[
            Record::Protected { user: protected("svc-*", "bob"), mark: mark(10) },
            Record::Unprotected { pattern: "CORP\\bob".parse().expect("a pattern"), mark: mark(11) },
        ],
    )
    .await;
    drop(store);

    let store = place.open().await;
    let recovered = store.load().await.expect("a load");
    let mut expected: Vec<Hold> =
        (0..200).filter(|number| *number != 4).map(|number| hold(number, "a")).collect();
    expected[3].reason = "b".into();
    expected[4].reason = "again".into();
    expected.sort_by(|a, b| a.guest.cmp(&b.guest));
    assert_eq!(recovered.holds, expected);
    assert_eq!(recovered.protected_users, [protected("svc-*", "bob")]);
    assert_eq!((recovered.safeguards, recovered.freeze), (mark(11), Some(freeze.clone())));

    let softer = Freeze { hard: false, by: "bob".into(), ..freeze };
    append(&store, &[Record::FreezeChanged { freeze: Some(softer.clone()) }]).await;
    assert_eq!(store.load().await.expect("a load").freeze, Some(softer));
    append(&store, &[Record::FreezeChanged { freeze: None }]).await;
    let after = store.load().await.expect("a load");
    assert_eq!((after.freeze, after.safeguards), (None, mark(11)));
}

pub(crate) async fn pruning_forgets_what_an_operation_went_through(place: &impl Place) {
    let operation = started(1, &[2]);
    let paused = steer(operation.id, EventKind::Paused, &standing(OperationState::Paused), BEGIN);
    let store = place.open().await;
    append(&store, &[start(&operation), paused]).await;
    append(&store, &finish_all(&operation, BEGIN)).await;
    assert_eq!(store.events(operation.id).await.expect("events").len(), 1);
    store.prune(BEGIN.plus(1)).await.expect("a pruning");
    assert_eq!(store.events(operation.id).await.expect("events"), []);
    // Should its id come back, it has no past.
    append(&store, &[start(&operation)]).await;
    let summary = store.operation(operation.id).await.expect("an answer").expect("the operation");
    assert_eq!((summary.reasons.len(), store.events(operation.id).await.expect("events").len()), (0, 0));
}

//! Hosts that come and go, and what a hello means.

use crate::bench::{Bench, hello, host, ledger, progress, succeeded, task};
use curfew_controller_core::record::Record;
use curfew_controller_core::{AttachError, Event};
use curfew_types::agent::Hello;
use curfew_types::{Outcome, Reason, Stage};

#[test]
fn a_second_stream_of_a_live_identity_is_refused_until_the_first_is_dead() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    assert_eq!(bench.attach_with("h1", &hello()), Err(AttachError::AlreadyAttached));
    bench.detach("h1", 1);
    assert!(bench.attach_with("h1", &hello()).is_ok());
}

#[test]
fn a_lost_or_rolled_back_ledger_makes_what_it_held_unknown_and_it_is_never_sent_again() {
    for after in [ledger(8, 50), ledger(7, 9)] {
        let mut bench = Bench::with(&[("h1", &["vm-1"])]);
        let operation = bench.start_all();
        bench.detach("h1", 1);
        bench.attach_with("h1", &Hello { ledger: after, ..hello() }).expect("attaches");
        assert!(bench.orders().is_empty());
        let verdict = bench.verdict(operation, "vm-1").expect("has ended");
        assert_eq!((verdict.outcome, verdict.reason), (Outcome::Unknown, Reason::LedgerLost));
    }
}

#[test]
fn what_was_never_handed_to_a_lost_ledger_still_starts() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    bench.detach("h1", 1);
    bench.start_all();
    bench.attach_with("h1", &Hello { ledger: ledger(8, 1), ..hello() }).expect("attaches");
    assert_eq!(bench.ordered(), ["vm-1"]);
}

#[test]
fn a_new_ledger_is_believed_from_its_first_finding_on() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.detach("h1", 1);
    let operation = bench.start_all();
    bench.attach_with("h1", &Hello { ledger: ledger(8, 1), ..hello() }).expect("attaches");
    let session = bench.last_session();
    bench.find(session, 1, task(operation, 0), succeeded());
    assert_eq!(bench.verdict(operation, "vm-1"), Some(succeeded()));
}

#[test]
fn an_epoch_that_a_forgotten_controller_has_used_is_not_used_again() {
    let mut bench = Bench::with(&[("h1", &["a"])]);
    let epoch = bench.core.epoch();
    let welcome = bench.attach_with("h2", &Hello { epoch_seen: epoch, ..hello() }).expect("attaches");
    assert_eq!(welcome.epoch, epoch + 1, "nobody here has told it of this epoch");
    bench.detach("h2", bench.last_session());
    let welcome = bench.attach_with("h2", &Hello { epoch_seen: epoch + 1, ..hello() }).expect("attaches");
    assert_eq!(welcome.epoch, epoch + 1, "of this one it was told here");
}

#[test]
fn a_controller_behind_its_agents_goes_above_their_epoch_and_says_so() {
    let mut bench = Bench::new();
    let welcome = bench.attach_with("h1", &Hello { epoch_seen: 9, ..hello() }).expect("attaches");
    assert_eq!(welcome.epoch, 10);
    assert!(bench.records().contains(&Record::EpochRaised { epoch: 10 }));
    assert!(
        bench
            .actions
            .iter()
            .any(|action| matches!(action, curfew_controller_core::Action::Note { warn: true, .. }))
    );
}

#[test]
fn the_welcome_tells_an_agent_nothing_that_only_memory_holds() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.handle(Event::StoreAway);
    bench.find(1, 1, task(operation, 0), succeeded());
    bench.detach("h1", 1);
    let welcome = bench.attach_with("h1", &Hello { ledger: ledger(7, 11), ..hello() }).expect("attaches");
    assert_eq!(welcome.acknowledged_sequence, 0, "the finding is not on disk");
    assert_eq!(bench.acknowledged(), Some(1));
    assert!(bench.frames().iter().all(|(_, _, urgent)| !urgent), "what follows waits for the store");
}

#[test]
fn a_task_that_an_older_store_does_not_know_as_handed_is_remembered_and_ends_in_time() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    bench.detach("h1", 1);
    let operation = bench.start_all();
    let unfinished = vec![progress(task(operation, 0), Stage::Ending)];
    bench.attach_with("h1", &Hello { unfinished, epoch_seen: 9, ..hello() }).expect("attaches");
    assert!(bench.records().iter().any(|record| matches!(record, Record::Handed { .. })));
    assert!(bench.orders().is_empty());
    let order_ms = 2 * curfew_types::operation::TASK_TIMEOUT_DEFAULT_MS + 10_000 + 15_000;
    bench.pass(order_ms);
    assert_eq!(bench.verdict(operation, "vm-1").expect("has ended").outcome, Outcome::Unknown);
}

#[test]
fn an_agent_is_asked_for_its_inventory_only_if_it_has_changed() {
    let mut bench = Bench::new();
    assert!(bench.attach_with("h1", &hello()).expect("attaches").send_inventory);
    bench.inventory("h1", Vec::new());
    bench.detach("h1", 1);
    assert!(!bench.attach_with("h1", &hello()).expect("attaches").send_inventory);
    bench.detach("h1", 2);
    let changed = Hello { inventory_digest: 2, ..hello() };
    assert!(bench.attach_with("h1", &changed).expect("attaches").send_inventory);
    assert!(bench.core.host(&host("h1")).expect("known").connected);
}

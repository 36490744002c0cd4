//! Ledger marks that are folded while hosts come and go, beside a map that says the same.

use super::super::marks::Marks;
use super::{SqliteStore, open, place};
use crate::store::Store;
use curfew_controller_core::record::Record;
use curfew_types::agent::LedgerMark;
use curfew_types::{HostName, WallTime};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// What may happen to a host.
#[derive(Clone, Debug)]
enum Step {
    Said(usize),
    Seen(usize),
    Removed(usize),
    /// Everything since the last turn is appended.
    Turn,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let host = || 0_usize..12;
    prop_oneof![
        8 => host().prop_map(Step::Said),
        2 => host().prop_map(Step::Seen),
        1 => host().prop_map(Step::Removed),
        6 => Just(Step::Turn),
        1 => Just(Step::Restart),
    ]
}

fn host(number: usize) -> HostName {
    format!("host-{number}").parse().expect("a name")
}

/// A store that folds once there are more than a few rows.
async fn open_folding(file: &Path) -> SqliteStore {
    let store = open(file).await;
    let mut writer = store.writer.lock().await;
    let mut connection = writer.take().await.expect("the connection");
    let mut marks = Marks::read(&mut connection).await.expect("the marks");
    (marks.rows_max, marks.marks_max) = (3, 20);
    writer.marks = Some(marks);
    writer.put_back(connection);
    drop(writer);
    store
}

type Known = BTreeMap<HostName, (Option<LedgerMark>, u64)>;

async fn known(store: &SqliteStore) -> Known {
    let hosts = store.load().await.expect("a load").hosts;
    hosts.into_iter().map(|host| (host.name, (host.ledger, host.acknowledged))).collect()
}

async fn rows(store: &SqliteStore) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM ledger_marks");
    count.fetch_one(&store.readers).await.expect("a count")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_hosts_ledger_is_as_it_was_told_last_however_often_rows_are_folded(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let (_directory, file) = place();
            let mut store = open_folding(&file).await;
            let mut expected = Known::new();
            let mut turn = Vec::new();
            for (step, number) in steps.iter().chain([&Step::Turn, &Step::Restart]).zip(1_u64..) {
                match step {
                    Step::Said(of) => {
                        let (host, ledger) = (host(*of), LedgerMark { incarnation: u64::MAX, counter: number });
                        expected.insert(host.clone(), (Some(ledger), number));
                        turn.push(Record::LedgerSeen { host, ledger, acknowledged: number });
                    }
                    Step::Seen(of) => {
                        expected.entry(host(*of)).or_default();
                        turn.push(Record::HostSeen { host: host(*of), at: WallTime(5), version: "1".into() });
                    }
                    Step::Removed(of) => {
                        expected.remove(&host(*of));
                        turn.push(Record::HostRemoved { host: host(*of) });
                    }
                    Step::Turn => {
                        store.append(&std::mem::take(&mut turn)).await.expect("an append");
                        assert!(rows(&store).await <= 4, "there are few rows");
                        assert_eq!(known(&store).await, expected);
                    }
                    Step::Restart => {
                        store.append(&std::mem::take(&mut turn)).await.expect("an append");
                        drop(store);
                        store = open_folding(&file).await;
                        assert_eq!(known(&store).await, expected);
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn marks_of_a_turn_that_was_refused_are_not_remembered() {
    let (_directory, file) = place();
    let store = open_folding(&file).await;
    let said = |of, counter| Record::LedgerSeen {
        host: host(of),
        ledger: LedgerMark { incarnation: 1, counter },
        acknowledged: counter,
    };
    store.append(&[Record::EpochRaised { epoch: 5 }, said(1, 1)]).await.expect("an append");
    let refused = [said(1, 2), said(2, 2), super::finish(1, 0..1)];
    store.append(&refused).await.expect_err("an unknown operation");
    store.append(&[said(3, 3)]).await.expect("an append");
    let known = known(&store).await;
    let counters: Vec<_> = known.values().map(|(_, acknowledged)| *acknowledged).collect();
    assert_eq!((known.len(), counters), (2, vec![1, 3]));
}

//! What every store must do, shown of the one in SQLite: the claims are in `store/`, and know no implementation.

#[path = "store/build.rs"]
mod build;
#[path = "store/conformance.rs"]
mod conformance;
#[path = "store/fleet.rs"]
mod fleet;
#[path = "store/history.rs"]
mod history;
#[path = "store/killed.rs"]
mod killed;
#[path = "store/model.rs"]
mod model;
#[path = "store/random.rs"]
mod random;
#[path = "store/steering.rs"]
mod steering;

use async_trait::async_trait;
use conformance::Place;
use curfew_controller::store::{SqliteStore, Store};
use curfew_controller_core::record::Started;
use curfew_types::WallTime;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A directory with a database in it.
struct Sqlite(TempDir);

impl Sqlite {
    fn new() -> Sqlite {
        Sqlite(TempDir::new().expect("a directory"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("curfew.db")
    }
}

#[async_trait]
impl Place for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.file()).await.expect("a store"))
    }
}

macro_rules! sqlite_conforms {
    ($($module:ident::$claim:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $claim() {
            $module::$claim(&Sqlite::new()).await;
        }
    )+};
}

sqlite_conforms!(
    conformance::a_new_store_is_empty,
    conformance::what_was_appended_is_there_after_reopening,
    conformance::a_batch_is_all_or_nothing,
    conformance::a_second_outcome_is_refused,
    conformance::an_operation_cannot_end_with_tasks_open,
    conformance::records_about_what_is_not_there_are_refused,
    history::a_page_of_tasks_continues_where_the_last_ended,
    history::a_page_of_operations_continues_where_the_last_ended,
    history::tasks_are_found_by_outcome,
    history::an_operation_is_found_by_its_request_id,
    conformance::recovery_returns_exactly_the_unfinished_operations,
    conformance::late_findings_stand_beside_the_outcome,
    conformance::late_news_of_what_is_unknown_is_left_out,
    history::pruning_leaves_unfinished_operations_alone,
    fleet::the_fleet_is_as_it_was_told_last,
    fleet::a_removed_host_is_forgotten_with_its_ledger,
    fleet::the_epoch_never_goes_back,
    fleet::the_clocks_frame_that_was_set_last_is_kept,
    history::appends_go_on_while_history_is_pruned,
    history::what_has_ended_reads_the_same_after_pruning,
    steering::an_operation_stands_as_it_was_steered_last,
    steering::unfinished_operations_are_found_in_every_state,
    steering::an_operation_that_waits_gets_other_guests,
    steering::an_operation_that_runs_keeps_its_guests,
    steering::ended_tasks_are_counted_by_reason,
    steering::safeguards_are_as_they_were_set_last,
    steering::pruning_forgets_what_an_operation_went_through,
);

#[test]
fn counters_equal_what_a_recount_says() {
    random::the_store_agrees_with_the_model(Sqlite::new);
}

#[tokio::test]
async fn history_is_forgotten_once_it_is_older_than_it_is_kept() {
    let place = Sqlite::new();
    let store = place.open().await;
    let (old, new) = (build::started(1, &[3]), build::started(2, &[3]));
    let ended =
        |operation: &Started, at| [vec![build::start(operation)], build::finish_all(operation, at)].concat();
    store.append(&ended(&old, WallTime(1))).await.expect("an append");
    store.append(&ended(&new, curfew_controller::clock::now().wall)).await.expect("an append");
    let day = Duration::from_secs(24 * 60 * 60);
    let keeping = tokio::spawn(curfew_controller::history::keep(store.clone(), day));
    while store.operation(old.id).await.expect("an answer").is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(store.operation(new.id).await.expect("an answer").is_some());
    keeping.abort();
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_acknowledged() {
    let place = Sqlite::new();
    killed::nothing_acknowledged_is_lost(&place, &place.file()).await;
}

/// Not a test of its own: the process that the one above kills.
#[tokio::test]
#[ignore = "run by a_killed_writer_loses_nothing_acknowledged in a process of its own"]
async fn the_writer_that_is_killed() {
    if let Some(file) = killed::file_of_the_writer() {
        killed::append_for_ever(&SqliteStore::open(&file).await.expect("a store")).await;
    }
}

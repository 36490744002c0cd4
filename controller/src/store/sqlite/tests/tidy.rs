//! What is left of an operation's journal once it has ended.

use super::{SqliteStore, finish, finished, open, place, start, started};
use crate::store::Store;
use curfew_controller_core::record::Record;
use curfew_types::WallTime;

async fn rows(store: &SqliteStore, number: u64) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM journal WHERE operation = ?");
    let id = started(number, 0).id.number().cast_signed();
    count.bind(id).fetch_one(&store.readers).await.expect("a count")
}

async fn start_and_finish(store: &SqliteStore, number: u64, tasks: u32) {
    store.append(&[start(number, tasks)]).await.expect("an append");
    for from in (0..tasks).step_by(25) {
        store.append(&[finish(number, from..tasks.min(from + 25))]).await.expect("an append");
    }
}

fn end(number: u64) -> Record {
    let operation = started(number, 0).id;
    Record::Ended { operation, at: WallTime(9), revision: 1, slowest: Vec::new() }
}

#[tokio::test]
async fn an_operation_that_has_ended_keeps_one_row_for_a_chunk() {
    let (_directory, file) = place();
    let store = open(&file).await;
    start_and_finish(&store, 1, 20_000).await;
    start_and_finish(&store, 2, 600).await;
    store.append(&[end(1)]).await.expect("an append");
    let running = rows(&store, 2).await;
    assert!(rows(&store, 1).await > 800);
    store.prune(WallTime(0)).await.expect("a pruning");
    assert_eq!((rows(&store, 1).await, finished(&store, 1).await), (79, 20_000));
    assert_eq!(rows(&store, 2).await, running, "what runs is left alone");
    store.append(&[end(2)]).await.expect("an append");
    store.prune(WallTime(0)).await.expect("a pruning");
    assert_eq!((rows(&store, 2).await, finished(&store, 2).await), (3, 600));
}

#[tokio::test]
async fn tidying_up_that_was_dropped_half_way_is_gone_on_with() {
    let (_directory, file) = place();
    let store = open(&file).await;
    start_and_finish(&store, 1, 20_000).await;
    store.append(&[end(1)]).await.expect("an append");
    let mut rows_before = rows(&store, 1).await;
    for polls in 1..60 {
        let mut prune = Box::pin(store.prune(WallTime(0)));
        for _ in 0..polls {
            if futures::poll!(&mut prune).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(prune);
        let left = rows(&store, 1).await;
        assert!(left <= rows_before, "{left} after {rows_before}");
        rows_before = left;
    }
    store.prune(WallTime(0)).await.expect("a pruning");
    assert_eq!((rows(&store, 1).await, finished(&store, 1).await), (79, 20_000));
    let again = store.append(&[finish(1, 7..8)]).await;
    assert!(again.is_err(), "it has ended");
}

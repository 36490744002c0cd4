//! What commits write is moved from the log into the database beside them.

use super::{open, place, start};
use crate::store::Store;
use std::time::Duration;

#[tokio::test]
async fn what_is_appended_is_moved_into_the_database_while_nobody_commits() {
    let (_directory, file) = place();
    let store = open(&file).await;
    let length = || std::fs::metadata(&file).expect("the database").len();
    let before = length();
    // Far more than the database has room for, and far less than what a commit moves by itself.
    store.append(&[start(1, 50_000)]).await.expect("an append");
    let moved = async {
        while length() == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), moved).await.expect("the log is never moved");
    store.close().await;
    let mut log = file.into_os_string();
    log.push("-wal");
    assert!(!std::path::Path::new(&log).exists(), "a store that was closed leaves its log behind");
}

//! Forgets operations that ended long ago, once at the start and then every day.

use crate::clock;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// How often: what is a day too old has waited long enough.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon again after the store was away.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// Keeps the history no longer than `keep`, for as long as it is polled.
pub async fn keep(store: Arc<dyn Store>, keep: Duration) {
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    loop {
        let mut before = clock::now().wall;
        before.0 = before.0.saturating_sub(keep_ms);
        let pause = match store.prune(before).await {
            Ok(pruned) => {
                let (operations, tasks) = (pruned.operations, pruned.tasks);
                tracing::info!(
                    operations,
                    tasks,
                    "history older than {} days is forgotten",
                    keep.as_secs() / 86_400
                );
                EVERY
            }
            Err(error) => {
                tracing::warn!("old history could not be forgotten, trying again in an hour: {error}");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

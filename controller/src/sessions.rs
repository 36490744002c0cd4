//! Live session queries: which call waits for which agent's answers.

use curfew_proto::agent::v1::SessionsAnswer;
use curfew_types::HostName;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Answers that wait for a slow client before the agents' streams are read no further for them: a screenful of
/// guests many times over.
const ANSWER_QUEUE: usize = 1024;

/// The queries that are out.
#[derive(Debug, Default)]
pub struct Queries {
    next: AtomicU64,
    open: Mutex<HashMap<u64, mpsc::Sender<(HostName, SessionsAnswer)>>>,
}

/// One query; forgotten when dropped.
#[derive(Debug)]
pub struct Query<'a> {
    queries: &'a Queries,
    /// Its number on the agents' wire.
    pub number: u64,
    /// The answers, with the host that gave each.
    pub answers: mpsc::Receiver<(HostName, SessionsAnswer)>,
}

impl Queries {
    /// Opens a query.
    pub fn open(&self) -> Query<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (tx, answers) = mpsc::channel(ANSWER_QUEUE);
        self.lock().insert(number, tx);
        Query { queries: self, number, answers }
    }

    /// Brings an agent's answer to who asked. A late answer, or one that is too many, is dropped: its guest shows
    /// as not answered.
    pub fn answer(&self, host: &HostName, answer: SessionsAnswer) {
        if let Some(tx) = self.lock().get(&answer.query) {
            let _ = tx.try_send((host.clone(), answer));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, mpsc::Sender<(HostName, SessionsAnswer)>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Query<'_> {
    fn drop(&mut self) {
        self.queries.lock().remove(&self.number);
    }
}

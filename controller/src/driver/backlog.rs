//! Turns that could not be stored, in order, until the store is back.

use super::turn::Turn;
use curfew_types::OperationId;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The turns that wait.
#[derive(Default)]
pub(super) struct Backlog {
    turns: VecDeque<Turn>,
    records: usize,
    retry_at: Option<Instant>,
    /// Operations whose changes are stored, but not all that memory shows of them; empties when the store is back.
    pub(super) unpublished: Vec<OperationId>,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// How many records wait.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn push(&mut self, turn: Turn) {
        self.records += turn.records.len();
        self.turns.push_back(turn);
        if self.retry_at.is_none() {
            self.retry_in(super::STORE_RETRY);
        }
    }

    pub(super) fn front(&self) -> Option<&Turn> {
        self.turns.front()
    }

    pub(super) fn pop(&mut self) -> Option<Turn> {
        let turn = self.turns.pop_front()?;
        self.records -= turn.records.len();
        if self.turns.is_empty() {
            self.retry_at = None;
        }
        Some(turn)
    }

    /// Whether it is time to try the store again.
    pub(super) fn is_due(&self) -> bool {
        self.retry_at.is_none_or(|at| at <= Instant::now())
    }

    pub(super) fn retry_in(&mut self, pause: Duration) {
        self.retry_at = Some(Instant::now() + pause);
    }
}

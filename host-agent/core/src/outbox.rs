//! Findings that the controller has not stored yet: kept, numbered without gaps, said again until acknowledged.

use curfew_types::agent::Finding;
use std::collections::VecDeque;

/// Most findings in one report: about 300 bytes each, far below the message limit of 4 MiB.
const REPORT_MAX: usize = 1000;

/// The outbox.
#[derive(Debug)]
pub(crate) struct Outbox {
    findings: VecDeque<Finding>,
    /// The number of the first of `findings`.
    first: u64,
    /// The number of the next finding to send on this stream.
    next_to_send: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox { findings: VecDeque::new(), first: 1, next_to_send: 1 }
    }
}

impl Outbox {
    /// An empty outbox that goes on counting at `next`.
    pub(crate) fn starting_at(next: u64) -> Outbox {
        Outbox { findings: VecDeque::new(), first: next, next_to_send: next }
    }

    /// The number that the next finding gets.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.first + self.findings.len() as u64
    }

    /// The number of the oldest finding kept, or of the next one.
    pub(crate) fn first_pending(&self) -> u64 {
        self.first
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        self.findings.push_back(finding);
    }

    /// Whether a finding that is not late news waits for this task.
    pub(crate) fn holds_outcome(&self, operation: curfew_types::OperationId, index: u32) -> bool {
        self.findings
            .iter()
            .any(|finding| !finding.late && finding.operation == operation && finding.index == index)
    }

    /// Drops what is stored; tells whether anything was.
    pub(crate) fn acknowledge(&mut self, sequence: u64) -> bool {
        let before = self.first;
        while self.first <= sequence && self.findings.pop_front().is_some() {
            self.first += 1;
        }
        self.next_to_send = self.next_to_send.max(self.first);
        self.first > before
    }

    /// Everything kept is to be sent again.
    pub(crate) fn rewind(&mut self) {
        self.next_to_send = self.first;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.next_to_send < self.next_sequence()
    }

    /// The next findings to send, with the number of the first of them.
    pub(crate) fn take_unsent(&mut self) -> (u64, Vec<Finding>) {
        let first = self.next_to_send;
        let skip = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        let batch: Vec<Finding> = self.findings.iter().skip(skip).take(REPORT_MAX).cloned().collect();
        self.next_to_send += batch.len() as u64;
        (first, batch)
    }

    /// What is kept, with numbers.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, &Finding)> {
        (self.first..).zip(&self.findings)
    }
}

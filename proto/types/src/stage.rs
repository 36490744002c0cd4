//! The stages of a task's life and the fixed share of the percentage that each stands for.

use serde::{Deserialize, Serialize};

/// How far a task has come. The order of the variants is the order of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Waiting for its turn, for its host, or for another operation's task of the same guest.
    Queued,
    /// Handed to the host's stream, after that was marked durably.
    Ordered,
    /// In the agent's ledger.
    Accepted,
    /// Users are warned; grace runs.
    Warning,
    /// Sessions are asked to end.
    Ending,
    /// What did not go is killed.
    Forcing,
    /// Looking again whether they are gone.
    Verifying,
    /// It has its outcome.
    Done,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 8] = [
        Stage::Queued,
        Stage::Ordered,
        Stage::Accepted,
        Stage::Warning,
        Stage::Ending,
        Stage::Forcing,
        Stage::Verifying,
        Stage::Done,
    ];

    /// `PercentCompleted` at this stage: fixed shares, 100 only when terminal, so it never goes back.
    pub fn percent(self) -> u32 {
        match self {
            Stage::Queued => 0,
            Stage::Ordered => 5,
            Stage::Accepted => 10,
            Stage::Warning => 20,
            Stage::Ending => 50,
            Stage::Forcing => 70,
            Stage::Verifying => 85,
            Stage::Done => 100,
        }
    }

    /// The word used in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Ordered => "ordered",
            Stage::Accepted => "accepted",
            Stage::Warning => "warning",
            Stage::Ending => "ending",
            Stage::Forcing => "forcing",
            Stage::Verifying => "verifying",
            Stage::Done => "done",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_grows_with_the_stage_and_is_full_only_at_the_end() {
        for pair in Stage::ALL.windows(2) {
            assert!(pair[0].percent() < pair[1].percent());
        }
        assert_eq!(Stage::ALL.map(Stage::percent).iter().filter(|p| **p == 100).count(), 1);
    }
}

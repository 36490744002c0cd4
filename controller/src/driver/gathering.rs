//! What agents bring, gathered for a moment: while reports pour in, one commit serves all that came within it.

use super::FromAgent;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Least time between the beginnings of two turns that only agents asked for, and how long the first report after a
/// quiet moment waits for others that are due. No outcome waits longer than this for its turn, and what people ask for
/// never waits.
const GATHER: Duration = Duration::from_millis(20);
/// The same while [`MANY`] guests have tasks, since each commit touches most of what the next one will. An outcome may wait
/// 50 ms for company, and the timer is a millisecond late.
const GATHER_MANY: Duration = Duration::from_millis(48);
/// Far more than any turn brings, so that nobody can tell how long single ones waited.
const MANY: usize = 5_000;

/// The agents' queue, and when its next turn may begin.
pub(super) struct Gathering {
    queue: mpsc::Receiver<FromAgent>,
    /// Received, and not taken yet.
    first: Option<FromAgent>,
    /// How long it gathers, as of the last turn.
    gather: Duration,
    until: Instant,
}

impl Gathering {
    pub(super) fn of(queue: mpsc::Receiver<FromAgent>) -> Gathering {
        Gathering { queue, first: None, gather: GATHER, until: Instant::now() }
    }

    /// A turn begins now, with tasks of so many guests under way: the next waits for company.
    pub(super) fn turn_begins(&mut self, under_way: usize) {
        self.gather = if under_way < MANY { GATHER } else { GATHER_MANY };
        self.until = Instant::now() + self.gather;
    }

    /// Resolves when agents have brought something and it has waited for company; `false` when nothing comes any more.
    /// `is_alone` tells whether there is no company to wait for. May be cancelled: what was received is kept.
    pub(super) async fn ready(&mut self, is_alone: impl Fn(&FromAgent) -> bool) -> bool {
        if self.first.is_none() {
            // Where something is there already, others had the time to come.
            self.first = self.queue.try_recv().ok();
        }
        if self.first.is_none() {
            let Some(first) = self.queue.recv().await else { return false };
            if self.until <= Instant::now() && !is_alone(&first) {
                self.until = Instant::now() + self.gather;
            }
            self.first = Some(first);
        }
        if self.until > Instant::now() {
            sleep_until(self.until).await;
        }
        true
    }

    /// The next of what has come in.
    pub(super) fn take(&mut self) -> Option<FromAgent> {
        self.first.take().or_else(|| self.queue.try_recv().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_controller_core::Event;
    use curfew_types::HostName;

    fn input(session: u64) -> FromAgent {
        let host: HostName = "host-1".parse().expect("a name");
        FromAgent::Event(Event::Detached { host, session })
    }

    fn session(input: Option<FromAgent>) -> Option<u64> {
        match input {
            Some(FromAgent::Event(Event::Detached { session, .. })) => Some(session),
            _ => None,
        }
    }

    async fn waited(gathering: &mut Gathering, is_alone: bool) -> Duration {
        let began = Instant::now();
        assert!(gathering.ready(|_| is_alone).await, "something comes");
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_after_a_quiet_moment_waits_for_company_only_if_some_is_due() {
        let (tx, queue) = mpsc::channel(8);
        let mut gathering = Gathering::of(queue);
        for (is_alone, waits) in [(true, Duration::ZERO), (false, GATHER)] {
            tokio::time::advance(GATHER * 10).await;
            let first = async {
                tokio::task::yield_now().await;
                tx.send(input(1)).await.expect("room");
            };
            let (elapsed, ()) = tokio::join!(waited(&mut gathering, is_alone), first);
            assert_eq!(elapsed, waits, "alone: {is_alone}");
            assert_eq!([session(gathering.take()), session(gathering.take())], [Some(1), None]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_while_the_last_turn_was_young_waits_until_it_is_not() {
        let (tx, queue) = mpsc::channel(8);
        let mut gathering = Gathering::of(queue);
        gathering.turn_begins(1);
        tx.send(input(1)).await.expect("room");
        tokio::time::advance(GATHER / 4).await;
        assert_eq!(waited(&mut gathering, false).await, GATHER - GATHER / 4, "no longer than it takes");
        assert_eq!(session(gathering.take()), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn while_thousands_of_guests_have_tasks_a_turn_waits_for_more_company() {
        let (tx, queue) = mpsc::channel(8);
        let mut gathering = Gathering::of(queue);
        for (under_way, waits) in [(MANY, GATHER_MANY), (MANY - 1, GATHER)] {
            gathering.turn_begins(under_way);
            tx.send(input(1)).await.expect("room");
            assert_eq!(waited(&mut gathering, false).await, waits);
            assert_eq!(session(gathering.take()), Some(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_received_is_kept_when_the_wait_is_given_up() {
        let (tx, queue) = mpsc::channel(8);
        let mut gathering = Gathering::of(queue);
        tx.send(input(1)).await.expect("room");
        tx.send(input(2)).await.expect("room");
        gathering.turn_begins(1);
        for _ in 0..3 {
            let given_up = tokio::time::timeout(GATHER / 8, gathering.ready(|_| false)).await;
            assert!(given_up.is_err(), "its time has not come");
        }
        assert!(gathering.ready(|_| false).await);
        let taken = [session(gathering.take()), session(gathering.take()), session(gathering.take())];
        assert_eq!(taken, [Some(1), Some(2), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_requested_meanwhile_finds_the_first_of_the_quiet_moment_too() {
        let (tx, queue) = mpsc::channel(8);
        let mut gathering = Gathering::of(queue);
        tokio::time::advance(GATHER * 10).await;
        let sender = async {
            tokio::task::yield_now().await;
            tx.send(input(7)).await.expect("room");
        };
        let request = tokio::time::timeout(GATHER / 2, gathering.ready(|_| false));
        let (given_up, ()) = tokio::join!(request, sender);
        assert!(given_up.is_err(), "it waits for company");
        assert_eq!(session(gathering.take()), Some(7), "a turn that begins anyhow takes it along");
    }

    #[tokio::test]
    async fn nothing_is_ready_once_nobody_can_bring_anything() {
        let (tx, queue) = mpsc::channel(1);
        drop(tx);
        assert!(!Gathering::of(queue).ready(|_| true).await);
    }
}

//! What operators ask for: operations with all they may say, and what they do about them, soon after or later.

use super::Draw;
use crate::guest::PATTERNS;
use crate::plan::{Approver, Asked, CrashPoint, Expectation, Label, Planned, Wanted};
use curfew_types::{Amount, BetweenWaves, Budgets, NotRunning};

/// Events by time.
type Events = Vec<(u64, Planned)>;

impl Draw {
    pub(super) fn asked(&mut self) -> Asked {
        let wanted = match self.rng.place(6) {
            0 => Wanted::Host(self.host()),
            1 => Wanted::Guests((0..self.rng.between(1, 4)).map(|_| self.guest()).collect()),
            2 => Wanted::Labelled,
            3 => Wanted::AllBut(self.guest()),
            _ => Wanted::All,
        };
        Asked {
            wanted,
            max_in_flight: self.max_in_flight(),
            waves: self.waves(),
            between: self.between(),
            wave_seed: if self.rng.chance(30) { Some(self.rng.between(0, 9)) } else { None },
            max_per_host: self.rng.pick(&[None, None, None, Some(1), Some(2)]),
            max_per_rack: self.rng.pick(&[None, None, Some(1), Some(2)]),
            budgets: self.budgets(),
            expectation: self.expectation(),
            task_timeout_ms: self.rng.pick(&[1_000, 3_000, 8_000, 20_000, 40_000]),
            deliver_within_ms: self.rng.pick(&[1_000, 10_000, 30_000, 60_000, 400_000]),
            deadline_ms: self.rng.pick(&[2_000, 15_000, 40_000, 90_000, 200_000]),
            not_running: self.rng.pick(&[NotRunning::Skip, NotRunning::Refuse]),
            with_request_id: self.rng.chance(50),
            logoff: self.logoff(),
        }
    }

    fn max_in_flight(&mut self) -> Option<Amount> {
        match self.rng.place(7) {
            0 => Some(Amount::Percent(self.rng.pick(&[1, 10, 34, 50, 100]))),
            1 => Some(Amount::Number(1)),
            2 => Some(Amount::Number(2)),
            3 => Some(Amount::Number(3)),
            _ => None,
        }
    }

    fn waves(&mut self) -> Vec<Amount> {
        match self.rng.place(6) {
            0 => vec![Amount::Number(1)],
            1 => vec![Amount::Number(1), Amount::Percent(50)],
            2 => vec![Amount::Percent(25), Amount::Number(3), Amount::Percent(100)],
            _ => Vec::new(),
        }
    }

    fn between(&mut self) -> BetweenWaves {
        match self.rng.place(5) {
            0 | 1 => BetweenWaves::Nothing,
            2 | 3 => BetweenWaves::Pause(self.rng.pick(&[1_000, 5_000, 20_000])),
            _ => BetweenWaves::Promotion,
        }
    }

    /// Most of them none, or so that they are spent at once.
    fn budgets(&mut self) -> Budgets {
        if self.rng.chance(50) {
            return Budgets::default();
        }
        let mut one = || {
            let share = Amount::Percent(self.rng.pick(&[0, 10, 30]));
            let number = Amount::Number(self.rng.pick(&[0, 0, 1]));
            self.rng.pick(&[None, Some(number), Some(share)])
        };
        Budgets { failed: one(), timed_out: one(), unreachable: one(), refused: one() }
    }

    fn expectation(&mut self) -> Expectation {
        match self.rng.place(10) {
            0 => Expectation::Outdated,
            1 | 2 => Expectation::AsPreviewed,
            _ => Expectation::None,
        }
    }

    fn soon(&mut self, at: u64) -> u64 {
        // Orders are on their way for some milliseconds, and sessions take a second or two to end.
        at + if self.rng.chance(60) { self.rng.between(1, 800) } else { self.rng.between(1, 5_000) }
    }

    fn later(&mut self, at: u64) -> u64 {
        at + self.rng.between(1_000, 40_000)
    }

    /// What follows a start: somebody approves it, promotes it, or thinks again while orders are on their way and
    /// sessions are being ended.
    pub(super) fn consequences(&mut self, at: u64, events: &mut Events) {
        let needs_approval = self.approval.above_guests.is_some() || self.approval.above_percent.is_some();
        let mut at = at;
        if needs_approval {
            for _ in 0..self.rng.between(0, 3) {
                at = self.soon(at);
                let what = if self.rng.chance(6) { Planned::Reject { nth: 0 } } else { self.approve(0) };
                events.push((at, what));
            }
        }
        for _ in 0..self.rng.place(3) {
            events.push((self.later(at), Planned::Promote { nth: 0, wave: 0 }));
        }
        if self.rng.chance(15) {
            events.push((self.later(at), Planned::Resume { nth: 0, larger: self.rng.chance(70) }));
        }
        for _ in 0..self.rng.place(5) {
            // People come, go and return while they are told to leave and logged off.
            let what = match self.rng.place(6) {
                0 => Planned::EverybodyChanges { goes_away: self.rng.chance(40) },
                1 => Planned::Rush { person: self.person() },
                2 => self.session_change(),
                _ => self.by_users(),
            };
            events.push((self.soon(at), what));
        }
        let soon = self.soon(at);
        match self.rng.place(15) {
            0 | 1 => events.push((soon, Planned::CancelOperation { nth: 0 })),
            2 => events.push((soon, self.cancel_task(0))),
            3 | 4 => self.hold(soon, events),
            5 | 6 => self.protect(soon, events),
            7 => self.pause(0, soon, events),
            8 => self.freeze(soon, events),
            9 => self.crash_then_hold(soon, events),
            10 => self.crash_again(soon, events),
            _ => {}
        }
    }

    fn approve(&mut self, nth: usize) -> Planned {
        let by = match self.rng.place(8) {
            0 => Approver::Requester,
            1 => Approver::SecondWithFirstDigest,
            _ => Approver::Second,
        };
        Planned::Approve { nth, by }
    }

    fn cancel_task(&mut self, nth: usize) -> Planned {
        Planned::CancelTask { nth, index: u32::try_from(self.rng.place(8)).unwrap_or(0) }
    }

    fn pause(&mut self, nth: usize, at: u64, events: &mut Events) {
        events.push((at, Planned::Pause { nth }));
        if self.rng.chance(70) {
            events.push((self.later(at), Planned::Resume { nth, larger: self.rng.chance(40) }));
        }
    }

    fn freeze(&mut self, at: u64, events: &mut Events) {
        events.push((at, Planned::Freeze { hard: self.rng.chance(40) }));
        if self.rng.chance(85) {
            events.push((self.later(at), Planned::Unfreeze));
        }
    }

    fn hold(&mut self, at: u64, events: &mut Events) {
        let guest = self.guest();
        let ms = self.rng.pick(&[None, Some(2_000), Some(20_000)]);
        events.push((at, Planned::Hold { guest, ms }));
        if self.rng.chance(50) {
            events.push((self.later(at), Planned::Release { guest }));
        }
    }

    /// What an agent had asked before it died may still be carried out when its next process hears of the hold.
    fn crash_then_hold(&mut self, at: u64, events: &mut Events) {
        let (host, ms) = (self.host(), self.rng.between(20, 300));
        events.push((at, Planned::AgentCrashes { host, point: CrashPoint::Idle, ms }));
        let at = at + self.rng.between(100, 2_500);
        if self.rng.chance(50) { self.hold(at, events) } else { self.protect(at, events) }
    }

    /// An agent that dies several times while people have time, or while sessions are being ended.
    fn crash_again(&mut self, at: u64, events: &mut Events) {
        let host = self.host();
        let mut at = at;
        for _ in 0..self.rng.between(1, 4) {
            let (point, ms) = (self.crash_point(), self.rng.between(20, 2_000));
            events.push((at, Planned::AgentCrashes { host, point, ms }));
            at += self.rng.between(500, 6_000);
        }
    }

    fn protect(&mut self, at: u64, events: &mut Events) {
        let pattern = self.rng.place(PATTERNS.len());
        events.push((at, Planned::Protect { pattern }));
        if self.rng.chance(50) {
            events.push((self.later(at), Planned::Unprotect { pattern }));
        }
    }

    pub(super) fn by_operators(&mut self, at: u64, events: &mut Events) {
        let nth = self.rng.place(6);
        let what = match self.rng.place(27) {
            0 | 1 => Planned::AskAgain { nth, changed: self.rng.chance(30) },
            2 | 3 => Planned::CancelOperation { nth },
            4..=6 => self.cancel_task(nth),
            7 => Planned::LabelHost { host: self.host(), label: self.label() },
            8 | 9 => Planned::LabelGuest { guest: self.guest(), label: self.label() },
            10 => return self.pause(nth, at, events),
            11 => return self.freeze(at, events),
            12 | 13 => return self.hold(at, events),
            14 => return self.protect(at, events),
            15 => Planned::Resume { nth, larger: self.rng.chance(50) },
            16 => Planned::Promote { nth, wave: u32::try_from(self.rng.place(4)).unwrap_or(0) },
            17 => self.approve(nth),
            18 | 19 => {
                events.push((at, Planned::Retry { nth }));
                return self.consequences(at, events);
            }
            20 if self.rng.chance(30) => {
                Planned::RemoveHost { host: self.host(), force: self.rng.chance(50) }
            }
            20 => Planned::Reject { nth },
            21..=23 => return self.drain(at, events),
            _ => {
                events.push((at, Planned::Start(Box::new(self.asked()))));
                return self.consequences(at, events);
            }
        };
        events.push((at, what));
    }

    fn label(&mut self) -> Label {
        if self.rng.chance(50) { Label::Lab } else { self.rack() }
    }
}

//! How people are to be logged off, who they are, and who lets guests refuse new logons.

use super::Draw;
use crate::guest::PATTERNS;
use crate::plan::{Lifted, Person, Planned};
use curfew_types::glob::Glob;
use curfew_types::{DrainFor, Logoff, Notice, SessionFilter, StateFilter, WallTime};

impl Draw {
    /// Half of all requests are plain; the others have any options beside one another.
    pub(super) fn logoff(&mut self) -> Logoff {
        if self.rng.chance(45) {
            return Logoff::default();
        }
        let sessions = if self.rng.chance(50) { self.filter() } else { SessionFilter::default() };
        let notice = self.rng.chance(50).then(|| self.notice());
        let force_after_ms = self.rng.pick(&[None, None, Some(0), Some(500), Some(3_000), Some(10_000)]);
        let drain = self.rng.pick(&[
            None,
            None,
            Some(DrainFor::TheTask),
            Some(DrainFor::TheTask),
            Some(DrainFor::Ms(1_000)),
            Some(DrainFor::Ms(20_000)),
            Some(DrainFor::Ms(60_000)),
        ]);
        Logoff { sessions, notice, force_after_ms, drain }
    }

    fn filter(&mut self) -> SessionFilter {
        let users = if self.rng.chance(30) { self.globs() } else { Vec::new() };
        let exclude_users = if self.rng.chance(40) { self.globs() } else { Vec::new() };
        let state = self.rng.pick(&[None, None, Some(StateFilter::Active), Some(StateFilter::Disconnected)]);
        let idle_at_least_ms = self.rng.pick(&[None, None, Some(2_000), Some(10_000), Some(40_000)]);
        let before = self.rng.pick(&[None, None, None, Some(-20_000), Some(0), Some(5_000)]);
        SessionFilter {
            users,
            exclude_users,
            state,
            idle_at_least_ms,
            logged_on_before: before.map(WallTime),
        }
    }

    fn globs(&mut self) -> Vec<Glob> {
        let count = self.rng.between(1, 2);
        (0..count).map(|_| PATTERNS[self.rng.place(PATTERNS.len())].0.parse().expect("a pattern")).collect()
    }

    fn notice(&mut self) -> Notice {
        Notice {
            text: "please leave within {seconds} seconds".into(),
            grace_ms: self.rng.pick(&[0, 2_000, 6_000, 20_000, 45_000]),
            repeat_ms: self.rng.pick(&[None, Some(1_000), Some(5_000), Some(15_000)]),
        }
    }

    pub(super) fn person(&mut self) -> Person {
        Person {
            ignores_hup: self.rng.chance(30),
            ignores_term: self.rng.chance(15),
            is_immortal: self.rng.chance(4),
            has_no_terminal: self.rng.chance(10),
            hides_idle: self.rng.chance(10),
            begins_disconnected: self.rng.chance(25),
            slips_in: self.rng.chance(40),
            leaves_after_ms: if self.rng.chance(25) { Some(self.rng.between(100, 15_000)) } else { None },
        }
    }

    /// An operator drains a guest by hand, and may think again.
    pub(super) fn drain(&mut self, at: u64, events: &mut Vec<(u64, Planned)>) {
        let guest = self.guest();
        events.push((at, Planned::Drain { guest, ms: self.rng.pick(&[1_000, 5_000, 30_000, 90_000]) }));
        for _ in 0..self.rng.place(3) {
            let lifted = match self.rng.place(4) {
                0 => Lifted::All,
                1 => Lifted::Of { nth: self.rng.place(3) },
                _ => Lifted::ByHand,
            };
            let soon = at + self.rng.between(1, 40_000);
            events.push((soon, Planned::Undrain { guest, lifted }));
        }
    }
}

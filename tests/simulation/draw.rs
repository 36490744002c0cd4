//! Draws plans from seeds, before anything runs.

mod requests;
mod treatment;

use crate::plan::{Condition, CrashPoint, HEAL_AT, Label, Plan, Planned};
use crate::rng::Rng;
use curfew_controller_core::ApprovalRule;

impl Plan {
    /// The plan for `seed`.
    pub(crate) fn draw(seed: u64) -> Plan {
        let mut rng = Rng::new(seed, 1);
        let hosts: Vec<usize> = (0..rng.between(2, 5)).map(|_| rng.place(4) + 1).collect();
        let guests = hosts.iter().sum();
        let mut draw = Draw { rng, hosts: hosts.len(), guests, approval: ApprovalRule::default() };
        draw.approval = draw.rule();
        let mut events = Vec::new();
        for guest in 0..guests {
            for _ in 0..draw.rng.between(0, 3) {
                events.push((0, draw.log_on(guest)));
            }
        }
        for host in 0..hosts.len() {
            if draw.rng.chance(60) {
                events
                    .push((draw.rng.between(1_500, 3_000), Planned::LabelHost { host, label: draw.rack() }));
            }
        }
        // Some worlds are calm and some are wild, so that both plain bugs and rare ones show.
        let faults = draw.rng.pick(&[0, 4, 10, 20, 35]);
        for _ in 0..draw.rng.between(2, 6) {
            let at = draw.moment();
            events.push((at, Planned::Start(Box::new(draw.asked()))));
            draw.consequences(at, &mut events);
        }
        for _ in 0..draw.rng.between(4, 20) {
            let at = draw.moment();
            draw.by_operators(at, &mut events);
        }
        for _ in 0..draw.rng.between(5, 25) {
            events.push((draw.moment(), draw.by_users()));
        }
        for _ in 0..faults {
            events.push((draw.moment(), draw.by_chance()));
        }
        if draw.rng.chance(6) {
            let (before, after) = (draw.moment(), draw.moment());
            events.push((before.min(after), Planned::BackedUp));
            events.push((before.max(after), Planned::Restored { ms: draw.rng.between(100, 5_000) }));
        }
        events.sort_by_key(|(at, _)| *at);
        Plan { seed, hosts, approval: draw.approval, tended: draw.rng.chance(60), events }
    }
}

/// What plans are drawn with.
struct Draw {
    rng: Rng,
    hosts: usize,
    guests: usize,
    approval: ApprovalRule,
}

impl Draw {
    fn moment(&mut self) -> u64 {
        // Not before the agents have come, and not so late that nothing follows.
        self.rng.between(3_000, HEAL_AT - 20_000)
    }

    fn host(&mut self) -> usize {
        self.rng.place(self.hosts)
    }

    fn guest(&mut self) -> usize {
        self.rng.place(self.guests)
    }

    /// In most worlds one person is enough.
    fn rule(&mut self) -> ApprovalRule {
        let expires_ms = self.rng.pick(&[3_000, 20_000, 90_000]);
        let (above_guests, above_percent) = match self.rng.place(10) {
            0 => (Some(0), None),
            1 => (Some(self.rng.between(1, 4)), None),
            2 => (None, Some(self.rng.pick(&[0, 30, 60]))),
            _ => (None, None),
        };
        ApprovalRule { above_guests, above_percent, expires_ms }
    }

    fn rack(&mut self) -> Label {
        match self.rng.place(5) {
            0 => Label::NoRack,
            1 | 2 => Label::Rack(1),
            _ => Label::Rack(2),
        }
    }

    fn log_on(&mut self, guest: usize) -> Planned {
        let person = self.person();
        Planned::LogOn { guest, person }
    }

    fn by_users(&mut self) -> Planned {
        let guest = self.guest();
        match self.rng.place(10) {
            0..=5 => self.log_on(guest),
            6 | 7 => Planned::LogOff { guest },
            _ => self.session_change(),
        }
    }

    fn session_change(&mut self) -> Planned {
        let (nth, goes_away) = (self.rng.place(4), self.rng.chance(50));
        Planned::SessionChanges { guest: self.guest(), nth, goes_away }
    }

    fn crash_point(&mut self) -> CrashPoint {
        self.rng.pick(&[CrashPoint::Idle, CrashPoint::BeforeSync, CrashPoint::AfterSync, CrashPoint::Halfway])
    }

    fn by_chance(&mut self) -> Planned {
        let short = self.rng.between(100, 6_000);
        let long = self.rng.pick(&[2_000, 10_000, 40_000, 70_000]) + short;
        match self.rng.place(35) {
            0..=3 => Planned::AgentCrashes { host: self.host(), point: self.crash_point(), ms: short },
            4 => Planned::AgentStops { host: self.host(), ms: short },
            5 => Planned::HostReboots { host: self.host(), ms: short, guests_survive: self.rng.chance(60) },
            6 if self.rng.chance(50) => Planned::LedgerRolledBack { host: self.host(), ms: short },
            6 => Planned::LedgerLost { host: self.host(), ms: short },
            7 | 8 => Planned::LedgerRewritten { host: self.host() },
            9..=11 => Planned::ControllerCrashes {
                point: self.crash_point(),
                ms: short,
                reboots: self.rng.chance(20),
            },
            12 => Planned::ControllerStops { ms: short },
            13..=15 => Planned::StoreAway { ms: long },
            16 | 17 => Planned::StreamCut { host: self.host() },
            18 | 19 => Planned::Partition { host: self.host(), ms: long },
            20..=22 => Planned::Noise {
                host: self.host(),
                ms: long,
                loss: self.rng.between(0, 30),
                disorder: self.rng.between(0, 50),
                repeats: self.rng.between(0, 30),
            },
            23 | 24 => Planned::OldFramesReturn { host: self.host() },
            25 => Planned::Impostor { host: self.host() },
            26 => Planned::Claimed { guest: self.guest(), by: self.host() },
            27 => self.clock_set(),
            28 => Planned::OthersMoveDoor { guest: self.guest(), closes: self.rng.chance(50) },
            _ => self.affliction(long),
        }
    }

    fn affliction(&mut self, ms: u64) -> Planned {
        use Condition::{Denied, Flaky, Frozen, NotAvailable, Paused, Rebooting, Stopped, Unlistable};
        let condition = self.rng.pick(&[
            Frozen,
            Frozen,
            Frozen,
            Paused,
            Stopped,
            Rebooting,
            NotAvailable,
            NotAvailable,
            Unlistable,
            Denied,
            Flaky,
            Flaky,
        ]);
        Planned::Afflict { guest: self.guest(), condition, ms }
    }

    /// On one side only: by seconds, by a minute, by an hour, by days.
    fn clock_set(&mut self) -> Planned {
        let host = if self.rng.chance(50) { Some(self.host()) } else { None };
        let by_ms = self.rng.pick(&[4_000, 90_000, 3_600_000, 3 * 24 * 3_600_000]);
        Planned::ClockSet { host, by_ms: if self.rng.chance(50) { by_ms } else { -by_ms } }
    }
}

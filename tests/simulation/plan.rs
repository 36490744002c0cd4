//! What befalls a world: drawn from a seed before the run, so that a failing run can be shortened by leaving out.

use crate::rng::Rng;
use curfew_types::NotRunning;

/// When nothing more is planned and everything is mended.
pub(crate) const HEAL_AT: u64 = 240_000;

/// A world's size and what befalls it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How many guests each host has.
    pub(crate) hosts: Vec<usize>,
    /// What happens when, by time.
    pub(crate) events: Vec<(u64, Planned)>,
}

/// Which guests an operator asks for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// The whole fleet.
    All,
    /// Everything on one host.
    Host(usize),
    /// These guests.
    Guests(Vec<usize>),
    /// What carries the label that operators set now and then.
    Labelled,
    /// The whole fleet but one guest.
    AllBut(usize),
}

/// What an operator asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) wanted: Wanted,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) task_timeout_ms: u64,
    pub(crate) deliver_within_ms: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) not_running: NotRunning,
    pub(crate) with_request_id: bool,
}

/// At which point of a turn a process is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CrashPoint {
    /// Between two turns.
    Idle,
    /// Written, not yet synced.
    BeforeSync,
    /// Synced, nothing carried out.
    AfterSync,
    /// Some of what follows was carried out.
    Halfway,
}

/// What a guest can suffer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It answers nothing; what was sent to it waits inside.
    Frozen,
    /// Paused by its hypervisor, which says so.
    Paused,
    /// Shut off.
    Stopped,
    /// It shuts off and comes back.
    Rebooting,
    /// Its agent does not answer yet.
    NotAvailable,
    /// Its sessions cannot be listed reliably.
    Unlistable,
    /// Ending sessions is not allowed.
    Denied,
    /// Requests meet errors that nobody can explain, some after they were carried out.
    Flaky,
}

/// One planned event.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    Start(Asked),
    AskAgain { nth: usize, changed: bool },
    CancelOperation { nth: usize },
    CancelTask { nth: usize, index: u32 },
    LabelHost { host: usize },
    LabelGuest { guest: usize },
    RemoveHost { host: usize, force: bool },
    LogOn { guest: usize, ignores_hup: bool, ignores_term: bool },
    LogOff { guest: usize },
    Afflict { guest: usize, condition: Condition, ms: u64 },
    AgentCrashes { host: usize, point: CrashPoint, ms: u64 },
    AgentStops { host: usize, ms: u64 },
    HostReboots { host: usize, ms: u64, guests_survive: bool },
    LedgerLost { host: usize, ms: u64 },
    LedgerRolledBack { host: usize, ms: u64 },
    LedgerRewritten { host: usize },
    ControllerCrashes { point: CrashPoint, ms: u64, reboots: bool },
    ControllerStops { ms: u64 },
    StoreAway { ms: u64 },
    BackedUp,
    Restored { ms: u64 },
    StreamCut { host: usize },
    Partition { host: usize, ms: u64 },
    Noise { host: usize, ms: u64, loss: u64, disorder: u64, repeats: u64 },
    OldFramesReturn { host: usize },
    Impostor { host: usize },
    Claimed { guest: usize, by: usize },
}

impl Plan {
    /// The plan for `seed`.
    pub(crate) fn draw(seed: u64) -> Plan {
        let mut rng = Rng::new(seed, 1);
        let hosts: Vec<usize> = (0..rng.between(2, 5)).map(|_| rng.place(4) + 1).collect();
        let guests = hosts.iter().sum();
        let mut draw = Draw { rng, hosts: hosts.len(), guests };
        let mut events = Vec::new();
        for guest in 0..guests {
            for _ in 0..draw.rng.between(0, 3) {
                events.push((0, draw.log_on(guest)));
            }
        }
        // Some worlds are calm and some are wild, so that both plain bugs and rare ones show.
        let faults = draw.rng.pick(&[0, 4, 10, 20, 35]);
        for _ in 0..draw.rng.between(2, 6) {
            let at = draw.moment();
            events.push((at, Planned::Start(draw.asked())));
            events.extend(draw.regret(at));
        }
        for _ in 0..draw.rng.between(2, 12) {
            events.push((draw.moment(), draw.by_operators()));
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
        Plan { seed, hosts, events }
    }
}

/// What plans are drawn with.
struct Draw {
    rng: Rng,
    hosts: usize,
    guests: usize,
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

    fn asked(&mut self) -> Asked {
        let wanted = match self.rng.place(6) {
            0 => Wanted::Host(self.host()),
            1 => Wanted::Guests((0..self.rng.between(1, 4)).map(|_| self.guest()).collect()),
            2 => Wanted::Labelled,
            3 => Wanted::AllBut(self.guest()),
            _ => Wanted::All,
        };
        Asked {
            wanted,
            max_in_flight: self.rng.pick(&[None, None, Some(1), Some(2), Some(3)]),
            task_timeout_ms: self.rng.pick(&[1_000, 3_000, 8_000, 20_000, 40_000]),
            deliver_within_ms: self.rng.pick(&[1_000, 10_000, 30_000, 60_000, 400_000]),
            deadline_ms: self.rng.pick(&[2_000, 15_000, 40_000, 90_000, 200_000]),
            not_running: self.rng.pick(&[NotRunning::Skip, NotRunning::Refuse]),
            with_request_id: self.rng.chance(50),
        }
    }

    /// Second thoughts come soon, while orders are on their way and sessions are being ended.
    fn regret(&mut self, at: u64) -> Option<(u64, Planned)> {
        let soon = at + self.rng.between(1, 5_000);
        match self.rng.place(6) {
            0 | 1 => Some((soon, Planned::CancelOperation { nth: 0 })),
            2 => Some((soon, Planned::CancelTask { nth: 0, index: u32::try_from(self.rng.place(4)).ok()? })),
            _ => None,
        }
    }

    fn by_operators(&mut self) -> Planned {
        let nth = self.rng.place(6);
        match self.rng.place(12) {
            0 | 1 => Planned::AskAgain { nth, changed: self.rng.chance(30) },
            2..=4 => Planned::CancelOperation { nth },
            5..=8 => Planned::CancelTask { nth, index: u32::try_from(self.rng.place(8)).unwrap_or(0) },
            9 => Planned::LabelHost { host: self.host() },
            10 => Planned::LabelGuest { guest: self.guest() },
            _ => {
                if self.rng.chance(15) {
                    Planned::RemoveHost { host: self.host(), force: self.rng.chance(50) }
                } else {
                    Planned::Start(self.asked())
                }
            }
        }
    }

    fn log_on(&mut self, guest: usize) -> Planned {
        let (ignores_hup, ignores_term) = (self.rng.chance(30), self.rng.chance(15));
        Planned::LogOn { guest, ignores_hup, ignores_term }
    }

    fn by_users(&mut self) -> Planned {
        let guest = self.guest();
        if self.rng.chance(75) { self.log_on(guest) } else { Planned::LogOff { guest } }
    }

    fn crash_point(&mut self) -> CrashPoint {
        self.rng.pick(&[CrashPoint::Idle, CrashPoint::BeforeSync, CrashPoint::AfterSync, CrashPoint::Halfway])
    }

    fn by_chance(&mut self) -> Planned {
        use Condition::{Denied, Flaky, Frozen, NotAvailable, Paused, Rebooting, Stopped, Unlistable};
        let short = self.rng.between(100, 6_000);
        let long = self.rng.pick(&[2_000, 10_000, 40_000, 70_000]) + short;
        match self.rng.place(32) {
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
            _ => {
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
                ]);
                Planned::Afflict { guest: self.guest(), condition, ms: long }
            }
        }
    }
}

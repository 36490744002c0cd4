//! The whole simulated world: one controller, a few hosts, their guests, and the loop that lets time pass.

use crate::agent_shell::Host;
use crate::clock::{Agenda, Clocks};
use crate::controller_shell::Controller;
use crate::guest::Guest;
use crate::happening::Happening;
use crate::model::Model;
use crate::network::{Line, Network};
use crate::operator::Operator;
use crate::plan::{HEAL_AT, Plan};
use crate::provider::Call;
use crate::rng::Rng;
use crate::truth::{Truth, Violation};
use curfew_types::GuestId;
use std::collections::BTreeSet;

/// When a simulation stops at the latest: every deadline and every follow-up is over long before.
const END_AT: u64 = HEAL_AT + 420_000;
/// More events than any sane run has: a core that asks to be woken for nothing would run for ever.
const EVENTS_MAX: u64 = 400_000;

/// Bugs planted into the cores.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted {
    pub(crate) controller: Option<curfew_controller_core::PlantedBug>,
    pub(crate) agent: Option<curfew_agent_core::PlantedBug>,
}

/// Independent streams of chance, one for each part of the world.
pub(crate) struct Chances {
    pub(crate) network: Rng,
    pub(crate) guests: Rng,
    pub(crate) shells: Rng,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) t: u64,
    pub(crate) agenda: Agenda,
    pub(crate) chances: Chances,
    pub(crate) plan: Plan,
    pub(crate) planted: Planted,
    pub(crate) controller: Controller,
    pub(crate) hosts: Vec<Host>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) calls: Vec<Call>,
    pub(crate) network: Network,
    pub(crate) operator: Operator,
    pub(crate) truth: Truth,
    pub(crate) model: Model,
    pub(crate) healed: bool,
    pub(crate) happened: u64,
    log: Option<Vec<String>>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) violation: Option<Violation>,
    pub(crate) happened: u64,
    /// Ended tasks by outcome, to see that runs are about something.
    pub(crate) outcomes: [u64; 9],
    /// What happened to operations and tasks, in the vocabulary's words.
    pub(crate) met: BTreeSet<&'static str>,
    pub(crate) log: Vec<String>,
}

impl Run {
    /// Runs a plan to its end, or to the first violation.
    pub(crate) fn of(plan: &Plan, planted: Planted, keep_log: bool) -> Run {
        let mut world = World::new(plan.clone(), planted, keep_log);
        world.begin();
        while let Some((at, what)) = world.agenda.take() {
            if at > END_AT {
                break;
            }
            world.t = at;
            world.happened += 1;
            world.happen(what);
            world.check_deadlines();
            world.check_doors();
            if world.happened > EVENTS_MAX {
                world.truth.fail(0, "the world does not come to rest".into());
            }
            if world.truth.violation.is_some() {
                break;
            }
        }
        if world.truth.violation.is_none() {
            world.check_end();
        }
        let outcomes = world.controller.disk.outcomes();
        world.controller.disk.met.append(&mut world.truth.met);
        Run {
            violation: world.truth.violation,
            happened: world.happened,
            outcomes,
            met: world.controller.disk.met,
            log: world.log.unwrap_or_default(),
        }
    }
}

impl World {
    fn new(plan: Plan, planted: Planted, keep_log: bool) -> World {
        let mut rng = Rng::new(plan.seed, 2);
        let mut guests = Vec::new();
        let mut hosts = Vec::new();
        for (place, count) in plan.hosts.iter().enumerate() {
            let host = Host::new(place, &mut rng);
            for local in 0..*count {
                // The first guest of some hosts is the host itself, whose id says whose it is.
                let is_host = local == 0 && rng.chance(20);
                let id = if is_host {
                    GuestId::local(&host.name, "logind", "self")
                } else {
                    format!("vm-{place}-{local}").parse()
                };
                let name = format!("desk-{place}-{local}");
                let (has_timers, off) = (rng.chance(75), rng.pick(&[0, 0, 0, 7_200_000, -86_400_000]));
                let id = id.expect("ids made here are valid");
                guests.push(Guest::new(id, name, (place, is_host), has_timers, off));
            }
            hosts.push(host);
        }
        World {
            t: 0,
            agenda: Agenda::default(),
            chances: Chances {
                network: Rng::new(plan.seed, 3),
                guests: Rng::new(plan.seed, 4),
                shells: Rng::new(plan.seed, 5),
            },
            controller: Controller::new(Clocks::new(rng.between(0, 1_000_000_000), 0)),
            network: Network { lines: vec![Line::default(); hosts.len()], ..Network::default() },
            truth: Truth::new(hosts.len(), guests.len()),
            model: Model::new(plan.approval),
            plan,
            planted,
            hosts,
            guests,
            calls: Vec::new(),
            operator: Operator::default(),
            healed: false,
            happened: 0,
            log: keep_log.then(Vec::new),
        }
    }

    fn begin(&mut self) {
        self.start_controller();
        for host in 0..self.hosts.len() {
            self.agenda.put(1 + host as u64, Happening::AgentStarts { host });
        }
        for (place, (at, _)) in self.plan.events.iter().enumerate() {
            self.agenda.put(*at, Happening::Planned(place));
        }
        self.agenda.put(HEAL_AT, Happening::Heal);
    }

    /// Notes an event for whoever has to understand a failure; costs nothing otherwise.
    pub(crate) fn log(&mut self, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>7} {}", self.t, text()));
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Planned(place) => self.befall(place),
            Happening::ReachedController { stream, frame } => self.controller_hears(stream, frame),
            Happening::ReachedAgent { stream, frame } => self.agent_hears(stream, frame),
            Happening::Dial { host, process } => self.dial(host, process),
            Happening::AgentNotices { stream } => self.agent_notices(stream),
            Happening::ControllerNotices { stream } => self.controller_notices(stream),
            Happening::AgentTurn { host, process } => self.agent_woken(host, process),
            Happening::ControllerTick { process } => self.controller_woken(process),
            Happening::Appended { process } => self.appended(process),
            Happening::StoreTried { process } => self.try_store(process),
            Happening::CallReached { call } => self.call_reached(call),
            Happening::CallOver { call } => self.call_over(call),
            Happening::CallAnswered { call, answer } => self.call_answered(call, answer),
            Happening::DoorTimer { guest, set } => self.guests[guest].door.timer_fires(set),
            Happening::SessionDies { guest, id } => {
                let t = self.t;
                self.guests[guest].session_died(t, id);
            }
            Happening::GuestRecovers { guest } => self.guest_recovers(guest),
            Happening::AgentStarts { host } => self.start_agent(host),
            Happening::Leaves { host, process, back_in_ms } => self.leave(host, process, back_in_ms),
            Happening::ControllerStarts => self.start_controller(),
            Happening::StoreHeals => self.store_heals(),
            Happening::PartitionHeals { host } => self.log(|| format!("host {host} can be reached again")),
            Happening::Heal => self.heal(),
            Happening::Tended => self.look_after(),
        }
    }
}

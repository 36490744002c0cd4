//! The agents' shells: each drives a real agent core, keeps its ledger, dials, and dies at bad moments.

use crate::clock::Clocks;
use crate::happening::{Down, Happening, Up};
use crate::plan::CrashPoint;
use crate::rng::Rng;
use crate::world::World;
use curfew_agent_core::{Action, CAPABILITIES, Core, Entry, Event, Settings};
use curfew_controller_core::Frame;
use curfew_types::{Guest, HostName};
use std::hash::{Hash, Hasher};

/// A host: a machine with its agent and its disk.
pub(crate) struct Host {
    pub(crate) name: HostName,
    pub(crate) process: Option<Process>,
    /// How many agent processes there have been: the number of the latest.
    pub(crate) processes: u64,
    pub(crate) boot: u64,
    pub(crate) clocks: Clocks,
    pub(crate) incarnation: u64,
    /// The ledger file.
    pub(crate) ledger: Vec<Entry>,
    /// How many of its entries the last rewriting left.
    pub(crate) rewritten: usize,
    /// The agent is killed at this point of its next turn that writes, and is back after this time.
    pub(crate) doomed: Option<(CrashPoint, u64)>,
    /// Its ledger was rolled back, and no controller has seen it since. An agent that dies twice before it meets its
    /// controller again can hide that, so this one is left alone until then.
    pub(crate) unjudged: bool,
    /// What the controller was told of its guests.
    told: Vec<Guest>,
}

/// A running agent.
pub(crate) struct Process {
    pub(crate) core: Core,
    /// The stream it holds, welcomed or not.
    pub(crate) stream: Option<u64>,
    welcomed: bool,
    wakes_at: u64,
}

impl Host {
    pub(crate) fn new(place: usize, rng: &mut Rng) -> Host {
        let off = i64::try_from(rng.between(0, 4_000)).unwrap_or(0) - 2_000;
        Host {
            name: format!("host-{place}").parse().expect("a valid host name"),
            process: None,
            processes: 0,
            boot: 1,
            clocks: Clocks::new(rng.between(0, 1_000_000), off),
            incarnation: rng.next(),
            ledger: Vec::new(),
            rewritten: 0,
            doomed: None,
            unjudged: false,
            told: Vec::new(),
        }
    }

    /// Whether its agent has met the controller on the stream that it holds.
    pub(crate) fn is_welcomed(&self) -> bool {
        self.process.as_ref().is_some_and(|agent| agent.welcomed)
    }

    pub(crate) fn boot_name(&self) -> String {
        format!("boot-{}", self.boot)
    }
}

/// Settings as in life, but follow-ups that end within the simulation.
pub(crate) fn settings(planted: Option<curfew_agent_core::PlantedBug>) -> Settings {
    Settings { follow_up_ms: 120_000, follow_up_pause_max_ms: 10_000, planted, ..Settings::default() }
}

impl World {
    pub(crate) fn start_agent(&mut self, place: usize) {
        let settings = settings(self.planted.agent);
        let host = &mut self.hosts[place];
        if host.process.is_some() {
            return;
        }
        host.processes += 1;
        let (now, boot) = (host.clocks.now(self.t), host.boot_name());
        let core = Core::recover(now, settings, boot, host.incarnation, host.ledger.clone());
        host.process = Some(Process { core, stream: None, welcomed: false, wakes_at: u64::MAX });
        let process = host.processes;
        self.read_drains_again(place);
        self.log(|| format!("agent {place} starts"));
        self.agent_turn(place);
        self.dial_later(place, process);
    }

    pub(crate) fn dial_later(&mut self, host: usize, process: u64) {
        let rng = &mut self.chances.shells;
        let pause = if rng.chance(70) { rng.between(1, 1_000) } else { rng.between(1, 10_000) };
        self.agenda.put(self.t + pause, Happening::Dial { host, process });
    }

    pub(crate) fn dial(&mut self, host: usize, process: u64) {
        if self.hosts[host].processes != process {
            return;
        }
        // A hello speaks of the ledger, so what it speaks of must be on disk.
        self.agent_turn(host);
        let parted = self.t < self.network.lines[host].parted_until;
        let controller = self.controller.is_up().then_some(self.controller.processes);
        let guests = self.inventory_of(host);
        let Some(agent) = self.hosts[host].process.as_mut().filter(|agent| agent.stream.is_none()) else {
            return;
        };
        let Some(controller) = controller.filter(|_| !parted) else {
            return self.dial_later(host, process);
        };
        let capabilities = CAPABILITIES.iter().map(|name| (*name).to_owned()).collect();
        let hello = agent.core.hello(capabilities, digest(&guests));
        agent.core.said_hello();
        let in_force = hello.safeguards;
        let stream = self.network.open(host, process, controller);
        agent.stream = Some(stream);
        agent.welcomed = false;
        self.hosts[host].told = guests;
        self.log(|| format!("agent {host} dials as stream {stream}: {hello:?}"));
        self.send_up(stream, Up::Hello(Box::new(hello)));
        self.agent_confirms(host, in_force);
    }

    pub(crate) fn agent_notices(&mut self, number: u64) {
        let Some(stream) = self.network.stream_mut(number) else { return };
        let (host, process) = (stream.host, stream.agent);
        if !std::mem::replace(&mut stream.agent_open, false) || self.hosts[host].processes != process {
            return;
        }
        let Some(agent) = self.hosts[host].process.as_mut().filter(|agent| agent.stream == Some(number))
        else {
            return;
        };
        agent.stream = None;
        agent.welcomed = false;
        self.log(|| format!("agent {host} notices that stream {number} is dead"));
        self.agent_takes(host, Event::Disconnected);
        self.dial_later(host, process);
    }

    pub(crate) fn agent_hears(&mut self, number: u64, frame: Down) {
        let Some(stream) = self.network.stream(number) else { return };
        let host = stream.host;
        let is_live = stream.agent_open && self.hosts[host].processes == stream.agent;
        let holds = self.hosts[host].process.as_ref().is_some_and(|agent| agent.stream == Some(number));
        if !is_live || !holds {
            return;
        }
        self.log(|| format!("agent {host} hears over stream {number}: {frame:?}"));
        match frame {
            Down::Refused => {
                self.cut(number);
                self.agent_notices(number);
            }
            Down::Welcome(welcome) => {
                self.hosts[host].unjudged = false;
                let has_changes = self.inventory_of(host) != self.hosts[host].told;
                if let Some(agent) = self.hosts[host].process.as_mut() {
                    agent.welcomed = true;
                    if welcome.send_inventory || has_changes {
                        agent.core.tell_drains_again();
                    }
                }
                if welcome.send_inventory {
                    self.send_inventory(host);
                } else {
                    self.send_changes(host);
                }
                self.truth.epoch_met(host, welcome.epoch);
                let acknowledged = welcome.acknowledged_sequence;
                self.agent_takes(host, Event::Welcomed { epoch: welcome.epoch, acknowledged });
            }
            Down::Frame(frame) => self.agent_hears_frame(host, frame),
        }
    }

    /// A frame of the core's, be it over the live stream or from an older one.
    pub(crate) fn agent_hears_frame(&mut self, host: usize, frame: Frame) {
        match frame {
            Frame::Order(order) => {
                let now = self.hosts[host].clocks.now(self.t);
                let expires = now.mono.plus(order.remaining_ms);
                self.truth.order_met(host, &order, self.hosts[host].clocks.moment_of(expires));
                self.agent_takes(host, Event::Ordered(order.into()));
            }
            Frame::Cancel(cancel) => self.agent_takes(host, Event::CancelAsked(cancel)),
            Frame::Safeguards(safeguards) => {
                self.agent_takes(host, Event::Safeguarded((*safeguards).clone()));
            }
            Frame::Acknowledge(sequence) => self.agent_takes(host, Event::Acknowledged(sequence)),
            Frame::Drain(ask) => {
                self.drain_asked(host, &ask);
                self.agent_takes(host, Event::DrainAsked(ask));
            }
            Frame::SendInventory => self.send_inventory(host),
        }
    }

    /// Feeds an event and ends the turn, now or, together with what else comes, in a moment.
    pub(crate) fn agent_takes(&mut self, place: usize, event: Event) {
        let host = &mut self.hosts[place];
        let now = host.clocks.now(self.t);
        let Some(agent) = &mut host.process else { return };
        agent.core.handle(now, event);
        if self.chances.shells.chance(20) {
            let process = self.hosts[place].processes;
            let at = self.t + self.chances.shells.between(1, 5);
            self.agenda.put(at, Happening::AgentTurn { host: place, process });
        } else {
            self.agent_turn(place);
        }
    }

    pub(crate) fn agent_woken(&mut self, place: usize, process: u64) {
        let host = &mut self.hosts[place];
        if host.processes != process {
            return;
        }
        let now = host.clocks.now(self.t);
        let Some(agent) = &mut host.process else { return };
        if self.t >= agent.wakes_at {
            agent.wakes_at = u64::MAX;
        }
        agent.core.handle(now, Event::Tick);
        self.agent_turn(place);
    }

    /// Ends a turn: the ledger first, then calls and reports.
    pub(crate) fn agent_turn(&mut self, place: usize) {
        let host = &mut self.hosts[place];
        let now = host.clocks.now(self.t);
        let Some(agent) = &mut host.process else { return };
        agent.core.end_turn(now);
        let (mut writes, mut rest, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(action) = agent.core.poll_action() {
            match action {
                Action::Write(entry) => writes.push(entry),
                Action::Call { .. } | Action::Send(_) => rest.push(action),
                Action::Note { text, .. } => notes.push(text),
            }
        }
        for text in notes {
            self.log(|| format!("agent {place}: {text}"));
        }
        let doom = if writes.is_empty() { None } else { self.hosts[place].doomed.take() };
        match doom {
            Some((CrashPoint::BeforeSync, ms)) => {
                // Of what was written, any first part may have reached the disk.
                let kept = self.chances.shells.place(writes.len() + 1);
                self.write(place, writes.into_iter().take(kept));
                return self.kill_agent(place, ms);
            }
            Some((CrashPoint::AfterSync, ms)) => {
                self.write(place, writes.into_iter());
                return self.kill_agent(place, ms);
            }
            Some((CrashPoint::Idle | CrashPoint::Halfway, ms)) => {
                self.write(place, writes.into_iter());
                rest.truncate(rest.len() / 2);
                self.carry_out(place, rest);
                return self.kill_agent(place, ms);
            }
            None => self.write(place, writes.into_iter()),
        }
        self.carry_out(place, rest);
        self.wake_agent_later(place);
    }

    fn write(&mut self, place: usize, entries: impl Iterator<Item = Entry>) {
        for entry in entries {
            self.log(|| format!("agent {place} writes {entry:?}"));
            self.check_entry(place, &entry);
            self.hosts[place].ledger.push(as_read_back(entry));
        }
    }

    fn carry_out(&mut self, place: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Call { call, guest, request, budget_ms } => {
                    self.call_guest(place, call, &guest, request, budget_ms);
                }
                Action::Send(report) => {
                    if let Some(drains) = &report.drains {
                        self.check_drains_told(place, drains);
                    }
                    let agent = self.hosts[place].process.as_ref();
                    if let Some(stream) = agent.filter(|agent| agent.welcomed).and_then(|agent| agent.stream)
                    {
                        self.log(|| format!("agent {place} reports {report:?}"));
                        self.agent_confirms(place, report.safeguards);
                        self.send_up(stream, Up::Report(Box::new(report)));
                    }
                }
                Action::Write(_) | Action::Note { .. } => {}
            }
        }
    }

    fn wake_agent_later(&mut self, place: usize) {
        let jitter = self.chances.shells.between(0, 3);
        let host = &mut self.hosts[place];
        let Some(agent) = &mut host.process else { return };
        let Some((at, _)) = agent.core.poll_timeout() else { return };
        let at = host.clocks.moment_of(at).max(self.t + 1).saturating_add(jitter);
        if at < agent.wakes_at {
            agent.wakes_at = at;
            self.agenda.put(at, Happening::AgentTurn { host: place, process: host.processes });
        }
    }

    /// The agent's process is gone; its streams die with it.
    pub(crate) fn kill_agent(&mut self, place: usize, back_in_ms: u64) {
        let Some(agent) = self.hosts[place].process.take() else { return };
        self.log(|| format!("agent {place} is killed"));
        if let Some(stream) = agent.stream {
            self.cut(stream);
        }
        self.agenda.put(self.t + back_in_ms, Happening::AgentStarts { host: place });
    }

    /// The guests that a host lists.
    fn inventory_of(&self, host: usize) -> Vec<Guest> {
        let own = self.guests.iter().filter(|guest| guest.host == host);
        own.map(crate::guest::Guest::listed).collect()
    }

    fn send_inventory(&mut self, host: usize) {
        let guests = self.inventory_of(host);
        let digest = digest(&guests);
        self.hosts[host].told.clone_from(&guests);
        self.send_inventory_frame(host, Up::Inventory { guests, removed: Vec::new(), replace: true, digest });
    }

    /// A guest changed, or moved: every host that lists it, or did, says so if it can.
    pub(crate) fn tell_inventory(&mut self, _guest: usize) {
        for host in 0..self.hosts.len() {
            self.send_changes(host);
        }
    }

    fn send_changes(&mut self, host: usize) {
        if !self.hosts[host].is_welcomed() {
            return;
        }
        let guests = self.inventory_of(host);
        let told = &self.hosts[host].told;
        let changed: Vec<Guest> = guests.iter().filter(|guest| !told.contains(guest)).cloned().collect();
        let is_gone = |before: &&Guest| guests.iter().all(|guest| guest.id != before.id);
        let removed: Vec<_> = told.iter().filter(is_gone).map(|guest| guest.id.clone()).collect();
        if changed.is_empty() && removed.is_empty() {
            return;
        }
        let digest = digest(&guests);
        self.hosts[host].told = guests;
        self.send_inventory_frame(host, Up::Inventory { guests: changed, removed, replace: false, digest });
    }

    fn send_inventory_frame(&mut self, host: usize, frame: Up) {
        if let Some(stream) = self.hosts[host].process.as_ref().and_then(|agent| agent.stream) {
            self.send_up(stream, frame);
        }
    }
}

/// An entry as a file gives it back: what is not written down is not there.
pub(crate) fn as_read_back(mut entry: Entry) -> Entry {
    if let Entry::Acting { targets, .. } | Entry::Added { targets, .. } = &mut entry {
        for target in targets {
            target.asked = 0;
            target.said_over = false;
            target.gone = false;
            target.held_by.clear();
        }
    }
    entry
}

/// A digest that is the same in every run, and never 0.
fn digest(guests: &[Guest]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    guests.hash(&mut hasher);
    hasher.finish() | 1
}

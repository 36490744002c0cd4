//! Operators and chance: what the plan has in store, carried out.

use crate::controller_shell::{Input, Turn};
use crate::happening::{Down, Happening, Up};
use crate::plan::{Asked, CrashPoint, Planned, Wanted};
use crate::world::World;
use curfew_controller_core::CancelError;
use curfew_types::label::Labels;
use curfew_types::{OperationId, OperationSpec, Selection, TaskId};

/// The label that operators set.
const LABEL: &str = "env";

/// What the operators know.
#[derive(Default)]
pub(crate) struct Operator {
    /// Operations whose start was answered.
    pub(crate) known: Vec<OperationId>,
    /// Requests that carried an id, with what came of the first of each.
    asked: Vec<(OperationSpec, Option<OperationId>)>,
}

impl World {
    /// Lets a planned event happen.
    pub(crate) fn befall(&mut self, place: usize) {
        if self.healed {
            return;
        }
        let (_, what) = self.plan.events[place].clone();
        self.log(|| format!("planned: {what:?}"));
        match what {
            Planned::Start(_)
            | Planned::AskAgain { .. }
            | Planned::CancelOperation { .. }
            | Planned::CancelTask { .. }
            | Planned::LabelHost { .. }
            | Planned::LabelGuest { .. }
            | Planned::RemoveHost { .. } => {
                if self.controller.is_up() {
                    self.controller_takes(Input::Asked(place));
                }
            }
            Planned::LogOn { guest, ignores_hup, ignores_term } => {
                self.guests[guest].log_on(self.t, ignores_hup, ignores_term);
            }
            Planned::LogOff { guest } => {
                if let Some(serial) = self.guests[guest].sessions.first().map(|session| session.serial) {
                    let t = self.t;
                    self.guests[guest].session_died(t, serial);
                }
            }
            Planned::Afflict { guest, condition, ms } => self.afflict(guest, condition, ms),
            Planned::Claimed { guest, by } => {
                if !self.guests[guest].is_host {
                    self.guests[guest].host = by;
                    self.tell_inventory(guest);
                }
            }
            Planned::AgentCrashes { .. }
            | Planned::AgentStops { .. }
            | Planned::HostReboots { .. }
            | Planned::LedgerLost { .. }
            | Planned::LedgerRewritten { .. } => self.befall_agent(&what),
            Planned::ControllerCrashes { .. }
            | Planned::ControllerStops { .. }
            | Planned::StoreAway { .. }
            | Planned::BackedUp
            | Planned::Restored { .. } => self.befall_controller(&what),
            Planned::StreamCut { .. }
            | Planned::Partition { .. }
            | Planned::Noise { .. }
            | Planned::OldFramesReturn { .. }
            | Planned::Impostor { .. } => self.befall_network(&what),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the events")]
    fn befall_agent(&mut self, what: &Planned) {
        match *what {
            Planned::AgentCrashes { host, point: CrashPoint::Idle, ms } => self.kill_agent(host, ms),
            Planned::AgentCrashes { host, point, ms } => self.hosts[host].doomed = Some((point, ms)),
            Planned::AgentStops { host, ms } => {
                if let Some(agent) = &mut self.hosts[host].process {
                    agent.core.begin_stop();
                    let process = self.hosts[host].processes;
                    self.leave_later(Some(host), process, ms);
                }
            }
            Planned::HostReboots { host, ms, guests_survive } => self.reboot_host(host, ms, guests_survive),
            Planned::LedgerLost { host, ms } => {
                self.kill_agent(host, ms);
                self.hosts[host].ledger.clear();
                self.hosts[host].incarnation = self.chances.shells.next();
                self.truth.ledger_lost(host);
            }
            Planned::LedgerRewritten { host } => self.rewrite_ledger(host),
            _ => {}
        }
    }

    /// A process that stops lets what runs go on for a moment.
    fn leave_later(&mut self, host: Option<usize>, process: u64, back_in_ms: u64) {
        let at = self.t + self.chances.shells.between(1, 3_000);
        self.agenda.put(at, Happening::Leaves { host, process, back_in_ms });
    }

    pub(crate) fn leave(&mut self, host: Option<usize>, process: u64, back_in_ms: u64) {
        match host {
            Some(host) if self.hosts[host].processes == process => self.kill_agent(host, back_in_ms),
            None if self.controller.processes == process => self.kill_controller(back_in_ms),
            _ => {}
        }
    }

    fn reboot_host(&mut self, host: usize, ms: u64, guests_survive: bool) {
        let t = self.t;
        self.kill_agent(host, ms);
        self.hosts[host].boot += 1;
        self.hosts[host].clocks.reboot(t);
        for place in 0..self.guests.len() {
            if self.guests[place].host != host {
                continue;
            }
            self.guests[place].buffered.clear();
            if !guests_survive || self.guests[place].is_host {
                self.guests[place].go_down(t);
            }
        }
    }

    /// The shell rewrites the ledger in fewer entries; what an agent would begin again with must be the same.
    fn rewrite_ledger(&mut self, place: usize) {
        self.agent_turn(place);
        let settings = crate::agent_shell::settings(self.planted.agent);
        let host = &mut self.hosts[place];
        let now = host.clocks.now(self.t);
        let Some(agent) = &mut host.process else { return };
        agent.core.forget_old(now);
        let summary: Vec<_> = agent.core.summary().into_iter().map(crate::agent_shell::as_read_back).collect();
        let boot = format!("boot-{}", host.boot);
        let begin = |entries| {
            let core = curfew_agent_core::Core::recover(now, settings, boot.clone(), host.incarnation, entries);
            let (mut hello, mut again) = (core.hello(Vec::new(), 0), core.summary());
            hello.ledger.counter = 0;
            again.remove(0);
            (hello, again)
        };
        let (before, after) = (begin(host.ledger.clone()), begin(summary.clone()));
        host.ledger = summary;
        if before != after && self.planted.agent.is_none() {
            let text = format!("rewriting the ledger of host {place} changed it from {before:?} to {after:?}");
            self.truth.fail(3, text);
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the events")]
    fn befall_controller(&mut self, what: &Planned) {
        let t = self.t;
        match *what {
            Planned::ControllerCrashes { point: CrashPoint::Idle, ms, reboots } => {
                self.kill_controller(ms);
                if reboots {
                    self.controller.clocks.reboot(t);
                }
            }
            Planned::ControllerCrashes { point, ms, .. } => self.controller.doomed = Some((point, ms)),
            Planned::ControllerStops { ms } => {
                if let Some(core) = &mut self.controller.core {
                    core.begin_stop();
                    let process = self.controller.processes;
                    self.leave_later(None, process, ms);
                }
            }
            Planned::StoreAway { ms } => {
                if self.controller.is_up() && !self.controller.store_is_away {
                    self.controller.store_is_away = true;
                    self.agenda.put(t + ms, Happening::StoreHeals);
                }
            }
            Planned::BackedUp => self.controller.backup = Some(self.controller.disk.clone()),
            Planned::Restored { ms } => {
                if let Some(backup) = self.controller.backup.take() {
                    self.kill_controller(ms);
                    self.truth.restored(&self.controller.disk, &backup);
                    self.controller.disk = backup;
                }
            }
            _ => {}
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the events")]
    fn befall_network(&mut self, what: &Planned) {
        let t = self.t;
        match *what {
            Planned::StreamCut { host } => {
                for stream in self.live_streams(host) {
                    self.cut(stream);
                }
            }
            Planned::Partition { host, ms } => self.part(host, ms),
            Planned::Noise { host, ms, loss, disorder, repeats } => {
                let line = &mut self.network.lines[host];
                line.noisy_until = t + ms;
                (line.loss, line.disorder, line.repeats) = (loss, disorder, repeats);
            }
            Planned::OldFramesReturn { host } => self.return_old_frames(host),
            Planned::Impostor { host } => {
                let attached = self.live_streams(host).iter().any(|stream| self.is_attached(*stream));
                if !attached || !self.controller.is_up() {
                    return;
                }
                let Some(agent) = &self.hosts[host].process else { return };
                let mut hello = agent.core.hello(Vec::new(), 0);
                hello.ledger.incarnation ^= 1;
                let stream = self.network.open(host, 0, self.controller.processes);
                self.send_up(stream, Up::Hello(Box::new(hello)));
            }
            _ => {}
        }
    }

    fn is_attached(&self, stream: u64) -> bool {
        let Some(stream) = self.network.stream(stream) else { return false };
        stream.agent != 0 && stream.agent_open && stream.controller_open && self.truth.is_attached(stream.host)
    }

    /// Frames of dead streams come again: reports under their old session, and orders of an epoch that is over.
    fn return_old_frames(&mut self, host: usize) {
        for (stream, frame) in self.network.old_up.clone() {
            if self.network.stream(stream).is_some_and(|old| old.host == host && old.cut) {
                self.controller_hears(stream, frame);
            }
        }
        for (_, frame) in self.network.old_down.clone().into_iter().filter(|(of, _)| *of == host) {
            if let Down::Frame(curfew_controller_core::Frame::Order(order)) = frame
                && self.truth.is_of_older_epoch(host, &order)
                && self.hosts[host].is_welcomed()
            {
                self.agent_hears_frame(host, curfew_controller_core::Frame::Order(order));
            }
        }
    }

    /// Everything is mended, so that everything can end.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.log(|| "everything is mended".into());
        self.store_heals();
        self.controller.doomed = None;
        for place in 0..self.hosts.len() {
            self.hosts[place].doomed = None;
            let line = &mut self.network.lines[place];
            line.noisy_until = 0;
            line.parted_until = 0;
        }
        for place in 0..self.guests.len() {
            self.guests[place].until = self.t;
            self.guest_recovers(place);
        }
    }

    /// An operator's request reaches the core.
    pub(crate) fn take_request(&mut self, place: usize, turn: &mut Turn) {
        let now = self.controller.clocks.now(self.t);
        let (_, what) = self.plan.events[place].clone();
        let entropy = self.chances.shells.next();
        let known = |nth: usize| self.operator.known.iter().rev().nth(nth).copied();
        #[allow(clippy::wildcard_enum_match_arm, reason = "only operators' requests come here")]
        match what {
            Planned::Start(asked) => {
                let spec = self.spec_of(&asked, place);
                self.start(spec, entropy, turn);
            }
            Planned::AskAgain { nth, changed } => self.ask_again(nth, changed, entropy, turn),
            Planned::CancelOperation { nth } => {
                if let (Some(id), Some(core)) = (known(nth), self.controller.core.as_mut()) {
                    let answer = core.cancel_operation(now, id, "tester", "changed their mind");
                    self.log(|| format!("cancel of {id}: {:?}", answer.map(|view| view.state)));
                }
            }
            Planned::CancelTask { nth, index } => {
                if let (Some(operation), Some(core)) = (known(nth), self.controller.core.as_mut()) {
                    let id = TaskId { operation, index };
                    let done = core.task(id).is_some_and(|view| view.verdict.is_some());
                    let answer = core.cancel_task(now, id, "tester");
                    if done && answer != Err(CancelError::Ended) {
                        self.truth.fail(1, format!("a cancel of the ended task {id} was answered {answer:?}"));
                    }
                }
            }
            Planned::LabelHost { host } => {
                let name = self.hosts[host].name.clone();
                if let Some(core) = self.controller.core.as_mut().filter(|core| !core.store_is_away()) {
                    let _ = core.label_host(&name, &Labels::from([(LABEL.into(), "lab".into())]), &[]);
                }
            }
            Planned::LabelGuest { guest } => {
                let id = self.guests[guest].id.clone();
                if let Some(core) = self.controller.core.as_mut().filter(|core| !core.store_is_away()) {
                    let set = Labels::from([(LABEL.into(), "lab".into())]);
                    let _ = core.label_guest(id.as_str(), &set, &[]);
                }
            }
            Planned::RemoveHost { host, force } => {
                let name = self.hosts[host].name.clone();
                if let Some(core) = self.controller.core.as_mut().filter(|core| !core.store_is_away()) {
                    let answer = core.remove_host(now, &name, force);
                    self.log(|| format!("removing {name}: {answer:?}"));
                    if answer.is_ok() {
                        self.truth.removed(host);
                    }
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, spec: OperationSpec, entropy: u64, turn: &mut Turn) {
        let now = self.controller.clocks.now(self.t);
        let Some(core) = self.controller.core.as_mut() else { return };
        let answer = core.start(now, "tester", spec.clone(), entropy);
        let id = answer.as_ref().ok().map(|view| view.id);
        self.log(|| format!("asked for {spec:?}: {:?}", answer.map(|view| view.id)));
        turn.started.extend(id);
        if spec.request_id.is_some() {
            self.operator.asked.push((spec, id));
        }
    }

    /// A client that lost its answer asks again.
    fn ask_again(&mut self, nth: usize, changed: bool, entropy: u64, turn: &mut Turn) {
        let Some((mut spec, before)) = self.operator.asked.iter().rev().nth(nth).cloned() else { return };
        if changed {
            spec.reason = "another reason".into();
        }
        let now = self.controller.clocks.now(self.t);
        let Some(core) = self.controller.core.as_mut() else { return };
        let in_memory = before.filter(|id| core.operation(*id).is_some());
        if in_memory.is_none() {
            // The shell asks the store first; what is in neither is a new request.
            return;
        }
        let answer = core.start(now, "tester", spec, entropy);
        let as_it_must_be = match &answer {
            Ok(view) => !changed && Some(view.id) == in_memory,
            Err(error) => {
                changed
                    && matches!(error, curfew_controller_core::StartError::RequestIdReused(id) if Some(*id) == in_memory)
            }
        };
        if !as_it_must_be {
            self.truth.fail(10, format!("a repeated request id was answered {answer:?}"));
        }
        turn.started.extend(answer.ok().map(|view| view.id).filter(|id| !self.operator.known.contains(id)));
    }

    fn spec_of(&self, asked: &Asked, place: usize) -> OperationSpec {
        let mut selection = Selection::default();
        match &asked.wanted {
            Wanted::All => selection.all = true,
            Wanted::AllBut(guest) => {
                selection.all = true;
                selection.exclude = vec![self.guests[*guest].name.parse().expect("names are globs")];
            }
            Wanted::Host(host) => {
                selection.hosts = vec![self.hosts[*host].name.as_str().parse().expect("names are globs")];
            }
            Wanted::Guests(guests) => {
                selection.guest_ids = guests.iter().map(|guest| self.guests[*guest].id.clone()).collect();
            }
            Wanted::Labelled => {
                selection.labels = Some(format!("{LABEL}=lab").parse().expect("a valid selector"));
            }
        }
        OperationSpec {
            not_running: asked.not_running,
            max_in_flight: asked.max_in_flight,
            task_timeout_ms: asked.task_timeout_ms,
            deliver_within_ms: asked.deliver_within_ms,
            deadline_ms: asked.deadline_ms,
            request_id: asked.with_request_id.then(|| format!("request-{place}")),
            ..OperationSpec::plain(selection)
        }
    }
}

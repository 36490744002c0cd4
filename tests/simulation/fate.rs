//! What the plan has in store besides requests, carried out: crashes, losses, cuts, and the day when all is mended.

use crate::controller_shell::Input;
use crate::happening::{Down, Happening, Up};
use crate::plan::{CrashPoint, Planned};
use crate::world::World;

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
            | Planned::Retry { .. }
            | Planned::Pause { .. }
            | Planned::Resume { .. }
            | Planned::Promote { .. }
            | Planned::Approve { .. }
            | Planned::Reject { .. }
            | Planned::Freeze { .. }
            | Planned::Unfreeze
            | Planned::Hold { .. }
            | Planned::Release { .. }
            | Planned::Protect { .. }
            | Planned::Unprotect { .. }
            | Planned::CancelOperation { .. }
            | Planned::CancelTask { .. }
            | Planned::LabelHost { .. }
            | Planned::LabelGuest { .. }
            | Planned::Drain { .. }
            | Planned::Undrain { .. }
            | Planned::RemoveHost { .. } => {
                if self.controller.is_up() {
                    self.controller_takes(Input::Asked(place));
                }
            }
            Planned::LogOn { guest, person } => self.guests[guest].log_on(self.t, person),
            Planned::SessionChanges { guest, nth, goes_away } => {
                self.guests[guest].changes(self.t, nth, goes_away);
            }
            Planned::EverybodyChanges { goes_away } => {
                let t = self.t;
                for guest in &mut self.guests {
                    (0..guest.sessions.len()).for_each(|nth| guest.changes(t, nth, goes_away));
                }
            }
            Planned::Rush { person } => {
                let t = self.t;
                self.guests.iter_mut().for_each(|guest| guest.log_on(t, person));
            }
            Planned::OthersMoveDoor { guest, closes } => self.guests[guest].door.others(closes),
            Planned::LogOff { guest } => {
                if let Some(serial) = self.guests[guest].sessions.first().map(|session| session.serial) {
                    let t = self.t;
                    self.guests[guest].session_died(t, serial);
                }
            }
            Planned::Afflict { guest, condition, ms } => self.afflict(guest, condition, ms),
            Planned::Claimed { guest, by } => {
                if !self.guests[guest].is_host {
                    self.guests[guest].has_moved |= self.guests[guest].host != by;
                    self.guests[guest].host = by;
                    self.tell_inventory(guest);
                }
            }
            Planned::ClockSet { host, by_ms } => {
                let clocks = match host {
                    Some(host) => &mut self.hosts[host].clocks,
                    None => &mut self.controller.clocks,
                };
                clocks.set_wall(by_ms);
            }
            Planned::AgentCrashes { .. }
            | Planned::AgentStops { .. }
            | Planned::HostReboots { .. }
            | Planned::LedgerLost { .. }
            | Planned::LedgerRolledBack { .. }
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
            Planned::AgentCrashes { host, .. }
            | Planned::AgentStops { host, .. }
            | Planned::HostReboots { host, .. }
            | Planned::LedgerRolledBack { host, .. }
                if self.hosts[host].unjudged => {}
            // Nor can a controller remember its judgement that loses its store and then its memory.
            Planned::LedgerRolledBack { .. } if self.controller.store_is_away => {}
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
                self.hosts[host].rewritten = 0;
                self.hosts[host].incarnation = self.chances.shells.next();
                self.truth.ledger_lost(host);
            }
            Planned::LedgerRolledBack { host, ms } => self.roll_ledger_back(host, ms),
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

    pub(crate) fn reboot_host(&mut self, host: usize, ms: u64, guests_survive: bool) {
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
                    self.controller.stopping = true;
                    let process = self.controller.processes;
                    self.leave_later(None, process, ms);
                }
            }
            Planned::StoreAway { .. } if self.hosts.iter().any(|host| host.unjudged) => {}
            Planned::StoreAway { ms } if self.controller.is_up() && !self.controller.store_is_away => {
                self.controller.store_is_away = true;
                self.agenda.put(t + ms, Happening::StoreHeals);
            }
            Planned::BackedUp => self.controller.backup = Some(self.controller.disk.clone()),
            Planned::Restored { ms } => {
                if let Some(backup) = self.controller.backup.take() {
                    self.kill_controller(ms);
                    self.truth.restored(&self.controller.disk, &backup);
                    self.model.restored(&backup);
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
        stream.agent != 0
            && stream.agent_open
            && stream.controller_open
            && self.truth.is_attached(stream.host)
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
}

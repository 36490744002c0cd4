//! Calls between agents and guests: they take time, wait in frozen guests, outlive the agent that made them, and
//! their answers can come too late or never.

use crate::guest::{Effect, Refusal, Within};
use crate::happening::{Answer, Happening};
use crate::plan::Condition;
use crate::world::World;
use curfew_agent_core::call::{EndMode, Error, Request};
use curfew_types::{GuestId, StatusCode, TaskId};

/// One call of an agent's core.
pub(crate) struct Call {
    host: usize,
    process: u64,
    /// The boot of the host in which it was made: what a host had under way dies with it.
    boot: u64,
    number: u64,
    guest: usize,
    request: Request,
    /// On whose behalf, as an observer of the agent sees it.
    task: Option<TaskId>,
    /// After this moment it may end nobody's session.
    over: u64,
    answered: bool,
}

impl World {
    /// Sends a call on its way.
    pub(crate) fn call_guest(
        &mut self,
        host: usize,
        number: u64,
        guest: &GuestId,
        request: Request,
        budget_ms: u64,
    ) {
        let t = self.t;
        let process = self.hosts[host].processes;
        let known = self.guests.iter().position(|known| known.id == *guest && known.host == host);
        let task = match &request {
            Request::List(_) => None,
            Request::End { session, how, .. } => self.check_end_call(host, guest, session, *how),
            Request::Notify { sessions, text } => self.check_notify_call(host, guest, sessions, text),
            Request::Drain(order) => {
                self.check_drain_call(host, guest, order);
                None
            }
            Request::Undrain => {
                self.check_undrain_call(host, guest);
                None
            }
        };
        let call = self.calls.len();
        self.calls.push(Call {
            host,
            process,
            boot: self.hosts[host].boot,
            number,
            guest: known.unwrap_or(usize::MAX),
            request: request.clone(),
            task,
            over: t + budget_ms,
            answered: false,
        });
        self.log(|| format!("host {host} asks {guest}: {request:?} within {budget_ms} ms (call {call})"));
        if known.is_some() {
            let rng = &mut self.chances.guests;
            let way = if rng.chance(90) { rng.between(1, 150) } else { rng.between(100, 4_000) };
            self.agenda.put(t + way, Happening::CallReached { call });
            self.agenda.put(t + budget_ms, Happening::CallOver { call });
        } else {
            let answer = Answer::failed(&request, Error::new(StatusCode::VmUnknown, "no such guest here"));
            self.agenda.put(t + 1, Happening::CallAnswered { call, answer });
        }
    }

    pub(crate) fn call_reached(&mut self, place: usize) {
        let call = &self.calls[place];
        let is_orphan =
            self.hosts[call.host].process.is_none() || self.hosts[call.host].processes != call.process;
        if self.hosts[call.host].boot != call.boot || (is_orphan && self.chances.guests.chance(30)) {
            return;
        }
        let guest = &mut self.guests[call.guest];
        if guest.condition == Some(Condition::Frozen) {
            guest.buffered.push(place);
            return;
        }
        self.carry_out_call(place);
    }

    fn carry_out_call(&mut self, place: usize) {
        let t = self.t;
        let call = &self.calls[place];
        let (host, target, task) = (call.host, call.guest, call.task);
        let is_forced = matches!(call.request, Request::End { how: EndMode::Force, .. });
        let in_time = t <= call.over;
        let moved = self.guests[target].host != host;
        let (answer, effect) = if moved {
            (Answer::failed(&call.request, Error::new(StatusCode::VmUnknown, "it has moved")), None)
        } else {
            let (rng, agenda) = (&mut self.chances.guests, &mut self.agenda);
            let mut within = Within { t, in_time, rng, agenda, place: target };
            self.guests[target].carry_out(&call.request, &mut within)
        };
        match effect {
            Some(Effect::Ended(session, was)) => {
                self.log(|| format!("call {place} tells {session:?} to end for {task:?}"));
                self.check_effect(host, target, task, (&session, was), is_forced);
            }
            Some(Effect::Shown(sessions)) => {
                self.log(|| format!("call {place} is shown to {sessions:?} for {task:?}"));
                self.check_shown(task, &sessions);
            }
            Some(Effect::DoorMoved) => {
                let closed = self.guests[target].door.closed;
                if closed == Some(Refusal::SomebodyElses) {
                    self.truth.met.insert("somebody else's");
                }
                self.log(|| format!("call {place} leaves the door of guest {target} as {closed:?}"));
            }
            None => {}
        }
        let rng = &mut self.chances.guests;
        let way = if rng.chance(92) { rng.between(1, 100) } else { rng.between(100, 6_000) };
        self.agenda.put(t + way, Happening::CallAnswered { call: place, answer });
    }

    pub(crate) fn call_over(&mut self, place: usize) {
        let error = Error::new(StatusCode::TimedOut, "no answer in time");
        let answer = Answer::failed(&self.calls[place].request, error);
        self.call_answered(place, answer);
    }

    pub(crate) fn call_answered(&mut self, place: usize, answer: Answer) {
        let call = &mut self.calls[place];
        let (host, process, number) = (call.host, call.process, call.number);
        if std::mem::replace(&mut call.answered, true) || self.hosts[host].processes != process {
            return;
        }
        self.log(|| format!("host {host} hears of call {place}: {answer:?}"));
        if let Answer::Listed(Ok(list)) = &answer {
            let guest = self.calls[place].guest;
            self.note_listed(host, guest, list);
        }
        self.agent_takes(host, answer.into_event(number));
    }

    /// Lets a guest suffer from something for a while.
    pub(crate) fn afflict(&mut self, place: usize, condition: Condition, ms: u64) {
        let t = self.t;
        let guest = &mut self.guests[place];
        if guest.condition.is_some() {
            return;
        }
        if matches!(condition, Condition::Stopped | Condition::Rebooting) {
            guest.go_down(t);
        }
        let ms = if condition == Condition::Rebooting { ms.min(3_000) } else { ms };
        guest.condition = Some(condition);
        guest.until = t + ms;
        self.agenda.put(t + ms, Happening::GuestRecovers { guest: place });
        self.tell_inventory(place);
    }

    pub(crate) fn guest_recovers(&mut self, place: usize) {
        let t = self.t;
        let guest = &mut self.guests[place];
        if guest.condition.is_none() || t < guest.until {
            return;
        }
        let had = guest.condition.take();
        self.log(|| format!("guest {place} recovers from {had:?}"));
        self.tell_inventory(place);
        for call in std::mem::take(&mut self.guests[place].buffered) {
            self.carry_out_call(call);
        }
    }
}

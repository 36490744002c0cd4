//! Guests that refuse new logons for a while: what was asked for is written down, kept in force, and lifted when its
//! time is over, whether or not a controller is there. Several drains of a guest are a set: the last one counts.

mod books;

use crate::call::{DrainOrder, DrainReply, Error, Request, UndrainReply};
use crate::core::{Caller, Core, PlantedBug};
use crate::ledger::Entry;
use crate::run::{Phase, Run};
use crate::steps::UNEXPLAINED_MAX;
use crate::verdicts;
use curfew_types::drain::DRAINS_MAX;
use curfew_types::operation::TEXT_MAX;
use curfew_types::outcome::{MESSAGE_MAX, truncate_at_char};
use curfew_types::{
    Drain, DrainAsk, DrainFor, DrainOwner, DrainState, DrainWish, GuestId, Mono, Now, Outcome, StatusCode,
    TaskId, Verdict, WallTime,
};
use std::collections::BTreeMap;

pub(crate) use books::DrainBooks;
use books::begun_entry;

/// After how long a guest that refuses logons is told again: it may have been rebooted and have forgotten.
const AGAIN_MS: u64 = 60_000;
/// First and longest pause before a guest that could not be told is told again.
const PAUSE_FIRST_MS: u64 = 1_000;
/// See [`PAUSE_FIRST_MS`].
const PAUSE_MAX_MS: u64 = 60_000;
/// After how long a guest that cannot be told to take logons again is given up: by then it is gone, or its own timer
/// has lifted the drain.
const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// More drains than this are told with short texts: a large host, each of whose guests is drained twice.
const MANY: usize = 1_000;
/// See [`MANY`].
const MANY_TEXT_MAX: usize = 64;
/// What people are shown who try to log on.
const REFUSED: &str = "Logons are refused for now.";

/// One drain of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) ends: Mono,
    pub(crate) until: WallTime,
    /// For how long it was asked for, in milliseconds.
    pub(crate) for_ms: u64,
    pub(crate) by: String,
    pub(crate) reason: String,
}

/// The drains of one guest, and how the guest stands.
#[derive(Debug)]
pub(crate) struct GuestDrains {
    /// Empty: the guest is to take logons again.
    kept: BTreeMap<DrainOwner, Kept>,
    /// The last one, while the guest is still to be let go; `None` where that is not known, and while there are others.
    over: Option<(DrainOwner, Kept)>,
    state: DrainState,
    problem: String,
    /// What kept the guest from being told, if a run that waits for it must not wait longer.
    refusal: Option<Error>,
    call: Option<u64>,
    /// What the call that is out says is no longer what is wanted; empties with its answer.
    stale: bool,
    /// When the guest was told last, or was to be.
    told_at: Mono,
    next: Mono,
    pause_ms: u64,
    /// When a guest that cannot be told is given up; counts from the end of the last drain.
    gives_up: Mono,
}

/// All drains of this agent's guests.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    guests: BTreeMap<GuestId, GuestDrains>,
    /// A report has to say them; empties with the next one.
    pub(crate) untold: bool,
    /// The hello of the stream that is about to begin has told them as they were then; empties with its welcome.
    pub(crate) told_in_hello: bool,
    /// Until then what the process before this one told a guest may still be carried out there.
    strays_until: Mono,
}

impl GuestDrains {
    fn new(now: Now, state: DrainState) -> GuestDrains {
        GuestDrains {
            kept: BTreeMap::new(),
            over: None,
            state,
            problem: String::new(),
            refusal: None,
            call: None,
            stale: false,
            told_at: now.mono,
            next: now.mono,
            pause_ms: 0,
            gives_up: now.mono.plus(GIVE_UP_MS),
        }
    }

    /// The one that ends last.
    fn last(&self) -> Option<&Kept> {
        self.kept.values().max_by_key(|kept| kept.ends)
    }

    /// What the guest is to be told has changed: it is told at once, or after the call that is out.
    fn changed(&mut self, now: Now) {
        self.state = match self.state {
            _ if self.kept.is_empty() => DrainState::Lifting,
            DrainState::Lifting => DrainState::Pending,
            state @ (DrainState::Pending | DrainState::InForce | DrainState::SomebodyElses) => state,
        };
        self.stale = self.call.is_some();
        self.refusal = None;
        self.pause_ms = 0;
        self.next = now.mono;
        self.gives_up = now.mono.plus(GIVE_UP_MS);
    }

    fn failed(&mut self, now: Now, error: Error) {
        self.pause_ms = (self.pause_ms * 2).clamp(PAUSE_FIRST_MS, PAUSE_MAX_MS);
        self.next = now.mono.plus(self.pause_ms);
        self.problem.clone_from(&error.message);
        truncate_at_char(&mut self.problem, MESSAGE_MAX);
        let is_final = matches!(
            error.code,
            StatusCode::AdditionsFeatureNotAvail
                | StatusCode::AccessDenied
                | StatusCode::VmUnknown
                | StatusCode::VmNotRunning
                | StatusCode::VmPaused
        );
        self.refusal = is_final.then_some(error);
    }
}

impl Drains {
    /// As the controller is told.
    pub(crate) fn shown(&self) -> Vec<Drain> {
        // All of them go in one message: of very many the texts are cut, so that it stays below 4 MiB.
        let text_max = if self.count() > MANY { MANY_TEXT_MAX } else { TEXT_MAX };
        let cut = |text: &str| {
            let mut text = text.to_owned();
            truncate_at_char(&mut text, text_max);
            text
        };
        let of = |(guest, drains): (&GuestId, &GuestDrains)| {
            let shown = |(owner, kept): (&DrainOwner, &Kept)| Drain {
                guest: guest.clone(),
                owner: *owner,
                until: kept.until,
                by: cut(&kept.by),
                reason: cut(&kept.reason),
                state: drains.state,
                problem: cut(&drains.problem),
            };
            let over = drains.over.iter().map(|(owner, kept)| (owner, kept));
            let all: Vec<Drain> = drains.kept.iter().chain(over).map(shown).collect();
            all
        };
        self.guests.iter().flat_map(of).take(DRAINS_MAX).collect()
    }

    pub(crate) fn timeout(&self) -> Option<(Mono, &'static str)> {
        let of = |drains: &GuestDrains| {
            let ends = drains.kept.values().map(|kept| kept.ends).min();
            let next = drains.call.is_none().then_some(drains.next);
            ends.into_iter().chain(next).min()
        };
        self.guests.values().filter_map(of).min().map(|at| (at, "a drain goes on or ends"))
    }

    fn count(&self) -> usize {
        self.guests.values().map(|drains| drains.kept.len()).sum()
    }
}

impl Core {
    /// Somebody asks by hand.
    pub(crate) fn handle_drain_ask(&mut self, now: Now, ask: DrainAsk) {
        self.drains.untold = true;
        match ask.what {
            DrainWish::Set { .. } if self.is_held(&ask.guest) => {
                let text = format!("did not drain {}: it is held, and nothing touches it", ask.guest);
                self.note(true, text);
            }
            DrainWish::Set { for_ms, by, reason } => {
                let (ends, until) = (now.mono.plus(for_ms), now.wall.plus(for_ms));
                let kept = Kept { ends, until, for_ms, by, reason };
                if !self.begin_drain(now, ask.guest.clone(), DrainOwner::Hand, kept) {
                    let text = format!("did not drain {}: there are {DRAINS_MAX} drains already", ask.guest);
                    self.note(true, text);
                }
            }
            DrainWish::Lift(owner) => self.end_drain(now, &ask.guest, owner),
            DrainWish::LiftAll => {
                let owners = self.drains.guests.get(&ask.guest).map(|drains| drains.kept.keys().copied());
                for owner in owners.into_iter().flatten().collect::<Vec<_>>() {
                    self.end_drain(now, &ask.guest, owner);
                }
                // A guest that came here drained: its drains are in another host's ledger.
                let lifting = || GuestDrains::new(now, DrainState::Lifting);
                self.drains.guests.entry(ask.guest).or_insert_with(lifting);
            }
        }
    }

    /// Begins the drain of a run, which waits for it, unless a process before this one has.
    pub(crate) fn begin_drain_of(&mut self, now: Now, id: TaskId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let owner = DrainOwner::Operation(id.operation);
        if run.drain_begun {
            let drains = self.drains.guests.get(&run.guest);
            let drains = drains.filter(|drains| drains.kept.contains_key(&owner));
            // It is over, or the guest refuses logons already.
            if drains.is_none_or(|drains| drains.state.refuses()) {
                run.phase = Phase::Looking;
            }
            return;
        }
        run.drain_begun = true;
        let for_ms = match run.logoff.drain {
            Some(DrainFor::Ms(ms)) => ms,
            Some(DrainFor::TheTask) => run.expires.since(now.mono),
            None => return,
        };
        let (ends, until) = (now.mono.plus(for_ms), now.wall.plus(for_ms));
        let kept = Kept { ends, until, for_ms, by: String::new(), reason: String::new() };
        let guest = run.guest.clone();
        if !self.begin_drain(now, guest, owner, kept) {
            let why = format!(
                "this host has {DRAINS_MAX} drains already, so the guest was not closed to new logons"
            );
            let error = Error::new(StatusCode::AdditionsFeatureNotAvail, why);
            self.finish(now, id, verdicts::refused(&error), false);
        }
    }

    /// Returns whether there was room for it.
    fn begin_drain(&mut self, now: Now, guest: GuestId, owner: DrainOwner, mut kept: Kept) -> bool {
        if self.planted(PlantedBug::IgnoresDrainExpiry) {
            kept.ends = Mono(u64::MAX);
        }
        if self.drains.count() >= DRAINS_MAX {
            return false;
        }
        if !self.planted(PlantedBug::DrainsWithoutWriting) {
            self.write(begun_entry(&guest, owner, &self.boot.clone(), &kept));
        }
        let drains = self.drains.guests.entry(guest);
        let drains = drains.or_insert_with(|| GuestDrains::new(now, DrainState::Pending));
        drains.kept.insert(owner, kept);
        drains.over = None;
        drains.changed(now);
        self.drains.untold = true;
        true
    }

    fn end_drain(&mut self, now: Now, guest: &GuestId, owner: DrainOwner) {
        let Some(drains) = self.drains.guests.get_mut(guest) else { return };
        let before = drains.last().map(|kept| kept.ends);
        let Some(ended) = drains.kept.remove(&owner) else { return };
        // It is told on until the guest is let go, so that nobody takes it for open before.
        drains.over = drains.kept.is_empty().then_some((owner, ended));
        if drains.last().map(|kept| kept.ends) != before {
            drains.changed(now);
        }
        self.drains.untold = true;
        if !self.planted(PlantedBug::DrainsWithoutWriting) {
            self.write(Entry::DrainOver { guest: guest.clone(), owner });
        }
        // A run that waited for it goes on without.
        for (id, run) in &mut self.runs {
            let waits = run.phase == Phase::Draining && run.guest == *guest;
            if waits && owner == DrainOwner::Operation(id.operation) {
                run.phase = Phase::Looking;
                run.next = now.mono;
            }
        }
    }

    /// Whether this operation keeps new logons out of the guest.
    pub(crate) fn keeps_out(&self, id: TaskId, guest: &GuestId) -> bool {
        let drains = self.drains.guests.get(guest);
        drains.is_some_and(|drains| drains.kept.contains_key(&DrainOwner::Operation(id.operation)))
    }

    /// What becomes of the drain of a task that ends: one for a time goes on unless nothing was done, or the task was taken
    /// back.
    pub(crate) fn end_drain_of(&mut self, now: Now, id: TaskId, run: &Run, verdict: &Verdict) {
        let is_over = match run.logoff.drain {
            None => return,
            Some(DrainFor::TheTask) => true,
            Some(DrainFor::Ms(_)) => {
                matches!(verdict.outcome, Outcome::Refused | Outcome::Cancelled | Outcome::Skipped)
            }
        };
        if is_over {
            self.end_drain(now, &run.guest, DrainOwner::Operation(id.operation));
        }
    }

    /// Ends what is over, and tells the guests that are to be told something.
    pub(crate) fn drains_due(&mut self, now: Now) {
        if self.drains.timeout().is_none_or(|(at, _)| at > now.mono) {
            return;
        }
        let over = |drains: &GuestDrains| -> Vec<DrainOwner> {
            let is_over = |(_, kept): &(&DrainOwner, &Kept)| now.mono >= kept.ends;
            drains.kept.iter().filter(is_over).map(|(owner, _)| *owner).collect()
        };
        let over: Vec<(GuestId, Vec<DrainOwner>)> =
            self.drains.guests.iter().map(|(guest, drains)| (guest.clone(), over(drains))).collect();
        for (guest, owners) in over {
            for owner in owners {
                self.end_drain(now, &guest, owner);
            }
        }
        let is_due = |drains: &GuestDrains| drains.call.is_none() && now.mono >= drains.next;
        let due: Vec<GuestId> = self
            .drains
            .guests
            .iter()
            .filter(|(_, drains)| is_due(drains))
            .map(|(guest, _)| guest.clone())
            .collect();
        for guest in due {
            self.tell_guest(now, guest);
        }
    }

    fn tell_guest(&mut self, now: Now, guest: GuestId) {
        let is_held = self.is_held(&guest);
        let Some(drains) = self.drains.guests.get_mut(&guest) else { return };
        let request = match drains.last() {
            // Nothing is done in it that nobody waits for; it is let go all the same when the drain ends.
            Some(_) if is_held => {
                drains.next = now.mono.plus(AGAIN_MS);
                return;
            }
            Some(kept) => Request::Drain(DrainOrder {
                for_ms: kept.ends.since(now.mono).max(1),
                text: if kept.reason.is_empty() { REFUSED.to_owned() } else { kept.reason.clone() },
            }),
            None if now.mono >= drains.gives_up => return self.forget_drains(&guest),
            None => Request::Undrain,
        };
        let until = now.mono.plus(self.settings.call_max_ms);
        let call = self.call(Caller::Drains(guest.clone()), guest.clone(), request, until);
        if let Some(drains) = self.drains.guests.get_mut(&guest) {
            drains.call = Some(call);
            drains.told_at = now.mono;
        }
    }

    pub(crate) fn drained(&mut self, now: Now, guest: &GuestId, result: Result<DrainReply, Error>) {
        let Some(drains) = self.drains.guests.get_mut(guest) else { return };
        drains.call = None;
        // It was lifted or changed meanwhile: what the guest is to be told now is told next.
        if std::mem::take(&mut drains.stale) {
            drains.next = now.mono;
            return;
        }
        let before = (drains.state, drains.problem.clone());
        let mut failure = None;
        match result {
            Ok(reply) => {
                drains.state = match reply {
                    DrainReply::InForce => DrainState::InForce,
                    DrainReply::SomebodyElses => DrainState::SomebodyElses,
                };
                drains.problem.clear();
                (drains.refusal, drains.pause_ms) = (None, 0);
                drains.next = now.mono.plus(AGAIN_MS);
            }
            Err(error) => {
                drains.state = DrainState::Pending;
                drains.failed(now, error.clone());
                failure = Some(error);
            }
        }
        self.drains.untold |= before != (drains.state, drains.problem.clone());
        self.runs_of_drained_guest(now, guest, failure.as_ref());
    }

    /// Lets runs that waited for this guest's drain go on, or ends them where it can never be.
    fn runs_of_drained_guest(&mut self, now: Now, guest: &GuestId, failure: Option<&Error>) {
        let Some(drains) = self.drains.guests.get(guest) else { return };
        let (refusal, refuses) = (drains.refusal.clone(), drains.state.refuses());
        let waits = |run: &Run| run.phase == Phase::Draining && run.guest == *guest;
        let waiting: Vec<TaskId> =
            self.runs.iter().filter(|(_, run)| waits(run)).map(|(id, _)| *id).collect();
        for id in waiting {
            if let Some(error) = &refusal {
                self.finish(now, id, verdicts::refused(error), false);
            } else if let Some(run) = self.runs.get_mut(&id) {
                if refuses {
                    run.phase = Phase::Looking;
                    run.next = now.mono;
                    (run.unexplained, run.last_error) = (0, None);
                } else if let Some(error) = failure {
                    run.unexplained += u32::from(error.code == StatusCode::Unexpected);
                    run.last_error = Some(error.clone());
                    if run.unexplained >= UNEXPLAINED_MAX {
                        self.finish(now, id, verdicts::provider_failed(error), false);
                    }
                }
            }
        }
    }

    pub(crate) fn undrained(&mut self, now: Now, guest: &GuestId, result: Result<UndrainReply, Error>) {
        let strays_until = self.drains.strays_until;
        let Some(drains) = self.drains.guests.get_mut(guest) else { return };
        drains.call = None;
        // Somebody drained it again meanwhile.
        if std::mem::take(&mut drains.stale) {
            drains.next = now.mono;
            return;
        }
        match result {
            // A request of the process before this one may still close it again.
            Ok(_) if drains.told_at < strays_until => drains.next = strays_until,
            Ok(UndrainReply::Lifted | UndrainReply::SomebodyElses) => self.forget_drains(guest),
            Err(error) => {
                let before = drains.problem.clone();
                drains.failed(now, error);
                self.drains.untold |= before != drains.problem;
            }
        }
    }

    fn forget_drains(&mut self, guest: &GuestId) {
        self.drains.guests.remove(guest);
        self.drains.untold = true;
        self.write(Entry::Undrained { guest: guest.clone() });
    }
}

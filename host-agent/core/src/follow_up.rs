//! Looking again after an outcome that left a question open, and telling the answer as late news. It ends nobody.

use crate::acting::Acting;
use crate::call::{Error, Look, Request, SessionList};
use crate::core::{Caller, Core, Settings};
use crate::ledger::Entry;
use crate::run::Run;
use crate::verdicts;
use curfew_types::agent::Finding;
use curfew_types::{GuestId, Mono, Now, StatusCode, TaskId, Verdict};

/// First pause before looking.
const FIRST_PAUSE_MS: u64 = 1_000;

/// A guest that is looked at again.
#[derive(Debug)]
pub(crate) struct FollowUp {
    pub(crate) guest: GuestId,
    pub(crate) acting: Option<Acting>,
    /// What remains was told already: only its end is news.
    pub(crate) remaining_told: bool,
    pub(crate) call: Option<u64>,
    pub(crate) next: Mono,
    pub(crate) pause_ms: u64,
    pub(crate) until: Mono,
}

impl FollowUp {
    /// A follow-up of a run that ends now.
    pub(crate) fn after(now: Now, settings: &Settings, run: &Run) -> FollowUp {
        let acting = run.acting.clone();
        let remaining_told = acting.as_ref().is_some_and(|acting| acting.seen);
        FollowUp::new(now, settings, run.guest.clone(), acting, remaining_told)
    }

    pub(crate) fn new(
        now: Now,
        settings: &Settings,
        guest: GuestId,
        acting: Option<Acting>,
        remaining_told: bool,
    ) -> FollowUp {
        FollowUp {
            guest,
            acting,
            remaining_told,
            call: None,
            next: now.mono.plus(FIRST_PAUSE_MS),
            pause_ms: FIRST_PAUSE_MS,
            until: now.mono.plus(settings.follow_up_ms),
        }
    }

    pub(crate) fn timeout(&self) -> Option<(Mono, &'static str)> {
        self.call.is_none().then_some((self.next, "a guest is looked at again"))
    }
}

impl Core {
    pub(crate) fn follow_up_due(&mut self, now: Now) {
        let due = |follow_up: &FollowUp| follow_up.call.is_none() && now.mono >= follow_up.next;
        let tasks: Vec<TaskId> = self.follow_ups.iter().filter(|(_, f)| due(f)).map(|(id, _)| *id).collect();
        for id in tasks {
            let Some(follow_up) = self.follow_ups.get(&id) else { continue };
            if now.mono >= follow_up.until {
                self.end_follow_up(id);
                continue;
            }
            let guest = follow_up.guest.clone();
            let until = now.mono.plus(self.settings.call_max_ms);
            let call = self.call(Caller::FollowUp(id), guest, Request::List(Look { processes: true }), until);
            if let Some(follow_up) = self.follow_ups.get_mut(&id) {
                follow_up.call = Some(call);
            }
        }
    }

    pub(crate) fn follow_up_listed(&mut self, now: Now, id: TaskId, result: Result<SessionList, Error>) {
        let pause_max = self.settings.follow_up_pause_max_ms;
        let Some(follow_up) = self.follow_ups.get_mut(&id) else { return };
        follow_up.call = None;
        follow_up.pause_ms = (follow_up.pause_ms * 2).min(pause_max);
        follow_up.next = now.mono.plus(follow_up.pause_ms);
        let news: Option<(Verdict, bool)> = match (result, &mut follow_up.acting) {
            (Ok(list), None) => Some((verdicts::answers_again(list.sessions.len()), true)),
            (Ok(list), Some(acting)) => {
                if !acting.look(&list) {
                    Some((verdicts::guest_stopped(acting), true))
                } else if acting.all_gone() {
                    Some((verdicts::ended(acting), true))
                } else {
                    let told = std::mem::replace(&mut follow_up.remaining_told, true);
                    (!told).then(|| (verdicts::sessions_remain(acting), false))
                }
            }
            (Err(error), acting) => match (error.code, acting) {
                (StatusCode::VmNotRunning, Some(acting)) => Some((verdicts::guest_stopped(acting), true)),
                (StatusCode::VmNotRunning, None) => Some((verdicts::stopped_since(), true)),
                (StatusCode::VmUnknown | StatusCode::AdditionsFeatureNotAvail, _) => {
                    return self.end_follow_up(id);
                }
                _ => None,
            },
        };
        let Some((verdict, closes)) = news else { return };
        let guest = follow_up.guest.clone();
        if closes {
            self.follow_ups.remove(&id);
        }
        self.say(
            Finding { operation: id.operation, index: id.index, guest, verdict: verdict.into(), late: true },
            closes,
        );
    }

    fn end_follow_up(&mut self, id: TaskId) {
        self.follow_ups.remove(&id);
        self.write(Entry::FollowUpOver { operation: id.operation, index: id.index });
    }
}

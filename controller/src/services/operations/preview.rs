//! Previews: each selected guest in or out with the reason, and on request who is logged on to it now.

use super::{Operations, parse};
use crate::services::sessions::{Asking, Heard, timeout_ms};
use crate::services::{Error, page, present};
use curfew_controller_core::Core;
use curfew_controller_core::fleet::GuestView;
use curfew_controller_core::select::{Plan, PlannedGuest};
use curfew_proto::v1;
use curfew_types::{GuestId, Mismatch, SessionFilter, StatusCode};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Answers that wait for this call to take them; it does nothing else.
const ANSWER_QUEUE: usize = 64;

impl Operations {
    pub(super) async fn preview(
        &self,
        request: v1::PreviewOperationRequest,
    ) -> Result<v1::PreviewOperationResponse, Error> {
        let spec = parse(request.spec, String::new())?;
        let (size, live) = (page::size(request.page_size), request.live);
        let timeout_ms = timeout_ms("live_timeout", request.live_timeout)?;
        let from = match page::parts::<1>(&request.page_token)? {
            Some([at]) => {
                at.parse().map_err(|_| Error::invalid("page_token", "it is not one of this call's"))?
            }
            None => 0_usize,
        };
        let is_drawn = spec.rollout.seed.is_some();
        let meant = spec.logoff.sessions.clone();
        let look = move |core: &mut Core, _| {
            let plan = core.plan(&spec, None)?;
            let shown = plan.guests().skip(from).take(if live { size } else { 0 });
            let guests = shown.filter_map(|guest| core.guest(guest.target.id.as_str()).ok()).collect();
            Ok::<(Plan, Vec<GuestView>), curfew_controller_core::StartError>((plan, guests))
        };
        let (plan, guests) = self.handle.ask_safer(look).await?.value?;
        let heard = if live { self.ask_agents(guests, timeout_ms, meant).await? } else { HashMap::new() };
        let (included, all) = (plan.included(), u64::from(plan.selected()));
        let mut present = Presenting { heard, live, has_waves: is_drawn && plan.wave_sizes.len() > 1 };
        let shown = plan.guests().skip(from).take(size);
        let mut guests: Vec<v1::PreviewGuest> = shown.map(|guest| present.guest(guest)).collect();
        page::cut(&mut guests);
        let next = from.saturating_add(guests.len());
        let more = all > next as u64 && !guests.is_empty();
        Ok(v1::PreviewOperationResponse {
            guests,
            next_page_token: if more { page::token(&[&next.to_string()]) } else { String::new() },
            included_count: included,
            left_out_count: all - included,
            ..of_the_whole(plan)
        })
    }

    /// What the agents say of the guests' sessions, each with why it would be left alone, if it would.
    async fn ask_agents(
        &self,
        guests: Vec<GuestView>,
        timeout_ms: u64,
        meant: SessionFilter,
    ) -> Result<HashMap<GuestId, Answered>, Error> {
        let (tx, mut rx) = mpsc::channel(ANSWER_QUEUE);
        let asking = Asking { handle: self.handle.clone(), queries: self.queries.clone(), timeout_ms, tx };
        tokio::spawn(asking.run(guests));
        let mut heard = Vec::new();
        while let Some(one) = rx.recv().await {
            heard.push(one);
        }
        let protect = move |core: &mut Core, _| {
            let answered = |Heard { view, code, sessions, listed, .. }: Heard| {
                let session = |session: v1::Session| {
                    let mismatch = listed.mismatch(&meant, &session).map(Mismatch::as_str);
                    let protected = core.is_protected(&session.user).then_some("its user is protected");
                    let why = protected.or(mismatch);
                    v1::PreviewSession {
                        excluded: why.is_some(),
                        excluded_because: why.unwrap_or_default().to_owned(),
                        session: Some(session),
                    }
                };
                (
                    view.guest.id.clone(),
                    Answered { code, sessions: sessions.into_iter().map(session).collect() },
                )
            };
            heard.into_iter().map(answered).collect()
        };
        Ok(self.handle.ask_safer(protect).await?.value)
    }
}

/// What was heard of one guest.
struct Answered {
    code: StatusCode,
    sessions: Vec<v1::PreviewSession>,
}

struct Presenting {
    heard: HashMap<GuestId, Answered>,
    live: bool,
    has_waves: bool,
}

impl Presenting {
    fn guest(&mut self, planned: PlannedGuest<'_>) -> v1::PreviewGuest {
        let included = planned.left_out.is_none();
        let heard = self.heard.remove(&planned.target.id);
        // A guest that nobody could be asked about is never shown as an empty one.
        let silent = || Answered { code: StatusCode::VmUnknown, sessions: Vec::new() };
        let heard = self.live.then(|| heard.unwrap_or_else(silent));
        let (code, sessions) = heard.map(|heard| (heard.code, heard.sessions)).unzip();
        v1::PreviewGuest {
            guest_id: planned.target.id.to_string(),
            guest_name: planned.target.name.to_string(),
            host: planned.host.to_string(),
            included,
            note: planned.note.to_owned(),
            wave: if included && self.has_waves { u32::from(planned.target.wave) + 1 } else { 0 },
            session_status: code.map(Into::into),
            sessions: sessions.unwrap_or_default(),
        }
    }
}

/// What a preview says of the plan as a whole.
fn of_the_whole(plan: Plan) -> v1::PreviewOperationResponse {
    v1::PreviewOperationResponse {
        selection_digest: present::digest(plan.digest),
        needs_approval: plan.needs_approval,
        wave_sizes: plan.wave_sizes,
        blocked_by: plan.blocked_by,
        ..v1::PreviewOperationResponse::default()
    }
}

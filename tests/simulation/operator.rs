//! The operators: what they ask for, what they know, and what a repeated request must be answered with.

use crate::controller_shell::Turn;
use crate::model::RACK;
use crate::plan::{Asked, Expectation, Label, Planned, Wanted};
use crate::world::World;
use curfew_controller_core::view::OperationView;
use curfew_controller_core::{StartError, StartRequest};
use curfew_types::label::Labels;
use curfew_types::{GuestId, Logoff, OperationId, OperationSpec, Rollout, Selection, Spread};
use std::collections::{HashMap, HashSet};

/// Who starts operations.
pub(crate) const REQUESTER: &str = "tester";
/// The label that selections name.
pub(crate) const ENV: &str = "env";
/// Its value.
pub(crate) const LAB: &str = "lab";

/// What the operators know.
#[derive(Default)]
pub(crate) struct Operator {
    /// Operations whose start was answered.
    pub(crate) known: Vec<OperationId>,
    /// Requests that carried an id, with what came of the first of each.
    asked: Vec<(OperationSpec, Option<OperationId>)>,
    /// The digest that each operation had when it was new.
    pub(crate) first_digests: HashMap<OperationId, u64>,
}

fn request(spec: OperationSpec, entropy: u64) -> StartRequest {
    StartRequest {
        requester: REQUESTER.into(),
        spec,
        only: None,
        expected_count: None,
        expected_digest: None,
        entropy,
    }
}

fn label_change(label: Label) -> (Labels, Vec<String>) {
    match label {
        Label::Lab => (Labels::from([(ENV.into(), LAB.into())]), Vec::new()),
        Label::Rack(value) => (Labels::from([(RACK.into(), format!("r{value}"))]), Vec::new()),
        Label::NoRack => (Labels::new(), vec![RACK.into()]),
    }
}

impl World {
    /// An operator's request reaches the core.
    pub(crate) fn take_request(&mut self, place: usize, turn: &mut Turn) {
        let now = self.controller.clocks.now(self.t);
        let (_, what) = self.plan.events[place].clone();
        let entropy = self.chances.shells.next();
        let first_frame = turn.sends.len();
        let away = self.controller.core.as_ref().is_some_and(curfew_controller_core::Core::store_is_away);
        #[allow(clippy::wildcard_enum_match_arm, reason = "the rest is taken one by one where it belongs")]
        match what {
            Planned::Start(asked) => {
                let spec = self.spec_of(&asked, place);
                self.start(spec, asked.expectation, entropy, turn);
            }
            Planned::AskAgain { nth, changed } => self.ask_again(nth, changed, entropy, turn),
            Planned::Retry { nth } if !away => self.retry(nth, entropy, turn),
            Planned::LabelHost { host, label } if !away => {
                let name = self.hosts[host].name.clone();
                let (set, remove) = label_change(label);
                if let Some(core) = &mut self.controller.core {
                    // A host that the controller has not met cannot be labelled.
                    let _ = core.label_host(&name, &set, &remove);
                }
            }
            Planned::LabelGuest { guest, label } if !away => {
                let id = self.guests[guest].id.clone();
                let (set, remove) = label_change(label);
                if let Some(core) = &mut self.controller.core {
                    let _ = core.label_guest(id.as_str(), &set, &remove);
                }
            }
            Planned::RemoveHost { host, force } if !away => {
                let name = self.hosts[host].name.clone();
                if let Some(core) = &mut self.controller.core {
                    let answer = core.remove_host(now, &name, force);
                    self.log(|| format!("removing {name}: {answer:?}"));
                    if answer.is_ok() {
                        self.truth.removed(host);
                    }
                }
            }
            Planned::CancelOperation { .. }
            | Planned::CancelTask { .. }
            | Planned::Pause { .. }
            | Planned::Freeze { .. }
            | Planned::Hold { .. }
            | Planned::Drain { .. }
            | Planned::Undrain { .. }
            | Planned::Protect { .. } => {
                // What makes things safer works all the same while the store is away.
                let taken = self.make_safer(now, &what);
                self.drain(turn);
                if away && taken {
                    self.check_sent_at_once(&what, &turn.sends[first_frame..]);
                }
            }
            other if !away => self.steer(now, &other),
            _ => {}
        }
    }

    fn start(&mut self, spec: OperationSpec, expectation: Expectation, entropy: u64, turn: &mut Turn) {
        let now = self.controller.clocks.now(self.t);
        let Some(core) = self.controller.core.as_mut() else { return };
        let preview = core.plan(&spec, None).ok();
        let mut request = request(spec.clone(), entropy);
        match (expectation, &preview) {
            (Expectation::None, _) | (_, None) => {}
            (Expectation::AsPreviewed, Some(plan)) => {
                request.expected_count = Some(plan.included());
                request.expected_digest = Some(plan.digest);
            }
            (Expectation::Outdated, Some(plan)) if entropy.is_multiple_of(2) => {
                request.expected_count = Some(plan.included() + 1);
            }
            (Expectation::Outdated, Some(plan)) => request.expected_digest = Some(plan.digest ^ 1),
        }
        let answer = core.start(now, request);
        let is_outdated = matches!(expectation, Expectation::Outdated) && preview.is_some();
        let differs =
            matches!(answer, Err(StartError::CountDiffers { .. } | StartError::DigestDiffers { .. }));
        if (is_outdated && answer.is_ok()) || (differs && !is_outdated) {
            let text = format!("a start that expects {expectation:?} is answered {answer:?}");
            return self.truth.fail(0, text);
        }
        self.note_start(spec, &answer, turn);
    }

    fn note_start(
        &mut self,
        spec: OperationSpec,
        answer: &Result<OperationView, StartError>,
        turn: &mut Turn,
    ) {
        let id = answer.as_ref().ok().map(|view| view.id);
        self.log(|| format!("asked for {spec:?}: {:?}", answer.as_ref().map(|view| view.id)));
        turn.started.extend(id);
        if let Ok(view) = answer {
            self.operator.first_digests.insert(view.id, view.digest);
        }
        if spec.request_id.is_some() && id.is_some() {
            self.operator.asked.push((spec, id));
        }
    }

    /// A new operation over what did not end well: the shell reads that in the store.
    fn retry(&mut self, nth: usize, entropy: u64, turn: &mut Turn) {
        let now = self.controller.clocks.now(self.t);
        let known = self.operator.known.iter().rev().nth(nth);
        let ended = known.and_then(|id| Some((*id, self.controller.disk.operations.get(id)?)));
        let Some((id, kept)) = ended.filter(|(_, kept)| kept.ended) else { return };
        let left: HashSet<GuestId> = kept.left().cloned().collect();
        let spec = OperationSpec { request_id: None, retry_of: Some(id), ..kept.started.spec.clone() };
        let Some(core) = self.controller.core.as_mut().filter(|_| !left.is_empty()) else { return };
        let answer = core.start(now, StartRequest { only: Some(left), ..request(spec.clone(), entropy) });
        self.note_start(spec, &answer, turn);
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
        let answer = core.start(now, request(spec, entropy));
        let as_it_must_be = match &answer {
            Ok(view) => !changed && Some(view.id) == in_memory,
            Err(error) => {
                changed && matches!(error, StartError::RequestIdReused(id) if Some(*id) == in_memory)
            }
        };
        if !as_it_must_be {
            self.truth.fail(10, format!("a repeated request id was answered {answer:?}"));
        }
        turn.started.extend(answer.ok().map(|view| view.id).filter(|id| !self.operator.known.contains(id)));
    }

    /// As drawn, with the time before which people must have logged on counted from now.
    fn logoff_of(&self, asked: &Asked) -> Logoff {
        let mut logoff = asked.logoff.clone();
        let wall = self.controller.clocks.now(self.t).wall;
        if let Some(before) = &mut logoff.sessions.logged_on_before {
            before.0 += wall.0;
        }
        logoff
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
                selection.labels = Some(format!("{ENV}={LAB}").parse().expect("a valid selector"));
            }
        }
        OperationSpec {
            not_running: asked.not_running,
            max_in_flight: asked.max_in_flight,
            rollout: Rollout {
                waves: asked.waves.clone(),
                between: asked.between,
                seed: asked.wave_seed,
                max_per_host: asked.max_per_host,
                spread: asked
                    .max_per_rack
                    .map(|max| Spread { label: RACK.into(), max })
                    .into_iter()
                    .collect(),
            },
            budgets: asked.budgets,
            task_timeout_ms: asked.task_timeout_ms,
            deliver_within_ms: asked.deliver_within_ms,
            deadline_ms: asked.deadline_ms,
            request_id: asked.with_request_id.then(|| format!("request-{place}")),
            logoff: self.logoff_of(asked),
            ..OperationSpec::plain(selection)
        }
    }
}

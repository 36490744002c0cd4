//! The operators: what they ask for, what they know, and what a repeated request must be answered with.

use crate::controller_shell::Turn;
use crate::plan::{Asked, Planned, Wanted};
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
                        self.truth
                            .fail(1, format!("a cancel of the ended task {id} was answered {answer:?}"));
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

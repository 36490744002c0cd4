//! Why an operation does not go on by itself, in words, with the commands that go on from there.

use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;

/// What an operation as a whole waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// In two or three words; the same as long as it is the same stop.
    pub(crate) what: String,
    /// Why, in the controller's words; may be empty.
    pub(crate) why: String,
    /// What to type, with what it does.
    pub(crate) ways: Vec<(&'static str, String)>,
}

impl Stop {
    /// What it waits for and why, in one line.
    pub(crate) fn line(&self) -> String {
        match (self.why.is_empty(), self.needs_somebody()) {
            (true, _) => self.what.clone(),
            (false, true) => format!("{}; it waits for {}", self.what, self.why),
            (false, false) => format!("{}: {}", self.what, self.why),
        }
    }

    /// Whether it goes on only when somebody says so.
    pub(crate) fn needs_somebody(&self) -> bool {
        !self.ways.is_empty()
    }
}

/// What holds the operation up; `None` while it goes on by itself or has ended.
pub(crate) fn stop(operation: &v1::Operation) -> Option<Stop> {
    let id = &operation.id;
    let cancel = || ("cancel it", format!("curfew operation cancel {id}"));
    let (what, ways) = match operation.state() {
        v1::OperationState::AwaitingApproval => (
            "awaiting approval".to_owned(),
            vec![
                ("approve it", approve_command(operation)),
                ("reject it", format!("curfew operation reject {id}")),
            ],
        ),
        v1::OperationState::Paused => {
            ("paused".to_owned(), vec![("resume it", resume_command(operation)), cancel()])
        }
        v1::OperationState::Halted => {
            ("halted".to_owned(), vec![("resume it", resume_command(operation)), cancel()])
        }
        v1::OperationState::Running => match waits_for_promotion(operation) {
            Some(wave) => (
                format!("waiting for promotion to wave {wave}"),
                vec![("promote it", format!("curfew operation promote {id} --wave {wave}")), cancel()],
            ),
            None if operation.waiting_for.is_empty() => return None,
            None => ("waiting".to_owned(), Vec::new()),
        },
        v1::OperationState::Unspecified | v1::OperationState::Cancelling | v1::OperationState::Ended => {
            return None;
        }
    };
    // Who has to do what for the next wave is said already.
    let is_next_wave = operation.state() == v1::OperationState::Running && !ways.is_empty();
    let why = if is_next_wave { String::new() } else { operation.waiting_for.clone() };
    Some(Stop { what, why, ways })
}

/// What the second person types.
pub(crate) fn approve_command(operation: &v1::Operation) -> String {
    format!("curfew operation approve {} --digest {}", operation.id, operation.selection_digest)
}

/// With the budgets that must be given anew.
fn resume_command(operation: &v1::Operation) -> String {
    let mut command = format!("curfew operation resume {}", operation.id);
    for budget in operation.budgets.iter().filter(|budget| budget.spent > budget.allowed) {
        command.push_str(&format!(" --max-{} N", words::failure_class(budget.class()).replace(' ', "-")));
    }
    command
}

/// The wave that only a person begins, if it is its turn.
fn waits_for_promotion(operation: &v1::Operation) -> Option<usize> {
    let is_by_hand = operation.spec.as_ref()?.rollout.as_ref()?.promotion;
    let next = operation.waves.iter().position(|wave| !wave.begun)?;
    let complete = operation.waves.iter().take(next).all(|wave| wave.ended == wave.tasks);
    (is_by_hand && complete).then_some(next + 1)
}

/// How many waves have begun and how many there are, where there is more than one.
pub(crate) fn wave(operation: &v1::Operation) -> Option<(usize, usize)> {
    let begun = operation.waves.iter().filter(|wave| wave.begun).count();
    (operation.waves.len() > 1).then_some((begun, operation.waves.len()))
}

/// How many guests have no outcome yet.
pub(crate) fn left(operation: &v1::Operation) -> u64 {
    let ended: u64 = operation.outcomes.iter().map(|count| count.tasks).sum();
    operation.task_count.saturating_sub(ended)
}

/// Tells what can be typed, one a line.
pub(crate) fn note_ways(terminal: &mut Terminal, ways: &[(&str, String)]) {
    let width = ways.iter().map(|(what, _)| what.len() + 1).max().unwrap_or(0);
    for (what, command) in ways {
        terminal.note(&format!("  {:<width$}  {command}", format!("{what}:")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::operation;

    fn halted() -> v1::Operation {
        let budget = |class: v1::FailureClass, allowed, spent| v1::BudgetStatus {
            class: class.into(),
            allowed,
            spent,
            ..v1::BudgetStatus::default()
        };
        v1::Operation {
            state: v1::OperationState::Halted.into(),
            waiting_for: "an operator (6 guests failed, and 5 may)".into(),
            budgets: vec![
                budget(v1::FailureClass::Failed, 5, 6),
                budget(v1::FailureClass::TimedOut, 5, 6),
                budget(v1::FailureClass::Refused, 5, 5),
            ],
            ..operation(100, &[(v1::Outcome::Failed, 6)], &[])
        }
    }

    #[test]
    fn a_halted_operation_names_the_budgets_that_must_be_given_anew() {
        let stop = stop(&halted()).expect("it is halted");
        assert_eq!(stop.line(), "halted; it waits for an operator (6 guests failed, and 5 may)");
        let resume = "curfew operation resume op-0123456789abc --max-failed N --max-timed-out N";
        assert_eq!(stop.ways[0], ("resume it", resume.to_owned()));
    }

    #[test]
    fn promotion_is_waited_for_only_once_a_wave_is_complete() {
        let wave = |tasks, ended, begun| v1::Wave { tasks, ended, begun };
        let rollout = v1::Rollout { promotion: true, ..v1::Rollout::default() };
        let spec = v1::OperationSpec { rollout: Some(rollout), ..v1::OperationSpec::default() };
        let mut waits = operation(10, &[(v1::Outcome::Succeeded, 1)], &[]);
        waits.spec = Some(spec);
        waits.waves = vec![wave(2, 1, true), wave(8, 0, false)];
        assert_eq!(stop(&waits), None);
        waits.waves[0].ended = 2;
        waits.waiting_for = "somebody to begin wave 2 of 2".into();
        let stop = stop(&waits).expect("it waits");
        assert_eq!(stop.line(), "waiting for promotion to wave 2");
        assert_eq!(stop.ways[0].1, "curfew operation promote op-0123456789abc --wave 2");
    }

    #[test]
    fn what_goes_on_or_has_ended_is_not_held_up() {
        assert_eq!(stop(&operation(5, &[(v1::Outcome::Succeeded, 5)], &[])), None);
        assert_eq!(stop(&operation(5, &[], &[])), None);
        let waits = v1::Operation { waiting_for: "alice froze the fleet".into(), ..operation(5, &[], &[]) };
        assert_eq!(stop(&waits).expect("it waits").line(), "waiting: alice froze the fleet");
    }
}

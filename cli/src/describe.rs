//! Explains one operation to a person: how it stands, its waves and budgets, what became of its guests, which of them
//! are slow, and what happened to it; and one task: how it stands, and what became of each session.

use crate::fates;
use crate::output::{self, Format, Shown as _};
use crate::table::{Cell, Column, Table, Tone};
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use std::io;

const WAVES: &[Column] =
    &[Column::number("WAVE"), Column::number("GUESTS"), Column::number("ENDED"), Column::whole("STATE")];
const BUDGETS: &[Column] = &[
    Column::whole("BUDGET"),
    Column::number("SPENT"),
    Column::number("ALLOWED"),
    Column::whole("GIVEN AS"),
    Column::whole("STATE"),
];
const REASONS: &[Column] = &[Column::whole("OUTCOME"), Column::whole("REASON"), Column::number("GUESTS")];
const SLOWEST: &[Column] = &[
    Column::whole("TASK"),
    Column::cut("GUEST"),
    Column::whole("STAGE"),
    Column::whole("TIME"),
    Column::extra("HOST"),
];
const EVENTS: &[Column] =
    &[Column::whole("TIME"), Column::whole("WHAT"), Column::cut("WHO"), Column::cut("WHY")];

/// Writes an operation with all that explains it.
///
/// # Errors
/// When data cannot be written.
pub(crate) fn operation(
    terminal: &mut Terminal,
    format: Format,
    operation: &v1::Operation,
) -> io::Result<()> {
    if format != Format::Table {
        return output::show(terminal, format, operation);
    }
    output::facts(terminal, &operation.facts())?;
    let has_waves = operation.waves.len() > 1;
    let waves = if has_waves { operation.waves.as_slice() } else { &[] };
    section(terminal, "Waves", WAVES, (1_u64..).zip(waves).map(wave_row))?;
    section(terminal, "Failure budgets", BUDGETS, operation.budgets.iter().map(budget_row))?;
    section(terminal, "What became of its guests", REASONS, operation.reasons.iter().map(reason_row))?;
    section(terminal, "Slowest guests", SLOWEST, operation.slowest.iter().map(slow_row))?;
    section(terminal, "History", EVENTS, operation.events.iter().map(event_row))
}

/// Writes a task with what became of each session of its guest, also as late findings have it.
///
/// # Errors
/// When data cannot be written.
pub(crate) fn task(terminal: &mut Terminal, format: Format, task: &v1::Task) -> io::Result<()> {
    output::show(terminal, format, task)?;
    if format != Format::Table {
        return Ok(());
    }
    if let Some(verdict) = &task.verdict {
        fates::write(terminal, "What became of its sessions", verdict)?;
    }
    for late in &task.late_findings {
        let title = format!("As found later, {}", words::time(late.record_time.as_ref()));
        late.verdict.iter().try_for_each(|verdict| fates::write(terminal, &title, verdict))?;
    }
    Ok(())
}

/// A table with a title; nothing at all without rows.
fn section(
    terminal: &mut Terminal,
    title: &str,
    columns: &'static [Column],
    rows: impl Iterator<Item = Vec<Cell>>,
) -> io::Result<()> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    terminal.data("")?;
    terminal.data(&format!("{title}:"))?;
    let mut table = Table::new(columns);
    rows.try_for_each(|row| table.row(terminal, row))?;
    table.finish(terminal)
}

fn wave_row((number, wave): (u64, &v1::Wave)) -> Vec<Cell> {
    let state = match (wave.begun, wave.ended == wave.tasks) {
        (_, true) => Cell::toned("complete", Tone::Good),
        (true, false) => Cell::toned("under way", Tone::Busy),
        (false, false) => "to come".into(),
    };
    vec![number.into(), wave.tasks.into(), wave.ended.into(), state]
}

fn budget_row(budget: &v1::BudgetStatus) -> Vec<Cell> {
    vec![
        words::failure_class(budget.class()).into(),
        budget.spent.into(),
        budget.allowed.into(),
        words::amount(budget.budget.as_ref()).into(),
        if budget.spent > budget.allowed {
            Cell::toned("spent", Tone::Bad)
        } else {
            Cell::toned("kept", Tone::Good)
        },
    ]
}

fn reason_row(count: &v1::ReasonCount) -> Vec<Cell> {
    let outcome = count.outcome();
    let word = Cell::toned(words::outcome(outcome), words::outcome_tone(outcome));
    vec![word, count.reason.as_str().into(), count.tasks.into()]
}

fn slow_row(task: &v1::SlowTask) -> Vec<Cell> {
    let elapsed = task.elapsed.as_ref().map(|time| words::elapsed(words::from_wire(time)));
    vec![
        task.task_id.as_str().into(),
        task.guest_name.as_str().into(),
        words::stage(task.stage()).into(),
        elapsed.unwrap_or_default().into(),
        task.host.as_str().into(),
    ]
}

fn event_row(event: &v1::OperationEvent) -> Vec<Cell> {
    let who = if event.actor.is_empty() { "(by itself)" } else { event.actor.as_str() };
    vec![
        words::time(event.event_time.as_ref()).into(),
        event.what.replace('_', " ").into(),
        who.into(),
        event.why.as_str().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Facts, testing};
    use curfew_proto::convert::duration;

    fn time(seconds: i64) -> Option<pbjson_types::Timestamp> {
        Some(pbjson_types::Timestamp { seconds: 1_795_000_000 + seconds, nanos: 0 })
    }

    fn halted() -> v1::Operation {
        let outcomes = [(v1::Outcome::Succeeded, 4), (v1::Outcome::Failed, 2)];
        let wave = |tasks, ended, begun| v1::Wave { tasks, ended, begun };
        let number = |number| v1::Amount { amount: Some(v1::amount::Amount::Number(number)) };
        let reason = |outcome: v1::Outcome, reason: &str, tasks| v1::ReasonCount {
            outcome: outcome.into(),
            reason: reason.into(),
            tasks,
        };
        let event = |seconds, what: &str, actor: &str, why: &str| v1::OperationEvent {
            event_time: time(seconds),
            what: what.into(),
            actor: actor.into(),
            why: why.into(),
        };
        let spec = v1::OperationSpec {
            selection: Some(v1::Selection { all: true, ..v1::Selection::default() }),
            max_in_flight: Some(number(5)),
            rollout: Some(v1::Rollout {
                waves: vec![number(1), number(9)],
                wave_pause: Some(duration(600_000)),
                spread: vec![v1::SpreadLimit { label: "rack".into(), max: 2 }],
                ..v1::Rollout::default()
            }),
            reason: "patching".into(),
            ..v1::OperationSpec::default()
        };
        v1::Operation {
            state: v1::OperationState::Halted.into(),
            waiting_for:
                "an operator (2 guests failed, and 1 may): resume it with a larger budget, or cancel it"
                    .into(),
            spec: Some(spec),
            requester: "alice".into(),
            selection_digest: "00000000000000aa".into(),
            seed: 42,
            waves: vec![wave(1, 1, true), wave(8, 5, true), wave(91, 0, false)],
            budgets: vec![v1::BudgetStatus {
                class: v1::FailureClass::Failed.into(),
                budget: Some(v1::Amount { amount: Some(v1::amount::Amount::Percent(1)) }),
                allowed: 1,
                spent: 2,
            }],
            reasons: vec![
                reason(v1::Outcome::Succeeded, "verified_gone", 4),
                reason(v1::Outcome::Failed, "sessions_remain", 2),
            ],
            approval: Some(v1::Approval { expire_time: None, approver: "bob".into() }),
            slowest: vec![v1::SlowTask {
                task_id: "op-0123456789abc/7".into(),
                guest_name: "desk-7".into(),
                host: "host-1".into(),
                stage: v1::Stage::Ending.into(),
                elapsed: Some(duration(185_000)),
            }],
            events: vec![
                event(0, "approval_asked", "", "100 guests are more than one person may log off"),
                event(60, "approved", "bob", "agreed"),
                event(700, "wave_begun", "", "wave 2 of 3"),
                event(760, "halted", "", "2 guests failed, and 1 may"),
            ],
            ..crate::testing::operation(100, &outcomes, &[(v1::Stage::Ending, 1), (v1::Stage::Queued, 93)])
        }
    }

    fn described(format: Format, shown: &v1::Operation) -> String {
        let (mut terminal, out, _) = testing::terminal(Facts::default(), "");
        operation(&mut terminal, format, shown).expect("written");
        out.text()
    }

    #[test]
    fn a_halted_operation_explains_itself() {
        insta::assert_snapshot!(described(Format::Table, &halted()), @r#"
        Id:                op-0123456789abc
        State:             halted
        Waiting for:       an operator (2 guests failed, and 1 may): resume it with a larger budget, or cancel it
        What to do:        resume it: curfew operation resume op-0123456789abc --max-failed N; cancel it: curfew operation cancel op-0123456789abc
        Guests:            100
        Done:              6%
        Ended well:        4
        Outcomes:          4 succeeded, 2 failed
        Under way:         1 ending, 93 queued
        Wave:              2 of 3
        Approval:          given by bob
        Requester:         alice
        Reason:            patching
        Selection:         all
        Not running:       skip
        Max in flight:     5
        Waves at:          1, 9
        Between waves:     a pause of 10m
        Spread:            rack=2
        Seed:              42
        Started:           2026-11-18T11:06:40Z
        Selection digest:  00000000000000aa

        Waves:
        WAVE   GUESTS   ENDED   STATE
           1        1       1   complete
           2        8       5   under way
           3       91       0   to come

        Failure budgets:
        BUDGET   SPENT   ALLOWED   GIVEN AS   STATE
        failed       2         1   1%         spent

        What became of its guests:
        OUTCOME     REASON            GUESTS
        succeeded   verified_gone          4
        failed      sessions_remain        2

        Slowest guests:
        TASK                 GUEST    STAGE    TIME   HOST
        op-0123456789abc/7   desk-7   ending   3m5s   host-1

        History:
        TIME                   WHAT             WHO           WHY
        2026-11-18T11:06:40Z   approval asked   (by itself)   100 guests are more than one person may log off
        2026-11-18T11:07:40Z   approved         bob           agreed
        2026-11-18T11:18:20Z   wave begun       (by itself)   wave 2 of 3
        2026-11-18T11:19:20Z   halted           (by itself)   2 guests failed, and 1 may
        "#);
    }

    #[test]
    fn an_operation_without_waves_budgets_and_history_has_facts_only() {
        let plain = crate::testing::operation(3, &[(v1::Outcome::Succeeded, 3)], &[]);
        let text = described(Format::Table, &plain);
        assert!(!text.contains("\n\n") && !text.contains("Wave") && !text.contains("Seed"), "{text}");
    }

    #[test]
    fn a_document_has_everything_under_the_apis_own_names() {
        let document: serde_json::Value =
            serde_json::from_str(&described(Format::Json, &halted())).expect("JSON");
        assert_eq!(document["state"], "OPERATION_STATE_HALTED");
        assert_eq!(document["budgets"][0]["spent"], "2");
        assert_eq!(document["slowest"][0]["guestName"], "desk-7");
        assert_eq!(document["events"][3]["what"], "halted");
        assert_eq!(described(Format::Name, &halted()), "op-0123456789abc\n");
    }
}

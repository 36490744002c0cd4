//! Tasks: one for each guest of an operation.

use super::yes;
use crate::fates;
use crate::output::{Listed, Shown};
use crate::table::{Cell, Column};
use crate::words;
use curfew_proto::v1;

impl Listed for v1::Task {
    const KEY: &'static str = "tasks";
    const COLUMNS: &'static [Column] = &[
        Column::whole("ID"),
        Column::cut("GUEST"),
        Column::whole("STATE"),
        Column::number("DONE"),
        Column::extra("CODE"),
        Column::extra("HOST"),
        Column::extra("SESSIONS"),
        Column::extra("MESSAGE"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        let verdict = self.verdict.as_ref();
        let said = verdict.map_or_else(|| self.waiting_for.clone(), message);
        let message = match self.late_findings.len() {
            0 => said,
            late => format!("{said} ({} since)", words::count(late as u64, "late finding")),
        };
        vec![vec![
            self.id.as_str().into(),
            self.guest_name.as_str().into(),
            words::task_state(self),
            format!("{}%", self.percent_completed).into(),
            words::status(verdict.and_then(|verdict| verdict.status.as_ref())).into(),
            self.host.as_str().into(),
            self.sessions.as_ref().map(sessions).unwrap_or_default().into(),
            message.into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.id.clone()]
    }
}

impl Shown for v1::Task {
    fn name(&self) -> String {
        self.id.clone()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("Id", self.id.clone()),
            ("Description", self.description.clone()),
            ("Guest", format!("{} ({})", self.guest_name, self.guest_id)),
            ("Host", self.host.clone()),
            ("State", words::task_state(self).text().to_owned()),
            ("Done", format!("{}%", self.percent_completed)),
            ("Complete", yes(self.is_complete)),
            ("Cancelable", yes(self.is_cancelable)),
            ("Waiting for", self.waiting_for.clone()),
        ];
        if self.is_complete {
            facts.push(("Result", format!("{} ({})", result(self.result()), self.result_value)));
            facts.push(("Ended well", yes(self.ended_well)));
        }
        facts.push(("Sessions", self.sessions.as_ref().map(sessions).unwrap_or_default()));
        if let Some(verdict) = &self.verdict {
            facts.extend(verdict_facts(verdict));
        }
        for late in &self.late_findings {
            let when = words::time(late.record_time.as_ref());
            let seen = late.verdict.as_ref().map(|verdict| {
                let outcome = words::outcome(verdict.outcome());
                let sessions = verdict.sessions.as_ref().map(sessions).unwrap_or_default();
                format!(
                    "{outcome}, {}, {}: {} [{sessions}]",
                    words::status(verdict.status.as_ref()),
                    verdict.reason,
                    verdict.message
                )
            });
            facts.push(("Late finding", format!("{when} {}", seen.unwrap_or_default())));
        }
        facts
    }
}

/// Why a task ended so, with what holds the sessions that remain.
pub(crate) fn message(verdict: &v1::Verdict) -> String {
    format!("{}{}", verdict.message, fates::holders(verdict))
}

fn verdict_facts(verdict: &v1::Verdict) -> Vec<(&'static str, String)> {
    let user = |session: &v1::RemainingSession| format!("{} ({})", session.user, session.id);
    let remaining: Vec<String> = verdict.remaining.iter().map(user).collect();
    let counted = verdict.sessions.as_ref().map_or(0, |sessions| sessions.remaining as usize);
    let mut still_there = remaining.join(", ");
    // Where there are results they say more, in a table of their own.
    if !verdict.results.is_empty() {
        still_there.clear();
    } else if counted > remaining.len() {
        still_there.push_str(&format!(" and {} more", counted - remaining.len()));
    }
    vec![
        ("Code", words::status(verdict.status.as_ref())),
        ("Reason", verdict.reason.clone()),
        ("Message", verdict.message.clone()),
        ("Still there", still_there),
    ]
}

fn sessions(counts: &v1::SessionCounts) -> String {
    let parts = [
        (counts.found, "found"),
        (counts.ended, "ended"),
        (counts.forced, "forced"),
        (counts.remaining, "remaining"),
        (counts.excluded, "excluded"),
        (counts.new, "new"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    said.join(", ")
}

/// The result as the original names it.
fn result(result: v1::TaskResult) -> &'static str {
    match result {
        v1::TaskResult::Unspecified => "unknown",
        v1::TaskResult::Success => "Success",
        v1::TaskResult::Cancelled => "Cancelled",
        v1::TaskResult::UnexpectedError => "UnexpectedError",
        v1::TaskResult::OutOfMemoryError => "OutOfMemoryError",
        v1::TaskResult::DiskRelatedError => "DiskRelatedError",
        v1::TaskResult::IncompatibleSavedStateError => "IncompatibleSavedStateError",
        v1::TaskResult::TimeOutError => "TimeOutError",
        v1::TaskResult::IllegalValueError => "IllegalValueError",
        v1::TaskResult::ThreadCrashError => "ThreadCrashError",
        v1::TaskResult::ShutdownAbort => "ShutdownAbort",
    }
}

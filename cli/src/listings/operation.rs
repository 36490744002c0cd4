//! Operations, their tasks and previews.

use super::yes;
use crate::output::{Listed, Shown};
use crate::table::{Cell, Column, Tone};
use crate::words;
use curfew_proto::v1;

impl Listed for v1::Operation {
    const KEY: &'static str = "operations";
    const COLUMNS: &'static [Column] = &[
        Column::whole("ID"),
        Column::whole("STATE"),
        Column::number("GUESTS"),
        Column::number("DONE"),
        Column::number("WELL"),
        Column::whole("AGE"),
        Column::extra("REQUESTER"),
        Column::extra("REASON"),
    ];

    fn rows(&self, now: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            self.id.as_str().into(),
            words::operation_state(self),
            self.task_count.into(),
            format!("{}%", self.percent_completed).into(),
            self.ended_well_count.into(),
            words::age(self.create_time.as_ref(), now).into(),
            self.requester.as_str().into(),
            self.spec.as_ref().map_or("", |spec| spec.reason.as_str()).into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.id.clone()]
    }
}

impl Shown for v1::Operation {
    fn name(&self) -> String {
        self.id.clone()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let spec = self.spec.clone().unwrap_or_default();
        let outcomes =
            self.outcomes.iter().map(|count| format!("{} {}", count.tasks, words::outcome(count.outcome())));
        let stages =
            self.stages.iter().map(|count| format!("{} {}", count.tasks, words::stage(count.stage())));
        let not_recorded = if self.recorded { "" } else { "the cancel is not on the controller's disk yet" };
        vec![
            ("Id", self.id.clone()),
            ("State", words::operation_state(self).text().to_owned()),
            ("Guests", self.task_count.to_string()),
            ("Done", format!("{}%", self.percent_completed)),
            ("Ended well", self.ended_well_count.to_string()),
            ("Outcomes", outcomes.collect::<Vec<_>>().join(", ")),
            ("Under way", stages.collect::<Vec<_>>().join(", ")),
            ("Late findings", none_if_zero(self.late_finding_count)),
            ("Requester", self.requester.clone()),
            ("Reason", spec.reason.clone()),
            ("Selection", spec.selection.as_ref().map(selection).unwrap_or_default()),
            ("Not running", not_running(spec.not_running()).into()),
            ("Max in flight", none_if_zero(spec.max_in_flight.into())),
            ("Task timeout", words::duration(spec.task_timeout.as_ref())),
            ("Deliver within", words::duration(spec.deliver_within.as_ref())),
            ("Annotations", words::labels(&spec.annotations)),
            ("Request id", self.request_id.clone()),
            ("Started", words::time(self.create_time.as_ref())),
            ("Deadline", words::time(self.deadline_time.as_ref())),
            ("Ended", words::time(self.end_time.as_ref())),
            ("Cancelled by", self.cancel_requester.clone()),
            ("Note", not_recorded.into()),
            ("Selection digest", self.selection_digest.clone()),
        ]
    }
}

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
        let said = verdict.map_or(self.waiting_for.as_str(), |verdict| verdict.message.as_str());
        let message = match self.late_findings.len() {
            0 => said.to_owned(),
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

impl Listed for v1::PreviewGuest {
    const KEY: &'static str = "guests";
    const COLUMNS: &'static [Column] = &[
        Column::whole("LOGOFF"),
        Column::cut("GUEST"),
        Column::cut("HOST"),
        Column::cut("NOTE"),
        Column::extra("ID"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            if self.included { Cell::toned("yes", Tone::Good) } else { Cell::toned("no", Tone::Busy) },
            self.guest_name.as_str().into(),
            self.host.as_str().into(),
            self.note.as_str().into(),
            self.guest_id.as_str().into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        if self.included { vec![self.guest_id.clone()] } else { Vec::new() }
    }
}

fn verdict_facts(verdict: &v1::Verdict) -> Vec<(&'static str, String)> {
    let user = |session: &v1::RemainingSession| format!("{} ({})", session.user, session.id);
    let remaining: Vec<String> = verdict.remaining.iter().map(user).collect();
    let counted = verdict.sessions.as_ref().map_or(0, |sessions| sessions.remaining as usize);
    let mut still_there = remaining.join(", ");
    if counted > remaining.len() {
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

fn selection(selection: &v1::Selection) -> String {
    let mut parts: Vec<String> = Vec::new();
    if selection.all {
        parts.push("all".into());
    }
    if !selection.label_selector.is_empty() {
        parts.push(format!("labels {}", selection.label_selector));
    }
    let lists = [
        ("hosts", &selection.hosts),
        ("guests", &selection.guests),
        ("ids", &selection.guest_ids),
        ("without", &selection.exclude),
    ];
    parts.extend(lists.iter().filter(|(_, list)| !list.is_empty()).map(|(word, list)| {
        let shown: Vec<&str> = list.iter().take(10).map(String::as_str).collect();
        let more = list.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{word} {}{more}", shown.join(" "))
    }));
    if selection.include_host_guests {
        parts.push("with hosts themselves".into());
    }
    parts.join("; ")
}

fn not_running(policy: v1::NotRunningPolicy) -> &'static str {
    match policy {
        v1::NotRunningPolicy::Unspecified | v1::NotRunningPolicy::Skip => "skip",
        v1::NotRunningPolicy::Refuse => "refuse",
    }
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

fn none_if_zero(number: u64) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

//! Operations as rows and facts.

use crate::output::{Listed, Shown};
use crate::standing;
use crate::table::{Cell, Column};
use crate::treatment;
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
        let not_recorded =
            if self.recorded { "" } else { "what was last asked of it is not on the controller's disk yet" };
        let stop = standing::stop(self);
        let ways =
            stop.iter().flat_map(|stop| &stop.ways).map(|(what, command)| format!("{what}: {command}"));
        let wave = standing::wave(self).map(|(wave, of)| format!("{wave} of {of}"));
        let mut facts = vec![
            ("Id", self.id.clone()),
            ("State", words::operation_state(self).text().to_owned()),
            ("Waiting for", self.waiting_for.clone()),
            ("What to do", ways.collect::<Vec<_>>().join("; ")),
            ("Guests", self.task_count.to_string()),
            ("Done", format!("{}%", self.percent_completed)),
            ("Ended well", self.ended_well_count.to_string()),
            ("Outcomes", outcomes.collect::<Vec<_>>().join(", ")),
            ("Under way", stages.collect::<Vec<_>>().join(", ")),
            ("Late findings", none_if_zero(self.late_finding_count)),
            ("Wave", wave.unwrap_or_default()),
            ("Approval", self.approval.as_ref().map(approval).unwrap_or_default()),
            ("Retry of", self.retry_of.clone()),
            ("Requester", self.requester.clone()),
            ("Reason", spec.reason.clone()),
            ("Selection", spec.selection.as_ref().map(selection).unwrap_or_default()),
            ("Sessions", treatment::sessions(&spec).unwrap_or_default()),
            ("People", treatment::people(&spec).unwrap_or_default()),
            ("Notice", spec.notice.as_ref().map(|notice| notice.text.clone()).unwrap_or_default()),
            ("Not running", not_running(spec.not_running()).into()),
            ("Max in flight", words::amount(spec.max_in_flight.as_ref())),
        ];
        facts.extend(spec.rollout.as_ref().map(rollout_facts).unwrap_or_default());
        facts.extend([
            ("Seed", if self.waves.len() > 1 { self.seed.to_string() } else { String::new() }),
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
        ]);
        facts
    }
}

fn rollout_facts(rollout: &v1::Rollout) -> Vec<(&'static str, String)> {
    let waves: Vec<String> = rollout.waves.iter().map(|amount| words::amount(Some(amount))).collect();
    let between = match &rollout.wave_pause {
        Some(pause) => format!("a pause of {}", words::duration(Some(pause))),
        None if rollout.promotion => "somebody's promotion".into(),
        None => String::new(),
    };
    let spread: Vec<String> =
        rollout.spread.iter().map(|limit| format!("{}={}", limit.label, limit.max)).collect();
    vec![
        ("Waves at", waves.join(", ")),
        ("Between waves", between),
        ("Max per host", none_if_zero(rollout.max_per_host.into())),
        ("Spread", spread.join(", ")),
    ]
}

fn approval(approval: &v1::Approval) -> String {
    match &approval.expire_time {
        Some(time) => format!("not given; possible until {}", words::time(Some(time))),
        None if approval.approver.is_empty() => "not given".into(),
        None => format!("given by {}", approval.approver),
    }
}

/// What was selected, in words.
pub(crate) fn selection(selection: &v1::Selection) -> String {
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

fn none_if_zero(number: u64) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

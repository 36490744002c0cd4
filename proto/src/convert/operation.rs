//! The operator's request: every field is checked here, and every wrong one is named, before anything is stored.

mod rollout;

pub use rollout::failure_budgets;

use super::checks::Checks;
use super::logoff::Given;
use super::words::duration;
use crate::v1;
use curfew_types::glob::Glob;
use curfew_types::operation::{
    ANNOTATIONS_MAX, DEADLINE_DEFAULT_MS, DEADLINE_MAX_MS, DELIVER_WITHIN_DEFAULT_MS, PATTERNS_MAX,
    TASK_TIMEOUT_DEFAULT_MS, TASK_TIMEOUT_MAX_MS, TASK_TIMEOUT_MIN_MS,
};
use curfew_types::{Budgets, NotRunning, OperationSpec, Rollout, Selection, SessionFilter, Violation};

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// Required fields are missing (`E_POINTER`).
    Missing(Vec<Violation>),
    /// Fields are out of range (`E_INVALIDARG`).
    Invalid(Vec<Violation>),
}

/// Parses a request. `request_id` stands beside the spec on the wire and belongs to it here.
///
/// # Errors
/// Every field that is missing or out of range, with what to do.
pub fn operation_spec(
    spec: Option<v1::OperationSpec>,
    request_id: String,
) -> Result<OperationSpec, SpecError> {
    let Some(spec) = spec else {
        let why = "it is required; say which guests in spec.selection";
        return Err(SpecError::Missing(vec![Violation::new("spec", why)]));
    };
    let Some(selection) = spec.selection else {
        let why = "it is required; name guests, hosts or labels, or say all for the whole fleet";
        return Err(SpecError::Missing(vec![Violation::new("spec.selection", why)]));
    };
    let mut checks = Checks::default();
    let selection = checks.selection(selection);
    let not_running = match v1::NotRunningPolicy::try_from(spec.not_running) {
        Ok(v1::NotRunningPolicy::Refuse) => NotRunning::Refuse,
        Ok(v1::NotRunningPolicy::Skip | v1::NotRunningPolicy::Unspecified) => NotRunning::Skip,
        Err(_) => {
            checks.wrong("spec.not_running", "this version knows skip and refuse only");
            NotRunning::Skip
        }
    };
    let max_in_flight = spec.max_in_flight.and_then(|amount| checks.limit("spec.max_in_flight", amount));
    let rollout = checks.rollout(spec.rollout);
    let budgets = checks.budgets("spec.budgets", spec.budgets);
    let timeouts = TASK_TIMEOUT_MIN_MS..=TASK_TIMEOUT_MAX_MS;
    let task_timeout_ms =
        checks.time("spec.task_timeout", spec.task_timeout, TASK_TIMEOUT_DEFAULT_MS, timeouts);
    let deadline_ms =
        checks.time("spec.deadline", spec.deadline, DEADLINE_DEFAULT_MS, 1000..=DEADLINE_MAX_MS);
    let within_default = DELIVER_WITHIN_DEFAULT_MS.min(deadline_ms);
    let deliver_within_ms =
        checks.time("spec.deliver_within", spec.deliver_within, within_default, 0..=deadline_ms);
    let given = Given {
        sessions: spec.sessions,
        notice: spec.notice,
        force_after: spec.force_after,
        drain: spec.drain,
    };
    let logoff = checks.logoff("spec", given);
    checks.logoff_in_time(&logoff, task_timeout_ms, deadline_ms);
    checks.text("request_id", &request_id);
    checks.text("spec.reason", &spec.reason);
    if spec.annotations.len() > ANNOTATIONS_MAX {
        checks.wrong("spec.annotations", format!("there are more than {ANNOTATIONS_MAX}"));
    }
    for (key, value) in &spec.annotations {
        checks.text("spec.annotations", key);
        checks.text("spec.annotations", value);
    }
    if !checks.0.is_empty() {
        return Err(SpecError::Invalid(checks.0));
    }
    Ok(OperationSpec {
        selection,
        not_running,
        logoff,
        max_in_flight,
        rollout,
        budgets,
        task_timeout_ms,
        deliver_within_ms,
        deadline_ms,
        request_id: (!request_id.is_empty()).then_some(request_id),
        reason: spec.reason,
        annotations: spec.annotations.into_iter().collect(),
        // Only RetryOperation makes one of these.
        retry_of: None,
    })
}

/// Which sessions, where a request says only that; all of them where the field is absent.
///
/// # Errors
/// Everything that is out of range; `field` is the name of the message in the request.
pub fn session_filter(field: &str, filter: Option<v1::SessionFilter>) -> Result<SessionFilter, SpecError> {
    let mut checks = Checks::default();
    let filter = checks.session_filter(field, filter);
    if checks.0.is_empty() { Ok(filter) } else { Err(SpecError::Invalid(checks.0)) }
}

impl Checks {
    fn selection(&mut self, selection: v1::Selection) -> Selection {
        let labels = match selection.label_selector.trim() {
            "" => None,
            text => match text.parse() {
                Ok(labels) => Some(labels),
                Err(error) => {
                    self.wrong("spec.selection.label_selector", format!("{error}"));
                    None
                }
            },
        };
        let mut guest_ids = Vec::with_capacity(selection.guest_ids.len().min(PATTERNS_MAX));
        self.bounded("spec.selection.guest_ids", selection.guest_ids.len());
        for id in selection.guest_ids.iter().take(PATTERNS_MAX) {
            match id.parse() {
                Ok(id) => guest_ids.push(id),
                Err(error) => self.wrong("spec.selection.guest_ids", format!("{error}")),
            }
        }
        Selection {
            all: selection.all,
            labels,
            hosts: self.globs("spec.selection.hosts", &selection.hosts),
            guests: self.globs("spec.selection.guests", &selection.guests),
            guest_ids,
            exclude: self.globs("spec.selection.exclude", &selection.exclude),
            include_host_guests: selection.include_host_guests,
        }
    }

    fn globs(&mut self, field: &str, texts: &[String]) -> Vec<Glob> {
        self.bounded(field, texts.len());
        let mut globs = Vec::with_capacity(texts.len().min(PATTERNS_MAX));
        for text in texts.iter().take(PATTERNS_MAX) {
            match text.parse() {
                Ok(glob) => globs.push(glob),
                Err(error) => self.wrong(field, format!("{error}")),
            }
        }
        globs
    }

    fn bounded(&mut self, field: &str, count: usize) {
        if count > PATTERNS_MAX {
            self.wrong(field, format!("there are more than {PATTERNS_MAX}; use a glob or a label"));
        }
    }
}

impl From<OperationSpec> for v1::OperationSpec {
    fn from(spec: OperationSpec) -> v1::OperationSpec {
        let texts = |globs: Vec<Glob>| globs.into_iter().map(String::from).collect();
        let selection = spec.selection;
        let logoff = Given::from(spec.logoff);
        v1::OperationSpec {
            selection: Some(v1::Selection {
                all: selection.all,
                label_selector: selection.labels.map(String::from).unwrap_or_default(),
                hosts: texts(selection.hosts),
                guests: texts(selection.guests),
                guest_ids: selection.guest_ids.into_iter().map(String::from).collect(),
                exclude: texts(selection.exclude),
                include_host_guests: selection.include_host_guests,
            }),
            not_running: v1::NotRunningPolicy::from(spec.not_running).into(),
            max_in_flight: spec.max_in_flight.map(v1::Amount::from),
            task_timeout: Some(duration(spec.task_timeout_ms)),
            deliver_within: Some(duration(spec.deliver_within_ms)),
            deadline: Some(duration(spec.deadline_ms)),
            reason: spec.reason,
            annotations: spec.annotations.into_iter().collect(),
            rollout: (spec.rollout != Rollout::default()).then(|| spec.rollout.into()),
            budgets: (spec.budgets != Budgets::default()).then(|| spec.budgets.into()),
            sessions: logoff.sessions,
            notice: logoff.notice,
            force_after: logoff.force_after,
            drain: logoff.drain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_types::filter::IDLE_MAX_MS;
    use curfew_types::logoff::{DRAIN_MAX_MS, DRAIN_MIN_MS, REPEAT_MIN_MS};
    use curfew_types::rollout::{SPREADS_MAX, WAVE_PAUSE_MAX_MS};
    use curfew_types::{Amount, BetweenWaves, DrainFor, Logoff, Notice, Spread, StateFilter, WallTime};
    use proptest::prelude::*;

    fn all() -> v1::OperationSpec {
        let selection = v1::Selection { all: true, ..v1::Selection::default() };
        v1::OperationSpec { selection: Some(selection), ..v1::OperationSpec::default() }
    }

    #[test]
    fn everything_left_out_is_the_plain_logoff() {
        let parsed = operation_spec(Some(all()), String::new()).expect("valid");
        let selection = Selection { all: true, ..Selection::default() };
        assert_eq!(parsed, OperationSpec::plain(selection));
    }

    fn amounts(from: u32) -> impl Strategy<Value = Amount> {
        let share = u8::try_from(from).expect("small")..=100;
        prop_oneof![(from..=u32::MAX).prop_map(Amount::Number), share.prop_map(Amount::Percent)]
    }

    /// Growing numbers and growing shares, one after the other in the order drawn.
    fn waves() -> impl Strategy<Value = Vec<Amount>> {
        let numbers = prop::collection::btree_set(1_u32.., 0..=8);
        let shares = prop::collection::btree_set(1_u8..=100, 0..=8);
        (numbers, shares, any::<bool>()).prop_map(|(numbers, shares, numbers_first)| {
            let numbers: Vec<Amount> = numbers.into_iter().map(Amount::Number).collect();
            let shares: Vec<Amount> = shares.into_iter().map(Amount::Percent).collect();
            if numbers_first { [numbers, shares].concat() } else { [shares, numbers].concat() }
        })
    }

    fn rollouts() -> impl Strategy<Value = Rollout> {
        let between = prop_oneof![
            Just(BetweenWaves::Nothing),
            Just(BetweenWaves::Promotion),
            (1..=WAVE_PAUSE_MAX_MS).prop_map(BetweenWaves::Pause),
        ];
        let per_host = prop::option::of(1_u32..);
        let spread = prop::collection::btree_map("[a-z]{1,8}", 1_u32.., 0..=SPREADS_MAX);
        (waves(), between, any::<Option<u64>>(), per_host, spread).prop_map(
            |(waves, between, seed, max_per_host, spread)| Rollout {
                waves,
                between,
                seed,
                max_per_host,
                spread: spread.into_iter().map(|(label, max)| Spread { label, max }).collect(),
            },
        )
    }

    fn budgets() -> impl Strategy<Value = Budgets> {
        let one = || prop::option::of(amounts(0));
        (one(), one(), one(), one()).prop_map(|(failed, timed_out, unreachable, refused)| Budgets {
            failed,
            timed_out,
            unreachable,
            refused,
        })
    }

    fn users() -> impl Strategy<Value = Vec<Glob>> {
        prop::collection::vec("[a-z*]{1,8}".prop_map(|text| text.parse().expect("a glob")), 0..3)
    }

    fn filters() -> impl Strategy<Value = SessionFilter> {
        let state = prop::option::of(prop_oneof![Just(StateFilter::Active), Just(StateFilter::Disconnected)]);
        let idle = prop::option::of(1..=IDLE_MAX_MS);
        let before = prop::option::of((0..=4_000_000_000_000_i64).prop_map(WallTime));
        (users(), users(), state, idle, before).prop_map(
            |(users, exclude_users, state, idle_at_least_ms, logged_on_before)| SessionFilter {
                users,
                exclude_users,
                state,
                idle_at_least_ms,
                logged_on_before,
            },
        )
    }

    /// Whose times fit into any task and any deadline that is drawn beside it.
    fn logoffs() -> impl Strategy<Value = Logoff> {
        let repeat = prop::option::of(Just(REPEAT_MIN_MS));
        let notice = ("[a-z]{1,9} [{]minutes[}]", repeat).prop_map(|(text, repeat_ms)| Notice {
            text,
            grace_ms: if repeat_ms.is_some() { REPEAT_MIN_MS + 1 } else { 0 },
            repeat_ms,
        });
        let drain =
            prop_oneof![Just(DrainFor::TheTask), (DRAIN_MIN_MS..=DRAIN_MAX_MS).prop_map(DrainFor::Ms)];
        let force = prop::option::of(0..TASK_TIMEOUT_MIN_MS);
        (filters(), prop::option::of(notice), force, prop::option::of(drain)).prop_map(
            |(sessions, notice, force_after_ms, drain)| Logoff { sessions, notice, force_after_ms, drain },
        )
    }

    fn specs() -> impl Strategy<Value = OperationSpec> {
        let times = (TASK_TIMEOUT_MIN_MS..=TASK_TIMEOUT_MAX_MS, 2000..=DEADLINE_MAX_MS, 0_u64..=1000);
        let texts = ("[a-z ]{0,9}", prop::option::of("[a-z]{1,9}"), "[a-z]{1,5}", any::<bool>());
        (prop::option::of(amounts(1)), rollouts(), budgets(), times, texts, logoffs()).prop_map(
            |(max_in_flight, rollout, budgets, times, texts, logoff)| {
                let (task_timeout_ms, deadline_ms, deliver_within_ms) = times;
                let (reason, request_id, name, is_refused) = texts;
                let guests = vec![format!("{name}-*").parse().expect("a glob")];
                let selection = Selection { guests, ..Selection::default() };
                OperationSpec {
                    not_running: if is_refused { NotRunning::Refuse } else { NotRunning::Skip },
                    logoff,
                    max_in_flight,
                    rollout,
                    budgets,
                    task_timeout_ms,
                    deliver_within_ms,
                    deadline_ms,
                    request_id,
                    annotations: [(name, reason.clone())].into(),
                    reason,
                    ..OperationSpec::plain(selection)
                }
            },
        )
    }

    proptest! {
        #[test]
        fn any_valid_spec_reads_back_as_written(spec in specs()) {
            let request_id = spec.request_id.clone().unwrap_or_default();
            prop_assert_eq!(operation_spec(Some(spec.clone().into()), request_id), Ok(spec));
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let mut spec = all();
        spec.task_timeout = Some(duration(1));
        spec.max_in_flight = Some(Amount::Number(0).into());
        spec.reason = "x".repeat(2000);
        spec.selection.as_mut().expect("there").label_selector = "a b".into();
        let Err(SpecError::Invalid(violations)) = operation_spec(Some(spec), String::new()) else {
            panic!("it must be invalid");
        };
        let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        let wrong =
            ["spec.selection.label_selector", "spec.max_in_flight", "spec.task_timeout", "spec.reason"];
        assert_eq!(fields, wrong);
    }

    #[test]
    fn times_that_do_not_fit_together_are_named() {
        let mut spec = all();
        spec.force_after = Some(duration(600_000));
        spec.deadline = Some(duration(3_600_000));
        spec.notice = Some(v1::Notice {
            text: "in {hours} h".into(),
            grace: Some(duration(3_600_000)),
            repeat: Some(duration(7_200_000)),
        });
        spec.drain = Some(v1::DrainOptions { drain_for: Some(duration(0)) });
        let Err(SpecError::Invalid(violations)) = operation_spec(Some(spec), String::new()) else {
            panic!("it must be invalid");
        };
        let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        let wrong = [
            "spec.notice.text",
            "spec.notice.repeat",
            "spec.drain.drain_for",
            "spec.force_after",
            "spec.notice.grace",
        ];
        assert_eq!(fields, wrong);
    }

    #[test]
    fn a_grace_without_words_gets_the_standard_words() {
        let mut spec = all();
        let grace = Some(duration(60_000));
        spec.notice = Some(v1::Notice { text: String::new(), grace, repeat: None });
        let parsed = operation_spec(Some(spec), String::new()).expect("valid");
        let text = curfew_types::logoff::NOTICE_DEFAULT.to_owned();
        assert_eq!(parsed.logoff.notice, Some(Notice { text, grace_ms: 60_000, repeat_ms: None }));
    }

    #[test]
    fn what_is_required_is_said_to_be_missing() {
        assert!(matches!(operation_spec(None, String::new()), Err(SpecError::Missing(_))));
        let empty = v1::OperationSpec::default();
        assert!(matches!(operation_spec(Some(empty), String::new()), Err(SpecError::Missing(_))));
    }
}

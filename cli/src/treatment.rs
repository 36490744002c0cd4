//! In words how an operation treats people: what they are told, what is killed, whether others may come meanwhile, and
//! whose sessions are meant. What kills or drains is never left out.

use crate::words;
use curfew_proto::v1;

/// Patterns of users that are named; the rest is counted.
const USERS_SHOWN: usize = 5;

/// One line with all of it; nothing where all users are logged off at once, untold, and nothing is killed.
pub(crate) fn line(spec: &v1::OperationSpec) -> Option<String> {
    match (people(spec), sessions(spec)) {
        (None, None) => None,
        (Some(people), None) => Some(format!("How: {people}.")),
        (None, Some(sessions)) => Some(format!("How: {sessions}.")),
        (Some(people), Some(sessions)) => Some(format!("How: {people}; {sessions}.")),
    }
}

/// Who is logged off, as the object of a sentence.
pub(crate) fn whom(spec: &v1::OperationSpec) -> &'static str {
    if sessions(spec).is_some() { "some users" } else { "all users" }
}

/// The question that starts it.
pub(crate) fn question(spec: &v1::OperationSpec) -> &'static str {
    if spec.force_after.is_some() { "Log them off, and kill what does not go?" } else { "Log them off?" }
}

/// What is done to people apart from logging them off; nothing where nothing is.
pub(crate) fn people(spec: &v1::OperationSpec) -> Option<String> {
    let told = spec.notice.as_ref().map(told);
    let killed = spec.force_after.as_ref().map(|after| match words::from_wire(after).is_zero() {
        true => "killed if they do not go at once".to_owned(),
        false => format!("killed if still there after {}", words::duration(Some(after))),
    });
    let drained = spec.drain.as_ref().map(|drain| match &drain.drain_for {
        Some(time) => format!("new logons refused for {}", words::duration(Some(time))),
        None => "new logons refused until it is done".into(),
    });
    let parts: Vec<String> = [told, killed, drained].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn told(notice: &v1::Notice) -> String {
    let grace = notice.grace.as_ref().filter(|grace| !words::from_wire(grace).is_zero());
    match (grace, &notice.repeat) {
        (None, _) => "told, and logged off at once".into(),
        (Some(grace), None) => format!("told {} before", words::duration(Some(grace))),
        (Some(grace), Some(repeat)) => {
            format!(
                "told {} before and again every {}",
                words::duration(Some(grace)),
                words::duration(Some(repeat))
            )
        }
    }
}

/// Whose sessions are meant; nothing where all are.
pub(crate) fn sessions(spec: &v1::OperationSpec) -> Option<String> {
    let filter = spec.sessions.as_ref().filter(|filter| **filter != v1::SessionFilter::default())?;
    let mut said = match filter.state() {
        v1::SessionStateFilter::Unspecified => "only sessions".to_owned(),
        v1::SessionStateFilter::Active => "only active sessions".to_owned(),
        v1::SessionStateFilter::Disconnected => "only disconnected sessions".to_owned(),
    };
    if !filter.users.is_empty() {
        said.push_str(&format!(" of {}", some(&filter.users)));
    }
    if !filter.exclude_users.is_empty() {
        let but = if filter.users.is_empty() { "" } else { "," };
        said.push_str(&format!("{but} not of {}", some(&filter.exclude_users)));
    }
    if let Some(idle) = &filter.idle_at_least {
        said.push_str(&format!(", idle for {} at least", words::duration(Some(idle))));
    }
    if let Some(before) = &filter.logged_on_before {
        said.push_str(&format!(", begun before {}", words::time(Some(before))));
    }
    Some(said)
}

fn some(users: &[String]) -> String {
    let shown = users.iter().take(USERS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(" or ");
    match users.len().saturating_sub(USERS_SHOWN) {
        0 => shown,
        more => format!("{shown} or {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_proto::convert::duration;

    #[test]
    fn the_contracts_plain_logoff_needs_no_words() {
        let plain = v1::OperationSpec::default();
        assert_eq!((line(&plain), whom(&plain), question(&plain)), (None, "all users", "Log them off?"));
    }

    #[test]
    fn what_is_told_killed_and_refused_and_who_is_meant_is_one_line() {
        let spec = v1::OperationSpec {
            notice: Some(v1::Notice {
                text: String::new(),
                grace: Some(duration(600_000)),
                repeat: Some(duration(300_000)),
            }),
            force_after: Some(duration(120_000)),
            drain: Some(v1::DrainOptions { drain_for: Some(duration(14_400_000)) }),
            sessions: Some(v1::SessionFilter {
                users: (1..=7).map(|n| format!("CORP\\u{n}")).collect(),
                exclude_users: vec!["alice".into()],
                state: v1::SessionStateFilter::Disconnected.into(),
                idle_at_least: Some(duration(1_800_000)),
                logged_on_before: Some(pbjson_types::Timestamp { seconds: 1_801_418_400, nanos: 0 }),
            }),
            ..v1::OperationSpec::default()
        };
        insta::assert_snapshot!(line(&spec).expect("there is much to say"), @r"How: told 10m before and again every 5m, killed if still there after 2m, new logons refused for 4h; only disconnected sessions of CORP\u1 or CORP\u2 or CORP\u3 or CORP\u4 or CORP\u5 or 2 more, not of alice, idle for 30m at least, begun before 2027-01-31T18:00:00Z.");
        assert_eq!(
            (whom(&spec), question(&spec)),
            ("some users", "Log them off, and kill what does not go?")
        );
    }

    #[test]
    fn a_notice_without_grace_a_force_at_once_and_a_drain_for_the_task_have_words() {
        let spec = v1::OperationSpec {
            notice: Some(v1::Notice { text: "Now.".into(), ..v1::Notice::default() }),
            force_after: Some(duration(0)),
            drain: Some(v1::DrainOptions::default()),
            ..v1::OperationSpec::default()
        };
        assert_eq!(
            line(&spec).as_deref(),
            Some(
                "How: told, and logged off at once, killed if they do not go at once, new logons refused until it is done."
            )
        );
        let filtered = v1::OperationSpec {
            sessions: Some(v1::SessionFilter { exclude_users: vec!["root".into()], ..Default::default() }),
            ..v1::OperationSpec::default()
        };
        assert_eq!(line(&filtered).as_deref(), Some("How: only sessions not of root."));
    }
}

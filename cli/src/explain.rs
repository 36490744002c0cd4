//! Turns a gRPC status into words: names the flag or field that is wrong, the contract's code, and what to do.
//! It never calls a lost connection or an expired timeout a cancel.

use crate::error::Why;
use curfew_proto::dial::DialError;
use std::error::Error as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Whether the connection, not the controller, gave this answer: asking again may help.
///
/// A status that tonic made itself out of a broken stream has a source; one that the controller sent has none.
pub(crate) fn is_lost(status: &Status) -> bool {
    is_expired(status)
        || match status.code() {
            Code::Unavailable | Code::Cancelled => true,
            Code::Unknown | Code::Internal | Code::DeadlineExceeded => status.source().is_some(),
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss
            | Code::Unauthenticated => false,
        }
}

/// Why a call to the controller at `endpoint` failed.
pub(crate) fn explain(status: &Status, endpoint: &str) -> Why {
    if is_expired(status) {
        return Why::new(
            format!("the controller at {endpoint} did not answer in time"),
            "it may be overloaded or the network slow; what was asked for may have happened, so look before asking again",
        );
    }
    let mut why = Why { headline: headline(status, endpoint), details: details(status), help: None };
    why.help = help(status).map(str::to_owned);
    why
}

/// The answer of tonic's own timer. It arrives as CANCELLED, although nobody cancelled anything.
fn is_expired(status: &Status) -> bool {
    let by_timer = status.code() == Code::Cancelled && status.message().contains("Timeout expired");
    by_timer || (status.code() == Code::DeadlineExceeded && status.source().is_some())
}

fn headline(status: &Status, endpoint: &str) -> String {
    let said = status.message();
    let text = match status.code() {
        Code::Unavailable if said_by_controller(status) => format!("the controller is not ready: {said}"),
        Code::Unavailable => format!("no connection to the controller at {endpoint}: {}", deepest(status)),
        Code::Cancelled | Code::Unknown if status.source().is_some() => {
            format!("the connection to {endpoint} was lost: {}", deepest(status))
        }
        Code::Cancelled => format!("the connection to {endpoint} was lost: {said}"),
        Code::PermissionDenied => format!("permission denied: {said}"),
        Code::Unauthenticated => format!("the controller does not know this certificate: {said}"),
        Code::Unimplemented => "the controller does not know this call".into(),
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => said.to_owned(),
    };
    let text = if text.is_empty() { format!("the controller says only {:?}", status.code()) } else { text };
    match contract_code(status) {
        Some(code) => format!("{text} ({code})"),
        None => text,
    }
}

fn help(status: &Status) -> Option<&'static str> {
    match status.code() {
        Code::Unavailable if said_by_controller(status) => Some("try again in a moment"),
        Code::Unavailable => Some(
            "check that the controller runs there and that nothing is in between; `curfew context show` tells \
             which address and certificates are in use",
        ),
        Code::Cancelled => Some("what was asked for may have happened: look before asking again"),
        Code::PermissionDenied | Code::Unauthenticated => Some(
            "`curfew context show` tells which certificate is in use; another one is chosen with --context",
        ),
        Code::Unimplemented => Some("curfew and the controller should be of the same minor version"),
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => None,
    }
}

fn details(status: &Status) -> Vec<String> {
    let Some(bad) = status.get_details_bad_request() else { return Vec::new() };
    let said = status.message();
    let name = |field: &str| match flag(field) {
        Some(flag) => format!("{flag} ({field})"),
        None => field.to_owned(),
    };
    bad.field_violations
        .iter()
        // A status that has one violation often says the same in its message.
        .map(|bad| match bad.description == said {
            true => format!("in {}", name(&bad.field)),
            false => format!("{}: {}", name(&bad.field), bad.description),
        })
        .collect()
}

/// What on the command line sets a field of the API, if anything does.
fn flag(field: &str) -> Option<&'static str> {
    let last = field.rsplit('.').next().unwrap_or(field);
    let last = last.split('[').next().unwrap_or(last);
    Some(match last {
        "label_selector" => "--selector",
        "hosts" => "--host",
        "guests" => "--guest",
        "guest_ids" => "--guest-id",
        "exclude" => "--exclude",
        "all" => "--all",
        "include_host_guests" => "--include-host-guests",
        "not_running" => "--not-running",
        "max_in_flight" => "--max-in-flight",
        "task_timeout" => "--task-timeout",
        "deliver_within" => "--deliver-within",
        "deadline" => "--deadline",
        "reason" => "--reason",
        "annotations" => "--annotation",
        "request_id" => "--request-id",
        "waves" => "--waves",
        "wave_pause" => "--wave-pause",
        "promotion" => "--promote-by-hand",
        "seed" => "--seed",
        "max_per_host" => "--max-per-host",
        "spread" | "label" | "max" => "--spread",
        "failed" => "--max-failed",
        "timed_out" => "--max-timed-out",
        "unreachable" => "--max-unreachable",
        "refused" => "--max-refused",
        "users" => "--user",
        "exclude_users" => "--exclude-user",
        "state" => "--state",
        "idle_at_least" => "--idle-at-least",
        "logged_on_before" => "--logged-on-before",
        "text" => "--notice",
        "grace" => "--grace",
        "repeat" => "--repeat",
        "force_after" => "--force-after",
        // Of an operation, or by hand.
        "drain_for" if field.contains('.') => "--drain-for",
        "drain_for" => "--for",
        "expected_count" => "--expect",
        "selection_digest" => "--digest",
        "wave" => "--wave",
        "live_timeout" => "--live-timeout",
        "expire_time" => "--until or --for",
        "patterns" => "PATTERN",
        "timeout_ms" => "--timeout-ms",
        "timeout" => "--timeout",
        _ => return None,
    })
}

/// The contract's code and value, where the controller names one.
fn contract_code(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    let name = info.metadata.get("status_code")?;
    Some(match info.metadata.get("hresult") {
        Some(value) => format!("{name}, {value}"),
        None => name.clone(),
    })
}

fn said_by_controller(status: &Status) -> bool {
    status.source().is_none() && !status.message().is_empty()
}

/// What the dial says, or the innermost cause: the outer ones say only "transport error".
fn deepest(status: &Status) -> String {
    if let Some(error) = DialError::of_status(status) {
        return error.to_string();
    }
    let mut cause = status.source();
    let mut text = status.message().to_owned();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    // The TLS library's words for a peer that went away carry an address of its manual; HTTP/2 passes on the words
    // alone, so there is no kind to look at.
    if text.contains("close_notify") { "the other side closed it".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tonic_types::ErrorDetails;

    const AT: &str = "https://controller:7443";

    #[test]
    fn a_bad_field_is_named_by_its_flag() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("spec.selection.label_selector", "a value is missing after '='");
        let status = Status::with_error_details(Code::InvalidArgument, "the selection is not valid", details);
        let why = explain(&status, AT);
        assert_eq!(why.headline, "the selection is not valid");
        assert_eq!(why.details, ["--selector (spec.selection.label_selector): a value is missing after '='"]);
    }

    #[test]
    fn a_budget_a_wave_and_a_spread_are_named_by_their_flags() {
        for (field, expected) in [
            ("spec.rollout.waves", "--waves"),
            ("spec.rollout.spread.label", "--spread"),
            ("spec.rollout.spread.max", "--spread"),
            ("spec.budgets.timed_out", "--max-timed-out"),
            ("budgets.failed", "--max-failed"),
        ] {
            assert_eq!(flag(field), Some(expected), "{field}");
        }
    }

    #[test]
    fn what_is_said_of_people_is_named_by_its_flag() {
        for (field, expected) in [
            ("spec.sessions.users", "--user"),
            ("filter.exclude_users", "--exclude-user"),
            ("spec.sessions.state", "--state"),
            ("spec.sessions.idle_at_least", "--idle-at-least"),
            ("filter.logged_on_before", "--logged-on-before"),
            ("spec.notice.text", "--notice"),
            ("spec.notice.grace", "--grace"),
            ("spec.notice.repeat", "--repeat"),
            ("spec.force_after", "--force-after"),
            ("spec.drain.drain_for", "--drain-for"),
            ("drain_for", "--for"),
        ] {
            assert_eq!(flag(field), Some(expected), "{field}");
        }
    }

    #[test]
    fn the_contracts_code_is_shown_where_the_controller_names_it() {
        let metadata = HashMap::from([
            ("status_code".to_owned(), "VM_E_VM_UNKNOWN".to_owned()),
            ("hresult".to_owned(), "0xA0040207".to_owned()),
        ]);
        let details = ErrorDetails::with_error_info("VM_E_VM_UNKNOWN", "curfew", metadata);
        let status = Status::with_error_details(Code::NotFound, "no guest \"x\"", details);
        assert_eq!(explain(&status, AT).headline, "no guest \"x\" (VM_E_VM_UNKNOWN, 0xA0040207)");
    }

    #[test]
    fn an_expired_timeout_is_never_shown_as_a_cancel() {
        let status = Status::cancelled("Timeout expired");
        let why = explain(&status, AT);
        assert!(is_lost(&status));
        assert_eq!(why.headline, "the controller at https://controller:7443 did not answer in time");
        let lost = explain(&Status::cancelled("stream reset"), AT);
        assert!(!format!("{lost} {:?}", lost.help).to_lowercase().contains("cancel"), "{lost}");
    }

    #[test]
    fn only_what_the_connection_did_counts_as_lost() {
        let broken = Status::from_error(Box::new(std::io::Error::other("broken")));
        assert!(is_lost(&broken) && is_lost(&Status::unavailable("")));
        assert!(!is_lost(&Status::internal("it broke")) && !is_lost(&Status::not_found("")));
    }

    #[test]
    fn a_connection_that_was_closed_is_told_without_the_librarys_words() {
        let closed =
            std::io::Error::other("peer closed connection without sending TLS close_notify: https://...");
        let why = explain(&Status::from_error(Box::new(closed)), AT);
        assert!(why.headline.ends_with(": the other side closed it"), "{why}");
    }

    #[test]
    fn every_code_has_words() {
        for number in 0..17 {
            assert!(!explain(&Status::new(Code::from(number), ""), AT).headline.is_empty());
        }
    }
}

//! What the log says of a turn, whatever a guest put into it; and what must be durable before the turn goes on.

use super::*;
use curfew_types::agent::Finding;
use curfew_types::{OperationId, Outcome, Reason, StatusCode, Verdict};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

const HOSTILE: &str = "gone\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{9b}31m\u{202e}\u{2028}\u{0}";

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Kept;

    fn make_writer(&self) -> Kept {
        self.clone()
    }
}

fn logged(turn: &Turn, json: bool) -> String {
    let kept = Kept::default();
    let builder = tracing_subscriber::fmt().with_writer(kept.clone());
    if json {
        tracing::subscriber::with_default(builder.json().finish(), || turn.log());
    } else {
        tracing::subscriber::with_default(builder.with_ansi(false).finish(), || turn.log());
    }
    let bytes = kept.0.lock().expect("the log").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn what_a_guest_said_never_forges_a_line_of_the_log() {
    let operation = OperationId::from_number(7).expect("an id");
    let guest: GuestId = "h1/qga/vm".parse().expect("an id");
    let verdict = Verdict::new(Outcome::Failed, StatusCode::Unexpected, Reason::ProviderFailed, HOSTILE);
    let verdict = std::sync::Arc::new(verdict);
    let finding = Finding { operation, index: 0, guest: guest.clone(), verdict: verdict.clone(), late: true };
    let at = curfew_types::WallTime(0);
    let entries = vec![
        Entry::Finished { operation, index: 0, guest, verdict, sequence: 1, at, follow_up: true },
        Entry::Said { finding, sequence: 2, closes_follow_up: true },
    ];
    let turn = Turn { entries, ..Turn::default() };
    for json in [false, true] {
        let log = logged(&turn, json);
        assert_eq!(log.lines().count(), 2, "{log:?}");
        let hostile = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{2028}'));
        assert!(!log.contains(hostile), "{log:?}");
        assert!(log.contains("forged"), "the test says something");
    }
}

fn call(request: Request) -> Call {
    let guest = "h1/qga/vm".parse().expect("an id");
    Call { call: 1, guest, request, budget_ms: 1_000 }
}

fn looking_at_what_was_accepted() -> Turn {
    let accepted = Entry::Accepted {
        operation: OperationId::from_number(7).expect("an id"),
        boot: "b".into(),
        at: curfew_types::Mono(1),
        expires: curfew_types::Mono(2),
        task_timeout_ms: 3,
        logoff: curfew_types::Logoff::default().into(),
        tasks: Vec::new(),
    };
    let look = call(Request::List(curfew_agent_core::call::Look::default()));
    Turn { entries: vec![accepted], calls: vec![look], ..Turn::default() }
}

#[test]
fn guests_may_be_looked_at_before_the_acceptance_is_durable() {
    assert!(looking_at_what_was_accepted().may_be_durable_later());
}

#[test]
fn nothing_is_done_in_a_guest_or_told_before_all_that_was_written_is_durable() {
    let undrains = Turn { calls: vec![call(Request::Undrain)], ..looking_at_what_was_accepted() };
    assert!(!undrains.may_be_durable_later());
    let report = Report {
        progress: Vec::new(),
        first_sequence: 1,
        findings: Vec::new(),
        ledger: curfew_types::agent::LedgerMark::default(),
        safeguards: curfew_types::agent::SafeguardsMark::default(),
        drains: None,
    };
    let tells = Turn { reports: vec![report], ..looking_at_what_was_accepted() };
    assert!(!tells.may_be_durable_later());
}

#[test]
fn an_epoch_that_was_seen_is_durable_at_once() {
    let mut turn = looking_at_what_was_accepted();
    turn.entries.push(Entry::EpochSeen { epoch: 2 });
    assert!(!turn.may_be_durable_later());
}

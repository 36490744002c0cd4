//! The floor: a minimal tonic server and minimal agents, with the messages, connections and TLS that Curfew has, and
//! nothing behind them. What it takes is what the wire takes. Its sessions end with it, as any plain server's do, unless
//! it is told that they can be resumed (`--resumes`).

pub(crate) mod agents;
mod connection;
pub(crate) mod server;

use curfew_proto::agent::v1 as wire;
use curfew_proto::v1;

/// The operation that the floor's messages name; its batches are numbered from here.
const OPERATION: u64 = 0x0123_4567_89ab_cdef;

/// The order for so many guests of a host, as the controller would give it.
fn order(host: &str, guests: u32, batch: u64) -> wire::AttachResponse {
    let tasks = (0..guests).map(|index| wire::OrderedTask { index, guest_id: guest(host, index) });
    let order = wire::Order {
        operation: OPERATION + batch,
        epoch: 1,
        remaining_ms: 3_600_000,
        task_timeout_ms: 300_000,
        tasks: tasks.collect(),
        ..wire::Order::default()
    };
    wire::AttachResponse { message: Some(wire::attach_response::Message::Order(order)) }
}

/// A report on how far tasks have come.
fn progress(guests: u32, stage: v1::Stage) -> wire::AttachRequest {
    let sessions = Some(v1::SessionCounts { found: 1, ..v1::SessionCounts::default() });
    let progress = (0..guests).map(|index| wire::TaskProgress {
        operation: OPERATION,
        index,
        stage: stage.into(),
        sessions,
    });
    report(wire::Report { progress: progress.collect(), ..wire::Report::default() })
}

/// A report on how tasks ended.
fn findings(host: &str, tasks: std::ops::Range<u32>) -> wire::AttachRequest {
    let first_sequence = u64::from(tasks.start) + 1;
    let finding = |index| wire::Finding {
        operation: OPERATION,
        index,
        guest_id: guest(host, index),
        verdict: Some(v1::Verdict {
            outcome: v1::Outcome::Succeeded.into(),
            sessions: Some(v1::SessionCounts { found: 1, ended: 1, ..v1::SessionCounts::default() }),
            results: vec![v1::SessionResult {
                id: "1".into(),
                user: "alice".into(),
                ..v1::SessionResult::default()
            }],
            ..v1::Verdict::default()
        }),
        late: false,
    };
    report(wire::Report {
        first_sequence,
        findings: tasks.map(finding).collect(),
        ledger: Some(wire::LedgerMark { incarnation: OPERATION, counter: first_sequence }),
        ..wire::Report::default()
    })
}

fn report(report: wire::Report) -> wire::AttachRequest {
    wire::AttachRequest { message: Some(wire::attach_request::Message::Report(report)) }
}

fn guest(host: &str, index: u32) -> String {
    format!("{host}/simulated/{host}-desk-{}", index + 1)
}

//! Looks for answers that nobody thought of: healthy ones, changed here and there, cut, doubled, and said at the wrong time.

use crate::agent::{HostileAgent, Move};
use crate::healthy::System;
use crate::probe::{act, list};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

/// For exchanges that may come to nothing: each such case costs this.
const BUDGET: Duration = Duration::from_millis(120);

/// A change to some bytes; places are taken modulo the length.
#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Double(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        any::<Vec<u8>>(),
        Just(b"\n".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\xFF".to_vec()),
        Just(b"\\u0000\\u001b\\ud800".to_vec()),
        Just(b"-99999999999999999999999".to_vec()),
        Just(b"[[[[[[[[[[[[[[[[[[[[".to_vec()),
        Just("\u{202e}\u{1b}[2J".as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, with)| Change::Flip(at, with)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Change::Double(from, to)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let length = bytes.len().max(1);
        match change {
            Change::Flip(at, with) => {
                bytes.iter_mut().skip(at % length).take(1).for_each(|byte| *byte ^= with);
            }
            Change::Cut(at) => bytes.truncate(at % length),
            Change::Insert(at, piece) => {
                let at = (at % length).min(bytes.len());
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
            Change::Double(from, to) => {
                let (from, to) = (from % length, to % length);
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                drop(bytes.splice(from..from, piece));
            }
        }
    }
    bytes
}

fn system() -> impl Strategy<Value = System> {
    prop_oneof![Just(System::Linux), Just(System::Windows)]
}

fn users() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(any::<String>(), 0..4)
}

/// What was found is written into `corpus` by hand, where it says what it is.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(case);
}

#[test]
fn whatever_a_program_prints_comes_to_a_checked_list_or_an_error() {
    let inputs = (system(), users(), prop::collection::vec(change(), 0..4), any::<u8>());
    proptest!(config(192), |((system, users, changes, code) in inputs)| {
        let output = changed(system.listing(&users), &changes);
        let status = json!({ "exited": true, "exitcode": code % 3, "out-data": STANDARD.encode(&output), "err-data": STANDARD.encode(&output) });
        run(async move {
            let agent = HostileAgent::new(move |command, arguments| match command {
                "guest-sync-delimited" => Move::synced(arguments),
                "guest-get-osinfo" => Move::returns(&system.os_info()),
                "guest-get-time" => Move::returns(&json!(1_700_000_000_000_000_000_i64)),
                "guest-exec" => Move::returns(&json!({ "pid": 7 })),
                _ => Move::returns(&status),
            });
            let _ = list(&agent, Duration::from_secs(10)).await;
        });
    });
}

#[test]
fn whatever_an_agent_sends_comes_to_an_answer_within_the_budget() {
    let step = (0_usize..12, prop::collection::vec(change(), 0..3), any::<bool>());
    let inputs = (system(), users(), prop::collection::vec(step, 1..3), any::<bool>());
    proptest!(config(48), |((system, users, steps, acts) in inputs)| {
        run(async move {
            let output = STANDARD.encode(system.listing(&users));
            let mut count = 0_usize;
            let agent = HostileAgent::new(move |command, arguments| {
                let healthy = match command {
                    "guest-sync-delimited" => Move::synced(arguments),
                    "guest-get-osinfo" => Move::returns(&system.os_info()),
                    "guest-get-time" => Move::returns(&json!(1_700_000_000_000_000_000_i64)),
                    "guest-exec" => Move::returns(&json!({ "pid": 7 })),
                    _ => Move::returns(&json!({ "exited": true, "exitcode": 0, "out-data": output })),
                };
                count += 1;
                let Some((_, changes, dies)) = steps.iter().find(|(at, ..)| *at == count % 12) else {
                    return healthy;
                };
                let Move::Say(bytes) = healthy else { unreachable!("healthy agents say something") };
                let bytes = changed(bytes, changes);
                if *dies { Move::SayAndDie(bytes) } else { Move::Say(bytes) }
            });
            if acts { act(&agent, BUDGET).await } else { let _ = list(&agent, BUDGET).await; }
        });
    });
}

//! Cases that were thought of or found, one test each.

use crate::agent::{HostileAgent, Move};
use crate::healthy::System;
use crate::probe::{self, act, is_plain, list};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curfew_types::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const BOTH: [System; 2] = [System::Linux, System::Windows];
/// For answers that come at once, however large.
const LONG: Duration = Duration::from_secs(30);
/// For answers that never come.
const SHORT: Duration = Duration::from_millis(60);
/// A host has hundreds of guests, and one exchange with one of them must not cost it more than this.
const MEMORY_MAX_KIB: u64 = 128 * 1024;

const HOSTILE_TEXTS: [&str; 8] = [
    "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m",
    "alice\nERROR forged line\r\nbob",
    "\u{202e}ecila\u{2066}\u{200b}\u{2028}",
    "\u{0}\u{1}\u{7f}\u{9b}31m\u{85}",
    "ääääääääääääääää",
    "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}",
    "$(reboot)`reboot`;reboot&|<>'\"\\",
    "../../etc/passwd%s%n{}",
];

/// An agent that is healthy up to what its programs print.
fn printing(system: System, output: Vec<u8>) -> HostileAgent {
    ending(system, json!({ "exited": true, "exitcode": 0, "out-data": STANDARD.encode(output) }))
}

/// An agent that is healthy up to what it says of a program's end.
fn ending(system: System, status: Value) -> HostileAgent {
    answering(system, move |command| (command == "guest-exec-status").then(|| Move::returns(&status)))
}

/// An agent that is healthy but for the commands that `answer` has something for.
fn answering(system: System, mut answer: impl FnMut(&str) -> Option<Move> + Send + 'static) -> HostileAgent {
    HostileAgent::new(move |command, arguments| {
        answer(command).unwrap_or_else(|| match command {
            "guest-sync-delimited" => Move::synced(arguments),
            "guest-get-osinfo" => Move::returns(&system.os_info()),
            "guest-get-time" => Move::returns(&json!(1_700_000_000_000_000_000_i64)),
            "guest-exec" => Move::returns(&json!({ "pid": 7 })),
            _ => Move::returns(&json!({ "exited": true, "exitcode": 0 })),
        })
    })
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

#[tokio::test]
async fn a_healthy_guest_is_read_so_that_the_other_cases_mean_something() {
    for system in BOTH {
        let users = ["alice".to_owned(), "bob".to_owned()];
        let agent = printing(system, system.listing(&users));
        let found = list(&agent, LONG).await.expect("a list");
        assert_eq!((found.sessions.len(), found.processes.len()), (2, 2), "{system:?}");
    }
}

#[tokio::test]
async fn hostile_names_are_data_and_nothing_else() {
    for system in BOTH {
        let users: Vec<String> = HOSTILE_TEXTS.iter().map(|text| (*text).to_owned()).collect();
        let agent = printing(system, system.listing(&users));
        let found = list(&agent, LONG).await.expect("a list");
        assert_eq!(found.sessions.len(), users.len(), "{system:?}");
        assert!(found.sessions.iter().any(|session| session.user.contains(HOSTILE_TEXTS[4])));
    }
}

#[tokio::test]
async fn what_a_guest_says_in_an_error_is_escaped_wherever_it_says_it() {
    for text in HOSTILE_TEXTS {
        for system in BOTH {
            for refused in ["guest-exec", "guest-exec-status", "guest-get-time", "guest-get-osinfo"] {
                for class in ["GenericError", "CommandNotFound", text] {
                    let (refused, class) = (refused.to_owned(), class.to_owned());
                    let agent = answering(system, move |command| {
                        (command == refused).then(|| Move::fails(&class, text))
                    });
                    // Checks the message, if there is one: an agent need not tell its system.
                    let _ = list(&agent, LONG).await;
                }
            }
            let complaint = STANDARD.encode(text);
            for code in [json!(1), json!(0), json!(null), json!(i64::MIN), json!("x")] {
                let status =
                    json!({ "exited": true, "exitcode": code, "err-data": complaint, "out-data": complaint });
                assert!(list(&ending(system, status.clone()), LONG).await.is_err());
                act(&ending(system, status), LONG).await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_sent_without_end_is_not_taken_for_long_and_costs_little() {
    let patterns: [Vec<u8>; 7] = [
        vec![b' '; 65_536],
        vec![b'\n'; 65_536],
        vec![b'['; 65_536],
        vec![0xFF; 65_536],
        b"{\"return\":1}\n".repeat(5_000),
        b"[0,".repeat(20_000),
        b"{\"error\":{\"class\":\"\",\"desc\":\"\x1b\"}}\n".repeat(2_000),
    ];
    for at in ["guest-sync-delimited", "guest-exec-status"] {
        for pattern in &patterns {
            let pattern = pattern.clone();
            let agent = answering(System::Linux, move |command| {
                (command == at).then(|| Move::Forever(pattern.clone()))
            });
            let result = list(&agent, LONG).await;
            assert!(result.is_err(), "{at}");
        }
    }
    let peak = peak_kib();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
}

#[tokio::test]
async fn an_answer_of_sixteen_mebibytes_is_refused_whatever_is_in_it() {
    const SIZE: usize = 16 * 1024 * 1024;
    let within = |inner: &[u8]| [b"{\"return\":", inner, b"}\n"].concat();
    let answers = [
        within(&[b"[".repeat(SIZE / 2), b"]".repeat(SIZE / 2)].concat()),
        within(&[&b"["[..], &b"{\"a\":1},".repeat(SIZE / 8), b"0]"].concat()),
        within(&[&b"\""[..], &b"x".repeat(SIZE), b"\""].concat()),
        within(&[&b"\""[..], &b"\\u0000".repeat(SIZE / 6), b"\""].concat()),
    ];
    for answer in answers {
        for at in ["guest-get-osinfo", "guest-exec", "guest-exec-status"] {
            let answer = answer.clone();
            let agent =
                answering(System::Windows, move |command| (command == at).then(|| Move::Say(answer.clone())));
            assert!(list(&agent, LONG).await.is_err(), "{at}");
        }
    }
}

#[tokio::test]
async fn json_that_is_small_on_the_wire_and_large_in_memory_is_refused() {
    let row = b"{\"id\":1,\"user\":\"a\",\"domain\":\"\",\"station\":\"\",\"client\":\"\",\"kind\":\"\",\"state\":\"active\",\"began\":1,\"idle\":1},";
    let bombs = [
        [&b"[".repeat(1_000_000)[..], &b"]".repeat(1_000_000)].concat(),
        [
            &b"{\"curfew\":1,\"boot\":\"1\",\"now\":1,\"sessions\":["[..],
            &b"{},".repeat(1_000_000),
            b"{}],\"programs\":{}}",
        ]
        .concat(),
        [
            &b"{\"curfew\":1,\"boot\":\"1\",\"now\":1,\"programs\":{},\"sessions\":["[..],
            &row.repeat(30_000),
            b"0]}",
        ]
        .concat(),
        [
            &b"boot 0f1e2d3c-0000-4000-8000-0123456789ab:42\nlist {\"data\":[["[..],
            &b"[],".repeat(1_000_000),
            b"[]]]}\nend\n",
        ]
        .concat(),
        b"process a x\nprocess b x\n".repeat(150_000),
        (0..250_000).flat_map(|n: u32| format!("process {n} x\n").into_bytes()).collect(),
        b"failed /org/freedesktop/login1/session/c1\n".repeat(90_000),
    ];
    for bomb in bombs {
        for system in BOTH {
            assert!(list(&printing(system, bomb.clone()), LONG).await.is_err());
        }
    }
    let peak = peak_kib();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
}

#[tokio::test]
async fn many_processes_of_sessions_that_are_none_cost_no_time() {
    let users: Vec<String> = (0..1_500).map(|n| format!("u{n}")).collect();
    let mut output = System::Linux.listing(&users);
    output.truncate(output.len() - "end\n".len());
    let strangers = (0..150_000).flat_map(|n: u32| format!("process s{n} x\n").into_bytes());
    output.extend(strangers);
    output.extend(b"end\n");
    let _ = list(&printing(System::Linux, output), LONG).await;
}

#[tokio::test]
async fn a_wrong_id_and_a_reply_to_nothing_are_nobodys() {
    let wrong = [
        json!(0),
        json!(-1),
        json!("7"),
        json!(null),
        json!([]),
        json!({}),
        json!(1e300),
        json!(u64::MAX),
        json!(true),
    ];
    for id in wrong {
        let agent = HostileAgent::new(move |_, _| Move::Say(format!("\n{{\"return\":{id}}}\n").into_bytes()));
        let error = list(&agent, SHORT).await.expect_err("never synchronised");
        assert_eq!(error.code, StatusCode::TimedOut);
    }
    // An answer before every question: the next answer is then the last question's.
    let agent = HostileAgent::new(|command, arguments| match command {
        "guest-sync-delimited" => {
            let Move::Say(mut bytes) = Move::synced(arguments) else { unreachable!() };
            bytes.extend(b"{\"return\":{\"id\":\"debian\"}}\n{\"return\":{\"pid\":1}}\n");
            let done = json!({ "return": { "exited": true, "exitcode": 0, "out-data": "" } });
            bytes.extend(format!("{done}\n").into_bytes());
            Move::Say(bytes)
        }
        _ => Move::Nothing,
    });
    assert!(list(&agent, LONG).await.is_err(), "an empty output is no list");
}

#[tokio::test]
async fn pids_that_are_reused_or_none_lead_nowhere() {
    for pid in [
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(u64::MAX),
        json!("7"),
        json!(null),
        json!([7]),
        json!(7.5),
    ] {
        for system in BOTH {
            let pid = pid.clone();
            let agent = answering(system, move |command| {
                (command == "guest-exec").then(|| Move::returns(&json!({ "pid": pid })))
            });
            assert!(list(&agent, LONG).await.is_err());
        }
    }
    // The end of another program, which had the pid before.
    let other = json!({ "exited": true, "exitcode": 0, "out-data": STANDARD.encode("{\"curfew\":1,\"end\":\"asked\"}") });
    assert!(list(&ending(System::Windows, other.clone()), LONG).await.is_err());
    assert!(list(&ending(System::Linux, other), LONG).await.is_err());
}

#[tokio::test]
async fn an_agent_that_is_restarted_in_the_middle_is_tried_again_later() {
    for system in BOTH {
        for at in ["guest-sync-delimited", "guest-get-osinfo", "guest-exec", "guest-exec-status"] {
            for bytes in [&b""[..], b"{\"ret", b"\xFF", b"{\"return\":{\"pid\":7"] {
                let agent = answering(system, move |command| {
                    (command == at).then(|| Move::SayAndDie(bytes.to_vec()))
                });
                let error = list(&agent, LONG).await.expect_err("cut off");
                assert_eq!(error.code, StatusCode::AdditionsNotAvail, "{at} {error}");
            }
        }
        // The new agent knows nothing of the old one's programs.
        let agent = answering(system, |command| {
            (command == "guest-exec-status").then(|| Move::fails("GenericError", "PID does not exist"))
        });
        assert_eq!(list(&agent, LONG).await.expect_err("lost").code, StatusCode::Unexpected);
    }
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_is_an_answer_and_half_of_one_is_none() {
    for system in BOTH {
        let status = json!({ "return": {
            "exited": true, "exitcode": 0, "out-data": STANDARD.encode(system.listing(&["alice".to_owned()])),
        } });
        let whole = format!("{status}\n").into_bytes();
        let half = whole[..whole.len() / 2].to_vec();
        let agent = answering(system, move |command| {
            (command == "guest-exec-status").then(|| Move::Dribble(whole.clone()))
        });
        assert_eq!(list(&agent, LONG).await.expect("a list").sessions.len(), 1);
        let agent = answering(system, move |command| {
            (command == "guest-exec-status").then(|| Move::Dribble(half.clone()))
        });
        assert_eq!(list(&agent, Duration::from_secs(1)).await.expect_err("half").code, StatusCode::TimedOut);
    }
}

#[tokio::test]
async fn base64_that_is_none_is_refused() {
    for data in ["=", "AAA", "A===", "\u{1b}[2J", "ä", "AAAA\n", "AA=A", "_-_-", " "] {
        for system in BOTH {
            for field in ["out-data", "err-data"] {
                let mut status = json!({ "exited": true, "exitcode": 0 });
                status[field] = json!(data);
                assert!(list(&ending(system, status.clone()), LONG).await.is_err(), "{data:?}");
                act(&ending(system, status), LONG).await;
            }
        }
    }
}

#[tokio::test]
async fn a_program_that_never_ends_costs_its_budget_and_no_more() {
    for system in BOTH {
        let agent = ending(system, json!({ "exited": false }));
        let error = list(&agent, SHORT).await.expect_err("too long");
        assert_eq!(error.code, StatusCode::TimedOut);
        for exited in [json!(null), json!("true"), json!(1), json!([])] {
            let agent = ending(system, json!({ "exited": exited }));
            assert_eq!(list(&agent, SHORT).await.expect_err("too long").code, StatusCode::TimedOut);
        }
    }
}

#[tokio::test]
async fn what_a_guest_calls_its_system_becomes_plain_labels() {
    for text in HOSTILE_TEXTS {
        let long = text.repeat(1_000);
        let agent = HostileAgent::new(move |command, arguments| match command {
            "guest-sync-delimited" => Move::synced(arguments),
            _ => Move::returns(&json!({ "id": text, "version-id": long })),
        });
        let (provider, _) = probe::provider(&agent);
        let learn = async {
            loop {
                let guest = provider.discover().await.expect("guests").remove(0);
                if !guest.labels.is_empty() {
                    return guest.labels;
                }
                tokio::task::yield_now().await;
            }
        };
        let labels = tokio::time::timeout(LONG, learn).await.expect("learnt");
        assert!(
            labels.values().all(|value| is_plain(value) && value.len() <= 256 && value.is_ascii()),
            "{labels:?}"
        );
    }
}

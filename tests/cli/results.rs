//! What became of sessions: of one guest, of a whole operation, and what holds those that remain.

use crate::fake::{Fake, Script, Then, Watch, logoff_script, operation, timed_out};
use crate::program::curfew;
use curfew_proto::v1;

const ID: &str = "op-0123456789abc/2";

fn result(id: u32, user: &str, fate: v1::SessionFate, notices: u32, why: &str) -> v1::SessionResult {
    v1::SessionResult { id: format!("c{id}"), user: user.into(), fate: fate.into(), notices, why: why.into() }
}

fn remaining() -> v1::Task {
    let counts = v1::SessionCounts { found: 4, ended: 3, forced: 1, remaining: 1, excluded: 2, new: 1 };
    let results = vec![
        result(1, "bob", v1::SessionFate::Remaining, 2, "held by vim, tmux: server"),
        result(2, "CORP\\carol", v1::SessionFate::Forced, 2, ""),
        result(3, "dave", v1::SessionFate::Ended, 1, ""),
        result(4, "eve", v1::SessionFate::LeftByItself, 1, ""),
        result(5, "alice", v1::SessionFate::Excluded, 0, "its user was excluded"),
        result(6, "root\u{202e}\n\u{1b}[2Jx", v1::SessionFate::Excluded, 0, "its user is \u{7}protected"),
        result(7, "frank", v1::SessionFate::New, 0, ""),
    ];
    let verdict = v1::Verdict {
        outcome: v1::Outcome::Failed.into(),
        status: Some(v1::Status { code: v1::StatusCode::Unexpected.into(), hresult: 0x8002_0009 }),
        reason: "sessions_remain".into(),
        message: "1 session is still there".into(),
        sessions: Some(counts),
        results,
        ..v1::Verdict::default()
    };
    v1::Task { sessions: Some(counts), verdict: Some(verdict), ..timed_out() }
}

fn spec() -> v1::OperationSpec {
    let seconds = |seconds| Some(pbjson_types::Duration { seconds, nanos: 0 });
    v1::OperationSpec {
        selection: Some(v1::Selection { all: true, ..v1::Selection::default() }),
        sessions: Some(v1::SessionFilter {
            exclude_users: vec!["alice".into()],
            state: v1::SessionStateFilter::Disconnected.into(),
            ..v1::SessionFilter::default()
        }),
        notice: Some(v1::Notice {
            text: "Patching, {minutes} min".into(),
            grace: seconds(600),
            repeat: seconds(300),
        }),
        force_after: seconds(120),
        drain: Some(v1::DrainOptions { drain_for: seconds(14_400) }),
        ..v1::OperationSpec::default()
    }
}

#[tokio::test]
async fn a_task_shows_what_became_of_each_session_and_why() {
    let fake = Fake::start(Script { tasks: vec![remaining()], ..Script::default() }).await;
    let said = curfew(fake.config(), &["task", "show", ID]).await;
    assert_eq!((said.exit, said.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(said.stdout, @r#"
    Id:           op-0123456789abc/2
    Guest:        desk-2 (host-1/simulated/2)
    Host:         host-1
    State:        failed
    Done:         100%
    Complete:     yes
    Cancelable:   no
    Result:       TimeOutError (6)
    Ended well:   no
    Sessions:     4 found, 3 ended, 1 forced, 1 remaining, 2 excluded, 1 new
    Code:         0x80020009 DISP_E_EXCEPTION
    Reason:       sessions_remain
    Message:      1 session is still there

    What became of its sessions:
    SESSION   USER                       BECAME           NOTICES   WHY
    c1        bob                        remaining              2   held by vim, tmux: server
    c2        CORP\carol                 forced                 2   -
    c3        dave                       ended                  1   -
    c4        eve                        left by itself         1   -
    c5        alice                      excluded               0   its user was excluded
    c6        root\u{202e}\n\u{1b}[2Jx   excluded               0   its user is \u{7}protected
    c7        frank                      new                    0   -
    "#);
    let waited = curfew(fake.config(), &["task", "wait", ID]).await;
    assert_eq!((waited.exit, waited.stdout), (Some(1), said.stdout));
    let said = curfew(fake.config(), &["task", "show", ID, "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(document["verdict"]["results"][0]["fate"], "SESSION_FATE_REMAINING");
}

#[tokio::test]
async fn a_late_finding_tells_of_its_sessions_too() {
    let late = v1::LateFinding {
        verdict: remaining().verdict,
        record_time: Some(pbjson_types::Timestamp { seconds: 1_801_418_400, nanos: 0 }),
    };
    let task = v1::Task { late_findings: vec![late], ..timed_out() };
    let fake = Fake::start(Script { tasks: vec![task], ..Script::default() }).await;
    let said = curfew(fake.config(), &["task", "show", ID]).await;
    let table = "\n\nAs found later, 2027-01-31T18:00:00Z:\nSESSION   USER ";
    assert!(said.stdout.contains(table), "{}", said.stdout);
    assert!(!said.stdout.contains("What became of its sessions"), "{}", said.stdout);
}

#[tokio::test]
async fn what_holds_a_session_is_named_where_guests_that_did_not_end_well_are_listed() {
    let fake = Fake::start(Script { tasks: vec![remaining()], ..Script::default() }).await;
    let said = curfew(fake.config(), &["task", "list", "op-0123456789abc", "--not-well"]).await;
    insta::assert_snapshot!(said.stdout, @r#"
    ID                   GUEST    STATE    DONE   CODE                          HOST     SESSIONS                                                     MESSAGE
    op-0123456789abc/2   desk-2   failed   100%   0x80020009 DISP_E_EXCEPTION   host-1   4 found, 3 ended, 1 forced, 1 remaining, 2 excluded, 1 new   1 session is still there (bob in c1 held by vim, tmux: server)
    "#);
}

#[tokio::test]
async fn a_summary_counts_sessions_and_says_how_people_were_treated() {
    let well = v1::Task {
        ended_well: true,
        sessions: Some(v1::SessionCounts { found: 3, ended: 3, ..v1::SessionCounts::default() }),
        verdict: Some(v1::Verdict {
            outcome: v1::Outcome::Succeeded.into(),
            results: vec![result(1, "bob", v1::SessionFate::LeftByItself, 1, "")],
            ..v1::Verdict::default()
        }),
        ..timed_out()
    };
    let ended = v1::Operation { spec: Some(spec()), ..operation(2, 3) };
    let mut script = logoff_script(vec![Watch { pictures: vec![ended], then: Then::End }]);
    script.tasks = vec![well.clone(), well, remaining()];
    let fake = Fake::start(script).await;
    let said = curfew(fake.config(), &["operation", "watch", "op-0123456789abc"]).await;
    assert_eq!(said.exit, Some(1));
    insta::assert_snapshot!(said.stdout, @r#"
    op-0123456789abc ended: 2 of 3 guests ended well, in 4.0s
    How: told 10m before and again every 5m, killed if still there after 2m, new logons refused for 4h; only disconnected sessions not of alice.

    OUTCOME     GUESTS
    succeeded        2
    timed out        1

    Sessions: 5 ended, 1 forced, 3 left by themselves, 1 remaining, 2 excluded, 1 new

    1 guest did not end well:
    TASK                 GUEST    OUTCOME   CODE                          HOST     MESSAGE
    op-0123456789abc/2   desk-2   failed    0x80020009 DISP_E_EXCEPTION   host-1   1 session is still there (bob in c1 held by vim, tmux: server)
    "#);
}

#[tokio::test]
async fn a_summary_as_a_document_has_the_numbers() {
    let mut script = Script { operation: operation(2, 3), ..Script::default() };
    script.tasks = vec![remaining()];
    let fake = Fake::start(script).await;
    let said = curfew(fake.config(), &["operation", "wait", "op-0123456789abc", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    let sessions = serde_json::json!({
        "ended": 1, "forced": 1, "leftByThemselves": 1, "remaining": 1, "excluded": 2, "new": 1,
    });
    assert_eq!(document["sessions"], sessions);
    assert_eq!(document["tasksNotWell"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_operation_says_in_words_how_people_are_logged_off() {
    let shown = v1::Operation { spec: Some(spec()), ..operation(2, 3) };
    let fake = Fake::start(Script { operation: shown, ..Script::default() }).await;
    let said = curfew(fake.config(), &["operation", "show", "op-0123456789abc"]).await;
    let words: String = said
        .stdout
        .lines()
        .filter(|line| ["Sessions:", "People:", "Notice:"].iter().any(|label| line.starts_with(label)))
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(words, @r#"
    Sessions:          only disconnected sessions not of alice
    People:            told 10m before and again every 5m, killed if still there after 2m, new logons refused for 4h
    Notice:            Patching, {minutes} min
    "#);
}

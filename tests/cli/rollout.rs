//! What comes before a start: sizes, waves, who is logged on, and starting exactly what was shown.

use crate::fake::{Fake, Script, Then, Watch, ended_well, logoff_script, operation, preview};
use crate::program::{at_a_terminal, curfew};
use curfew_proto::v1;

fn to_the_end() -> Vec<Watch> {
    vec![Watch { pictures: vec![ended_well(1)], then: Then::End }]
}

fn large() -> v1::PreviewOperationResponse {
    v1::PreviewOperationResponse {
        wave_sizes: vec![1, 2],
        needs_approval: true,
        ..v1::PreviewOperationResponse::default()
    }
}

fn awaiting() -> v1::Operation {
    let expire_time = Some(pbjson_types::Timestamp { seconds: 1_795_086_400, nanos: 0 });
    v1::Operation {
        state: v1::OperationState::AwaitingApproval.into(),
        approval: Some(v1::Approval { expire_time, approver: String::new() }),
        ..operation(1, 0)
    }
}

#[tokio::test]
async fn a_person_starts_exactly_the_set_that_was_shown() {
    let fake = Fake::start(logoff_script(to_the_end())).await;
    let said = at_a_terminal(fake.config(), &["logoff", "--all", "--request-id", "r1"], "y\n").await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("Log them off? [y/N] "), "{}", said.stderr);
    assert!(fake.asked().contains(&"start r1 digest digest".to_owned()), "{:?}", fake.asked());
}

#[tokio::test]
async fn a_set_that_changed_since_it_was_shown_is_shown_and_asked_for_again() {
    for (second, exit) in [("y", 0), ("n", 2)] {
        let mut script = logoff_script(to_the_end());
        script.preview_then = Some(preview()[..2].to_vec());
        let fake = Fake::start(script).await;
        let answers = format!("y\n{second}\n");
        let said = at_a_terminal(fake.config(), &["logoff", "--all", "--request-id", "r1"], &answers).await;
        assert_eq!(said.exit, Some(exit), "{}", said.stderr);
        let again = "The set of guests has changed since it was shown; nothing was started. Now:\n\
                     This logs all users off 2 guests.\nLog them off? [y/N] ";
        assert!(said.stderr.contains(again), "{}", said.stderr);
        let starts: Vec<String> =
            fake.asked().into_iter().filter(|asked| asked.starts_with("start ")).collect();
        let (first, then) = ("start r1 digest digest", "start r1 digest digest-of-2");
        assert_eq!(starts, if exit == 0 { vec![first, then] } else { vec![first] });
    }
}

#[tokio::test]
async fn a_refusal_that_has_nothing_to_do_with_the_set_is_not_asked_about_again() {
    let mut script = logoff_script(Vec::new());
    script.preview_then = Some(preview());
    let fake = Fake::start(script).await;
    let said = at_a_terminal(fake.config(), &["logoff", "--all"], "y\ny\n").await;
    assert_eq!(said.exit, Some(2), "{}", said.stderr);
    assert_eq!(said.stderr.matches("Log them off?").count(), 1, "{}", said.stderr);
}

#[tokio::test]
async fn an_unexpected_size_starts_nothing() {
    let fake = Fake::start(logoff_script(to_the_end())).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes", "--expect", "4"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    assert!(said.stderr.contains("error: --expect says 4, not 3; nothing was started\n"), "{}", said.stderr);
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("start")), "{:?}", fake.asked());
    let args = ["logoff", "--all", "--yes", "--expect", "3", "--request-id", "r1"];
    assert_eq!(curfew(fake.config(), &args).await.exit, Some(0));
    assert!(fake.asked().contains(&"start r1 count 3".to_owned()), "the controller checks it, too");
}

#[tokio::test]
async fn a_logoff_that_needs_approval_says_what_the_second_person_types_and_exits_with_3() {
    let mut script = logoff_script(Vec::new());
    script.preview_as = large();
    script.operation = awaiting();
    let fake = Fake::start(script).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes", "--waves", "1,100%"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(3), "op-0123456789abc awaits approval\n"));
    insta::assert_snapshot!(said.stderr, @r#"
    This logs all users off 3 guests; 1 selected guest is left out:
           1  not running
    They come in 2 waves: 1, 2.
    A second person has to approve it before anything starts.
    A second person has to approve the logoff of 3 guests by 2026-11-19T11:06:40Z; nothing starts before. They type:
      curfew operation approve op-0123456789abc --digest digest
    Until then:
      follow it:    curfew operation watch op-0123456789abc
      withdraw it:  curfew operation reject op-0123456789abc
    "#);
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("watch")), "{:?}", fake.asked());
    let said = curfew(fake.config(), &["logoff", "--all", "--yes", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(said.exit, Some(3));
    assert_eq!(document["operation"]["state"], "OPERATION_STATE_AWAITING_APPROVAL");
}

#[tokio::test]
async fn what_cannot_start_is_not_asked_about() {
    let mut script = logoff_script(Vec::new());
    script.preview_as.blocked_by = "alice froze the fleet: outage; `curfew unfreeze` lets it go on".into();
    let fake = Fake::start(script).await;
    let said = at_a_terminal(fake.config(), &["logoff", "--all"], "y\n").await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr, @r#"
    This logs all users off 3 guests; 1 selected guest is left out:
           1  not running
    Nothing would start now: alice froze the fleet: outage; `curfew unfreeze` lets it go on.
    Nothing was started.
    "#);
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("start")), "{:?}", fake.asked());
}

#[tokio::test]
async fn a_live_preview_shows_sessions_and_who_is_left_alone() {
    let ok = Some(v1::Status { code: v1::StatusCode::Ok.into(), hresult: 0 });
    let session = |id: &str, user: &str, because: &str| v1::PreviewSession {
        session: Some(v1::Session {
            id: id.into(),
            user: user.into(),
            state: v1::SessionState::Active.into(),
            ..v1::Session::default()
        }),
        excluded: !because.is_empty(),
        excluded_because: because.into(),
    };
    let mut guests = preview();
    guests[0].session_status = ok;
    guests[0].sessions = vec![
        session("c1", "carol", ""),
        session("c2", "svc-backup", "its user is protected"),
        session("c3", "\u{1b}[31mdave\u{202e}\n", "it is not in the state that was asked for"),
    ];
    guests[0].wave = 1;
    guests[1].session_status = ok;
    guests[1].wave = 2;
    let code = v1::StatusCode::AdditionsFeatureNotAvail.into();
    guests[2].session_status = Some(v1::Status { code, hresult: 0xA004_0505 });
    guests[2].wave = 2;
    let mut script = Script { preview: guests, ..Script::default() };
    script.preview_as = large();
    let fake = Fake::start(script).await;
    let args = ["preview", "--all", "--live", "--live-timeout", "2s", "--waves", "1", "--seed", "7"];
    let said = curfew(fake.config(), &[&args[..], &["--state", "active"]].concat()).await;
    assert_eq!(said.exit, Some(1), "a guest that cannot be listed is not an empty one");
    insta::assert_snapshot!(said.stdout, @r#"
    LOGOFF   GUEST    USER                       SESSION   STATE                                                     NOTE                                                            HOST     ID
    yes      desk-0   carol                      c1        active                                                    wave 1                                                          host-1   host-1/simulated/0
    no       desk-0   svc-backup                 c2        active                                                    wave 1; left alone: its user is protected                       host-1   host-1/simulated/0
    no       desk-0   \u{1b}[31mdave\u{202e}\n   c3        active                                                    wave 1; left alone: it is not in the state that was asked for   host-1   host-1/simulated/0
    yes      desk-1   -                          -         -                                                         wave 2; nobody is logged on                                     host-1   host-1/simulated/1
    yes      desk-2   ?                          ?         not listed: 0xA0040505 VM_E_ADDITIONS_FEATURE_NOT_AVAIL   wave 2                                                          host-1   host-1/simulated/2
    no       desk-3   -                          -         -                                                         not running                                                     host-1   host-1/simulated/3
    "#);
    insta::assert_snapshot!(said.stderr, @r#"
    This logs some users off 3 guests; 1 selected guest is left out:
           1  not running
    How: only active sessions.
    They come in 2 waves: 1, 2.
    A second person has to approve it before anything starts.
    1 session in 3 guests would end; 2 would be left alone; 1 guest could not be listed
    "#);
    assert_eq!(fake.asked(), ["preview", "preview", "preview live"]);
}

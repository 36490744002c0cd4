//! Whom a logoff means and how it treats them: what is sent, what is asked before, what does not go together.

use crate::fake::{Fake, Then, Watch, ended_well, logoff_script, operation};
use crate::program::{at_a_terminal, curfew};
use curfew_proto::v1;
use tonic_types::{ErrorDetails, StatusExt as _};

const OPTIONS: [&str; 16] = [
    "--notice",
    "Patching, you are logged off in {minutes} min",
    "--grace",
    "10m",
    "--repeat",
    "5m",
    "--force-after",
    "2m",
    "--drain-for",
    "4h",
    "--state",
    "disconnected",
    "--user",
    "CORP\\*",
    "--exclude-user",
    "alice",
];

fn to_the_end() -> Vec<Watch> {
    vec![Watch { pictures: vec![ended_well(1)], then: Then::End }]
}

fn seconds(seconds: i64) -> Option<pbjson_types::Duration> {
    Some(pbjson_types::Duration { seconds, nanos: 0 })
}

fn treated() -> v1::OperationSpec {
    v1::OperationSpec {
        selection: Some(v1::Selection { all: true, ..v1::Selection::default() }),
        sessions: Some(v1::SessionFilter {
            users: vec!["CORP\\*".into()],
            exclude_users: vec!["alice".into()],
            state: v1::SessionStateFilter::Disconnected.into(),
            ..v1::SessionFilter::default()
        }),
        notice: Some(v1::Notice {
            text: "Patching, you are logged off in {minutes} min".into(),
            grace: seconds(600),
            repeat: seconds(300),
        }),
        force_after: seconds(120),
        drain: Some(v1::DrainOptions { drain_for: seconds(14_400) }),
        ..v1::OperationSpec::default()
    }
}

#[tokio::test]
async fn what_kills_or_drains_and_who_is_meant_is_said_before_it_starts() {
    let fake = Fake::start(logoff_script(to_the_end())).await;
    let args = [&["logoff", "--all"], &OPTIONS[..]].concat();
    let said = at_a_terminal(fake.config(), &args, "n\n").await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr, @r#"
    This logs some users off 3 guests; 1 selected guest is left out:
           1  not running
    How: told 10m before and again every 5m, killed if still there after 2m, new logons refused for 4h; only disconnected sessions of CORP\*, not of alice.
    Log them off, and kill what does not go? [y/N] Nothing was started.
    "#);
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("start")), "{:?}", fake.asked());
    let said = curfew(fake.config(), &[&args[..], &["--yes"]].concat()).await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("\nHow: told 10m before"), "also where nobody is asked: {}", said.stderr);
    assert_eq!(fake.last_spec(), treated());
}

#[tokio::test]
async fn a_preview_says_how_people_would_be_treated() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let said = curfew(fake.config(), &["preview", "--all", "--force-after", "0s", "--drain"]).await;
    assert_eq!(said.exit, Some(0));
    insta::assert_snapshot!(said.stderr, @r#"
    This logs all users off 3 guests; 1 selected guest is left out:
           1  not running
    How: killed if they do not go at once, new logons refused until it is done.
    "#);
}

#[tokio::test]
async fn a_retry_and_an_approval_say_it_too() {
    let ended = v1::Operation { spec: Some(treated()), ..operation(2, 3) };
    let mut script = logoff_script(Vec::new());
    script.operation = ended;
    let fake = Fake::start(script).await;
    let said = at_a_terminal(fake.config(), &["operation", "retry", "op-0123456789abc"], "n\n").await;
    assert_eq!(said.exit, Some(2));
    insta::assert_snapshot!(said.stderr, @r#"
    This logs some users off 3 guests that did not end well in op-0123456789abc.
           1  more would be skipped or refused at once
           1  more is no longer in the fleet: nothing is done about it
    How: told 10m before and again every 5m, killed if still there after 2m, new logons refused for 4h; only disconnected sessions of CORP\*, not of alice.
    Log them off, and kill what does not go? [y/N] Nothing was started.
    "#);
    let mut script = logoff_script(Vec::new());
    let state = v1::OperationState::AwaitingApproval.into();
    script.operation = v1::Operation { spec: Some(treated()), state, ..operation(1, 0) };
    let fake = Fake::start(script).await;
    let said = at_a_terminal(fake.config(), &["operation", "approve", "op-0123456789abc"], "n\n").await;
    assert_eq!(said.exit, Some(2));
    insta::assert_snapshot!(said.stderr, @r#"
    tester asks to log some users off 3 guests: no reason given
      asked:   2026-11-18T11:06:40Z
      selects: all
      digest:  digest
      guests:  curfew task list op-0123456789abc
      people:  told 10m before and again every 5m, killed if still there after 2m, new logons refused for 4h
      ends:    only disconnected sessions of CORP\*, not of alice
      notice:  Patching, you are logged off in {minutes} min
    Approve it? [y/N] Nothing was approved.
    "#);
}

#[tokio::test]
async fn what_does_not_go_together_is_a_usage_error_that_says_what_to_do() {
    for (options, said_as) in [
        (&["--grace", "0s"][..], "error: --grace 0s gives nobody any time: leave it out"),
        (
            &["--grace", "5m", "--repeat", "5m"],
            "error: --repeat 5m is not shorter than --grace 5m: nobody would",
        ),
        (&["--repeat", "5m"], "error: the following required arguments were not provided:\n  --grace <TIME>"),
        (
            &["--notice", "in {minutes} min"],
            "error: --notice speaks of the time that is left, and there is none",
        ),
        (&["--notice", "in {hours} h"], "{hours} stands for nothing; {minutes} and {seconds} stand for"),
        (&["--force-after", "5m"], "error: --force-after 5m is not shorter than the --task-timeout of 5m"),
        (&["--drain-for", "5m", "--grace", "10m"], "error: --drain-for 5m is over before the --grace of 10m"),
        (&["--user", "alice", "--exclude-user", "ALICE"], "error: alice is in --user and in --exclude-user"),
        (&["--state", "idle"], "[possible values: active, disconnected]"),
    ] {
        for command in ["logoff", "preview"] {
            let said = curfew("/nowhere", &[&[command, "--all"], options].concat()).await;
            assert!(said.stderr.contains(said_as), "{command} {options:?}: {}", said.stderr);
        }
        let said = curfew("/nowhere", &[&["logoff", "--all", "--yes"], options].concat()).await;
        assert_eq!((said.exit, said.stdout.as_str()), (Some(64), ""), "{options:?}");
    }
}

#[tokio::test]
async fn what_the_controller_refuses_is_named_by_its_option() {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("spec.notice.grace", "it must be shorter than the deadline");
    details.add_bad_request_violation("spec.sessions.exclude_users", "the pattern is empty");
    let status =
        tonic::Status::with_error_details(tonic::Code::InvalidArgument, "the request is not valid", details);
    let mut script = logoff_script(Vec::new());
    script.refusal = Some(status);
    let fake = Fake::start(script).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes", "--exclude-user", ""]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr, @r#"
    error: cannot preview the logoff: the request is not valid
      --grace (spec.notice.grace): it must be shorter than the deadline
      --exclude-user (spec.sessions.exclude_users): the pattern is empty
    "#);
}

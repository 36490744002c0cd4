//! `curfew logoff` from the question to the summary.

use crate::fake::{Fake, Then, Watch, ended_well, logoff_script, operation};
use crate::program::{begin, curfew};

fn to_the_end() -> Vec<Watch> {
    vec![Watch { pictures: vec![operation(1, 0), operation(2, 2), operation(3, 3)], then: Then::End }]
}

#[tokio::test]
async fn without_yes_and_without_a_terminal_nothing_is_asked_or_started() {
    let fake = Fake::start(logoff_script(to_the_end())).await;
    let said = curfew(fake.config(), &["logoff", "--all"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(64), ""));
    assert!(said.stderr.contains("--yes"), "{}", said.stderr);
    assert!(fake.asked().is_empty(), "{:?}", fake.asked());
}

#[tokio::test]
async fn a_logoff_with_failures_lists_them_with_their_codes_and_exits_with_1() {
    let fake = Fake::start(logoff_script(to_the_end())).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes", "--request-id", "r1"]).await;
    assert_eq!(said.exit, Some(1), "{}", said.stderr);
    insta::assert_snapshot!(said.stdout, @r#"
    op-0123456789abc ended: 2 of 3 guests ended well, in 4.0s

    OUTCOME     GUESTS
    succeeded        2
    timed out        1

    1 guest did not end well:
    TASK                 GUEST    OUTCOME     CODE                        HOST     MESSAGE
    op-0123456789abc/2   desk-2   timed out   0xA0040202 VM_E_TIMED_OUT   host-1   the guest did not answer
    "#);
    insta::assert_snapshot!(said.stderr, @r#"
    This logs all users off 3 guests; 1 selected guest is left out:
           1  not running
    op-0123456789abc: 0 of 3 guests (0 %): 3 under way
    op-0123456789abc: 3 of 3 guests (100 %): 2 succeeded, 1 timed out
    "#);
    let asked = ["preview", "preview", "start r1", "watch after 0", "list tasks not well false"];
    assert_eq!(fake.asked(), asked);
}

#[tokio::test]
async fn a_logoff_that_ended_well_everywhere_exits_with_0() {
    let watch = Watch { pictures: vec![ended_well(1)], then: Then::End };
    let fake = Fake::start(logoff_script(vec![watch])).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes"]).await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    assert!(said.stdout.starts_with("op-0123456789abc ended: 3 of 3 guests ended well, in 4.0s\n"));
    assert!(!said.stdout.contains("did not end well"), "{}", said.stdout);
}

#[tokio::test]
async fn as_json_a_logoff_is_one_document() {
    let fake = Fake::start(logoff_script(to_the_end())).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes", "-o", "json"]).await;
    assert_eq!(said.exit, Some(1));
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(document["operation"]["id"], "op-0123456789abc");
    assert_eq!(document["operation"]["state"], "OPERATION_STATE_ENDED");
    assert_eq!(document["tasksNotWell"][0]["verdict"]["status"]["hresult"], 0xA004_0202_u32);
}

#[tokio::test]
async fn a_logoff_that_does_not_wait_says_how_to_come_back() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes", "--no-wait", "-o", "name"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "op-0123456789abc\n"));
    assert!(said.stderr.contains("curfew operation watch op-0123456789abc"), "{}", said.stderr);
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("watch")));
}

#[tokio::test]
async fn a_start_without_an_answer_is_asked_again_with_the_same_request_id() {
    let mut script = logoff_script(to_the_end());
    script.unanswered_starts = 2;
    let fake = Fake::start(script).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes"]).await;
    assert_eq!(said.exit, Some(1), "{}", said.stderr);
    let starts: Vec<String> = fake.asked().into_iter().filter(|asked| asked.starts_with("start ")).collect();
    assert_eq!(starts.len(), 3, "{starts:?}");
    assert!(starts.iter().all(|start| *start == starts[0] && start.len() > 40), "{starts:?}");
}

#[tokio::test]
async fn an_operation_that_was_started_and_cannot_be_followed_exits_with_1_and_says_how_to_come_back() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let said = curfew(fake.config(), &["logoff", "--all", "--yes"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains("curfew operation watch op-0123456789abc"), "{}", said.stderr);
    assert!(
        said.stderr.contains("was started and goes on, but cannot be followed: cannot watch"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn ctrl_c_leaves_the_operation_alone_and_says_how_to_come_back() {
    let watch = Watch { pictures: vec![operation(1, 1)], then: Then::Silence };
    let fake = Fake::start(logoff_script(vec![watch])).await;
    let mut run = begin(fake.config(), &["logoff", "--all", "--yes"]);
    run.says("1 of 3 guests").await;
    run.interrupt();
    let said = run.end().await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(130), ""));
    assert!(
        said.stderr.ends_with(
            "Left operation op-0123456789abc, which goes on without this command.\n  \
         come back:  curfew operation watch op-0123456789abc\n  \
         cancel it:  curfew operation cancel op-0123456789abc\n"
        ),
        "{}",
        said.stderr
    );
    assert!(!fake.asked().iter().any(|asked| asked.starts_with("cancel")), "{:?}", fake.asked());
}

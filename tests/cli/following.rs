//! Watching and waiting, also when the controller goes away in between.

use crate::fake::{Fake, Then, Watch, ended_well, logoff_script, operation};
use crate::program::curfew;

const ID: &str = "op-0123456789abc";
/// A summary counts the sessions of every task.
const LISTED: &str = "list tasks not well false";

#[tokio::test]
async fn a_watch_that_is_cut_resumes_from_the_last_revision() {
    let watches = vec![
        Watch { pictures: vec![operation(5, 0), operation(6, 1)], then: Then::Cut },
        Watch { pictures: vec![operation(7, 2)], then: Then::Cut },
        Watch { pictures: vec![ended_well(8)], then: Then::End },
    ];
    let fake = Fake::start(logoff_script(watches)).await;
    let said = curfew(fake.config(), &["operation", "watch", ID]).await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    assert_eq!(fake.asked(), ["watch after 0", "watch after 6", "watch after 7", LISTED]);
    assert_eq!(
        said.stderr.matches("lost sight of the operation, which goes on").count(),
        2,
        "{}",
        said.stderr
    );
    assert_eq!(said.stderr.matches("connected again").count(), 2, "{}", said.stderr);
    assert!(
        said.stderr.contains("was lost: the other side closed it; trying again in 250ms"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.to_lowercase().contains("cancel"), "{}", said.stderr);
    assert!(said.stdout.starts_with("op-0123456789abc ended: 3 of 3 guests ended well"), "{}", said.stdout);
}

#[tokio::test]
async fn a_stream_that_ends_early_is_not_taken_for_the_end() {
    let watches = vec![
        Watch { pictures: vec![operation(5, 1)], then: Then::End },
        Watch { pictures: vec![ended_well(6)], then: Then::End },
    ];
    let fake = Fake::start(logoff_script(watches)).await;
    let said = curfew(fake.config(), &["operation", "watch", ID]).await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    assert_eq!(fake.asked(), ["watch after 0", &format!("get {ID}"), "watch after 5", LISTED]);
}

#[tokio::test]
async fn a_wait_that_runs_out_is_told_and_exits_with_1() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let said = curfew(fake.config(), &["operation", "wait", ID, "--timeout", "0s"]).await;
    assert_eq!(said.exit, Some(1));
    assert_eq!(said.stderr, "The wait ran out: operation op-0123456789abc is still running.\n");
    assert!(
        said.stdout.starts_with("op-0123456789abc goes on: 0 of 3 guests have ended\n"),
        "{}",
        said.stdout
    );
}

#[tokio::test]
async fn a_wait_for_an_operation_that_ended_answers_by_how_it_ended() {
    for (ended, exit) in [(ended_well(9), 0), (operation(9, 3), 1)] {
        let mut script = logoff_script(Vec::new());
        script.operation = ended;
        let fake = Fake::start(script).await;
        let said = curfew(fake.config(), &["operation", "wait", ID]).await;
        assert_eq!((said.exit, said.stderr.as_str()), (Some(exit), ""));
    }
}

#[tokio::test]
async fn a_task_wait_passes_the_contracts_milliseconds_on() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let task = format!("{ID}/2");
    let said = curfew(fake.config(), &["task", "wait", &task]).await;
    assert_eq!(said.exit, Some(1), "the task timed out: {}", said.stderr);
    curfew(fake.config(), &["task", "wait", &task, "--timeout-ms", "0"]).await;
    assert_eq!(fake.asked(), ["wait task Some(-1)", "wait task Some(0)"]);
    insta::assert_snapshot!(said.stdout, @r#"
    Id:           op-0123456789abc/2
    Guest:        desk-2 (host-1/simulated/2)
    Host:         host-1
    State:        timed out
    Done:         100%
    Complete:     yes
    Cancelable:   no
    Result:       TimeOutError (6)
    Ended well:   no
    Code:         0xA0040202 VM_E_TIMED_OUT
    Reason:       guest_silent
    Message:      the guest did not answer
    "#);
}

#[tokio::test]
async fn a_cancel_is_sent_with_its_reason() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let said = curfew(fake.config(), &["operation", "cancel", ID, "--reason", "wrong lab"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "op-0123456789abc cancelling\n"));
    assert_eq!(fake.asked(), [format!("cancel {ID} wrong lab")]);
}

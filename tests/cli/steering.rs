//! Pause, resume, promote, approve, reject and retry, and how an operation that does not go on is shown.

use crate::fake::{Fake, Script, Then, Watch, ended_well, logoff_script, operation};
use crate::program::{at_a_terminal, curfew};
use curfew_proto::v1;
use tonic::Status;

const ID: &str = "op-0123456789abc";
/// A summary counts the sessions of every task.
const LISTED: &str = "list tasks not well false";

fn awaiting() -> v1::Operation {
    let expire_time = Some(pbjson_types::Timestamp { seconds: 1_795_086_400, nanos: 0 });
    let selection = Some(v1::Selection { all: true, ..v1::Selection::default() });
    let spec = v1::OperationSpec { selection, reason: "patching".into(), ..v1::OperationSpec::default() };
    v1::Operation {
        state: v1::OperationState::AwaitingApproval.into(),
        approval: Some(v1::Approval { expire_time, approver: String::new() }),
        spec: Some(spec),
        ..operation(1, 0)
    }
}

fn halted() -> v1::Operation {
    v1::Operation {
        state: v1::OperationState::Halted.into(),
        waiting_for:
            "an operator (1 guest failed, and none may): resume it with a larger budget, or cancel it".into(),
        budgets: vec![v1::BudgetStatus {
            class: v1::FailureClass::Failed.into(),
            allowed: 0,
            spent: 1,
            ..v1::BudgetStatus::default()
        }],
        ..operation(2, 1)
    }
}

fn script(operation: v1::Operation) -> Script {
    Script { operation, ..logoff_script(Vec::new()) }
}

#[tokio::test]
async fn a_pause_says_how_it_goes_on_and_whether_it_is_on_disk() {
    let mut script = script(operation(1, 0));
    script.is_store_away = true;
    let fake = Fake::start(script).await;
    let said = curfew(fake.config(), &["operation", "pause", ID, "--reason", "lunch"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "op-0123456789abc paused\n"));
    insta::assert_snapshot!(said.stderr, @r#"
    Done, but not on disk yet: the controller's store is away.
      resume it:  curfew operation resume op-0123456789abc
      cancel it:  curfew operation cancel op-0123456789abc
    "#);
    assert_eq!(fake.asked(), [format!("pause {ID} lunch")]);
}

#[tokio::test]
async fn a_resume_carries_new_budgets() {
    let fake = Fake::start(script(halted())).await;
    let args = ["operation", "resume", ID, "--max-failed", "5%", "--max-timed-out", "0"];
    let said = curfew(fake.config(), &args).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "op-0123456789abc running\n"), "{}", said.stderr);
    let budgets = r#"{"failed":{"percent":5},"timedOut":{"number":0}}"#;
    assert_eq!(fake.asked(), [format!("resume {ID} {budgets}")]);
}

#[tokio::test]
async fn a_promotion_says_which_wave_it_is_now() {
    let wave = |begun| v1::Wave { tasks: 1, ended: 0, begun };
    let waves = vec![wave(true), wave(false), wave(false)];
    let fake = Fake::start(script(v1::Operation { waves, ..operation(1, 0) })).await;
    let said = curfew(fake.config(), &["operation", "promote", ID, "--wave", "2"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "op-0123456789abc in wave 2 of 3\n"));
    curfew(fake.config(), &["operation", "promote", ID]).await;
    assert_eq!(fake.asked(), [format!("promote {ID} 2"), format!("promote {ID} 0")]);
}

#[tokio::test]
async fn an_approval_shows_what_is_approved_asks_and_sends_the_digest_that_was_shown() {
    let fake = Fake::start(script(awaiting())).await;
    let said = at_a_terminal(fake.config(), &["operation", "approve", ID], "y\n").await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "op-0123456789abc approved\n"));
    insta::assert_snapshot!(said.stderr, @r#"
    tester asks to log all users off 3 guests: patching
      asked:   2026-11-18T11:06:40Z
      until:   2026-11-19T11:06:40Z
      selects: all
      digest:  digest
      guests:  curfew task list op-0123456789abc
    Approve it? [y/N]
    "#);
    assert_eq!(fake.asked(), [format!("get {ID}"), format!("approve {ID} digest")]);
}

#[tokio::test]
async fn an_approval_that_is_not_confirmed_approves_nothing() {
    let fake = Fake::start(script(awaiting())).await;
    let said = at_a_terminal(fake.config(), &["operation", "approve", ID], "\n").await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    let said = curfew(fake.config(), &["operation", "approve", ID]).await;
    assert_eq!(said.exit, Some(64), "nobody can be asked: {}", said.stderr);
    assert_eq!(fake.asked(), [format!("get {ID}")]);
}

#[tokio::test]
async fn another_set_than_the_one_that_was_spoken_of_is_not_approved() {
    let fake = Fake::start(script(awaiting())).await;
    let said = curfew(fake.config(), &["operation", "approve", ID, "--yes", "--digest", "older"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr, @r#"
    error: op-0123456789abc has another set of guests: its digest is digest
    help: `curfew operation show op-0123456789abc` shows it; approve with its digest if it is right
    "#);
    assert_eq!(fake.asked(), [format!("get {ID}")]);
}

#[tokio::test]
async fn guests_that_came_since_are_listed_and_approval_is_asked_for_again() {
    let mut script = script(awaiting());
    let grown = v1::Operation { selection_digest: "larger".into(), task_count: 103, ..awaiting() };
    script.approval = Some(v1::ApproveOperationResponse {
        operation: Some(grown),
        new_guest_count: 100,
        new_guests: vec!["desk-4".into(), "desk-5".into()],
    });
    let fake = Fake::start(script).await;
    let args = ["operation", "approve", ID, "--yes", "--digest", "digest"];
    let said = curfew(fake.config(), &args).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(3), "op-0123456789abc awaits approval\n"));
    insta::assert_snapshot!(said.stderr, @r#"
    tester asks to log all users off 3 guests: patching
      asked:   2026-11-18T11:06:40Z
      until:   2026-11-19T11:06:40Z
      selects: all
      digest:  digest
      guests:  curfew task list op-0123456789abc
    100 guests have come to the set since approval was asked for:
      desk-4
      desk-5
      and 98 more
    Nothing was approved: approval is asked for again, of the larger set:
      curfew operation approve op-0123456789abc --digest larger
    "#);
}

#[tokio::test]
async fn whoever_asked_is_told_to_ask_somebody_else() {
    let mut script = script(awaiting());
    script.refusal_of = Some((
        "approve",
        Status::permission_denied("it was asked for by the same person; somebody else has to approve it"),
    ));
    let fake = Fake::start(script).await;
    let said = curfew(fake.config(), &["operation", "approve", ID, "--yes"]).await;
    assert_eq!(said.exit, Some(2));
    assert!(
        said.stderr
            .ends_with("help: ask another operator to approve it; whoever asked for it may only reject it\n"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_rejection_is_sent_with_its_reason() {
    let fake = Fake::start(script(awaiting())).await;
    let said = curfew(fake.config(), &["operation", "reject", ID, "--reason", "not today"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "op-0123456789abc rejected\n"));
    assert_eq!(fake.asked(), [format!("reject {ID} not today")]);
}

#[tokio::test]
async fn a_retry_shows_its_size_asks_and_is_followed_like_a_logoff() {
    let mut script = logoff_script(vec![Watch { pictures: vec![ended_well(1)], then: Then::End }]);
    script.unanswered_starts = 1;
    let fake = Fake::start(script).await;
    let args = ["operation", "retry", "op-before", "--request-id", "r1"];
    let said = at_a_terminal(fake.config(), &args, "y\n").await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    assert!(said.stdout.starts_with("op-0123456789abc ended: 3 of 3 guests ended well"), "{}", said.stdout);
    let size = "This logs all users off 3 guests that did not end well in op-before.\n       \
                1  more would be skipped or refused at once\n       \
                1  more is no longer in the fleet: nothing is done about it\nLog them off? [y/N] ";
    assert!(said.stderr.starts_with(size), "{}", said.stderr);
    let again = "retry op-before r1";
    assert_eq!(fake.asked(), ["validate retry op-before r1", again, again, "watch after 0", LISTED]);
}

#[tokio::test]
async fn a_retry_that_is_not_confirmed_starts_nothing() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let said = at_a_terminal(fake.config(), &["operation", "retry", "op-before"], "n\n").await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    assert_eq!(fake.asked().len(), 1, "{:?}", fake.asked());
    let said = curfew(fake.config(), &["operation", "retry", "op-before"]).await;
    assert_eq!(said.exit, Some(64), "{}", said.stderr);
}

#[tokio::test]
async fn a_halted_operation_is_followed_on_and_its_halt_is_told_once() {
    let mut resumed = operation(4, 1);
    resumed.revision = 4;
    let pictures =
        vec![operation(1, 0), halted(), v1::Operation { revision: 3, ..halted() }, resumed, ended_well(5)];
    let fake = Fake::start(logoff_script(vec![Watch { pictures, then: Then::End }])).await;
    let said = curfew(fake.config(), &["operation", "watch", ID]).await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    insta::assert_snapshot!(said.stderr, @r#"
    op-0123456789abc: 0 of 3 guests (0 %): 3 under way
    op-0123456789abc is halted; it waits for an operator (1 guest failed, and none may): resume it with a larger budget, or cancel it
      resume it:  curfew operation resume op-0123456789abc --max-failed N
      cancel it:  curfew operation cancel op-0123456789abc
    op-0123456789abc goes on
    op-0123456789abc: 3 of 3 guests (100 %): 3 succeeded
    "#);
}

#[tokio::test]
async fn an_operation_explains_itself() {
    let fake = Fake::start(script(halted())).await;
    let said = curfew(fake.config(), &["operation", "show", ID]).await;
    assert_eq!((said.exit, said.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(said.stdout, @r#"
    Id:                op-0123456789abc
    State:             halted
    Waiting for:       an operator (1 guest failed, and none may): resume it with a larger budget, or cancel it
    What to do:        resume it: curfew operation resume op-0123456789abc --max-failed N; cancel it: curfew operation cancel op-0123456789abc
    Guests:            3
    Done:              33%
    Ended well:        1
    Outcomes:          1 succeeded
    Requester:         tester
    Not running:       skip
    Started:           2026-11-18T11:06:40Z
    Selection digest:  digest

    Failure budgets:
    BUDGET   SPENT   ALLOWED   GIVEN AS   STATE
    failed       1         0   -          spent
    "#);
    let said = curfew(fake.config(), &["operation", "list", "--state", "halted"]).await;
    assert!(said.stdout.contains("op-0123456789abc   halted"), "{}", said.stdout);
    let said = curfew(fake.config(), &["operation", "wait", ID, "--timeout", "0s"]).await;
    assert_eq!(said.exit, Some(1));
    assert!(said.stderr.starts_with("The wait ran out: operation op-0123456789abc is halted.\n  resume it:"));
}

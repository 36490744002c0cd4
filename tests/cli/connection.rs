//! What cannot be asked exits with 2 and says what to check.

use crate::fake::{Fake, Script};
use crate::program::curfew;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

#[tokio::test]
async fn a_missing_context_file_exits_with_2_and_says_who_writes_one() {
    let said = curfew("/nowhere/config.toml", &["host", "list"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    assert!(said.stderr.contains("/nowhere/config.toml"), "{}", said.stderr);
    assert!(said.stderr.contains("`curfew-controller init`"), "{}", said.stderr);
}

#[tokio::test]
async fn an_unknown_context_exits_with_2_and_names_the_known_ones() {
    let fake = Fake::start(Script::default()).await;
    let said = curfew(fake.config(), &["host", "list", "--context", "prod"]).await;
    assert_eq!(said.exit, Some(2));
    assert!(said.stderr.contains("there is no context \"prod\"; there are: gone, here"), "{}", said.stderr);
}

#[tokio::test]
async fn a_refused_connection_exits_with_2_and_says_what_to_check() {
    let fake = Fake::start(Script::default()).await;
    let said = curfew(fake.config(), &["--context", "gone", "host", "list"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr, @r#"
    error: cannot connect (context gone): cannot reach https://localhost:1: nothing listens there; is the controller running, and is the port right (its default is 7443)?
      Connection refused (os error 111)
    help: `curfew context show --context gone` shows which address and files are in use
    "#);
}

#[tokio::test]
async fn a_field_that_the_controller_refuses_is_named_by_its_flag() {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("spec.selection.label_selector", "a value is missing after '='");
    let refusal = Status::with_error_details(Code::InvalidArgument, "1 field is not valid", details);
    let fake = Fake::start(Script { refusal: Some(refusal), ..Script::default() }).await;
    let said = curfew(fake.config(), &["logoff", "-l", "env=", "--yes"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(said.stderr, @r#"
    error: cannot preview the logoff: 1 field is not valid
      --selector (spec.selection.label_selector): a value is missing after '='
    "#);
}

#[tokio::test]
async fn a_wait_out_of_range_is_the_controllers_to_refuse() {
    let refusal = Status::invalid_argument("timeout_ms must be -1 or from 0 to 4000000");
    let fake = Fake::start(Script { refusal: Some(refusal), ..Script::default() }).await;
    let said =
        curfew(fake.config(), &["task", "wait", "op-0123456789abc/2", "--timeout-ms", "4000001"]).await;
    assert_eq!(said.exit, Some(2));
    assert_eq!(fake.asked(), ["wait task Some(4000001)"]);
    assert!(said.stderr.contains("from 0 to 4000000"), "{}", said.stderr);
}

#[tokio::test]
async fn a_context_is_chosen_listed_and_shown() {
    let fake = Fake::start(Script::default()).await;
    let said = curfew(fake.config(), &["context", "list"]).await;
    assert_eq!(said.exit, Some(0));
    assert!(said.stdout.contains("*         here"), "{}", said.stdout);
    let said = curfew(fake.config(), &["context", "use", "gone"]).await;
    assert_eq!((said.exit, said.stderr.as_str()), (Some(0), "Context gone is the current one now.\n"));
    let said = curfew(fake.config(), &["context", "show", "-o", "name"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "gone\n"));
}

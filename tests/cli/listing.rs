//! Lists of any length in every form.

use crate::fake::{Fake, Script, logoff_script, preview};
use crate::program::curfew;
use curfew_proto::v1;
use std::process::Stdio;

fn hosts(count: u32) -> Vec<v1::Host> {
    let host = |number| v1::Host {
        name: format!("host-{number}"),
        connected: number % 2 == 0,
        guest_count: number,
        agent_version: "0.1.0".into(),
        labels: [("rack".to_owned(), "r1".to_owned())].into(),
        last_seen_time: None,
    };
    (0..count).map(host).collect()
}

#[tokio::test]
async fn a_table_has_kubectls_shape() {
    let fake = Fake::start(Script { hosts: hosts(2), ..Script::default() }).await;
    let said = curfew(fake.config(), &["host", "list"]).await;
    assert_eq!((said.exit, said.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(said.stdout, @r#"
    NAME     STATE       GUESTS   SEEN   VERSION   LABELS
    host-0   connected        0   -      0.1.0     rack=r1
    host-1   away             1   -      0.1.0     rack=r1
    "#);
}

#[tokio::test]
async fn names_are_nothing_but_ids() {
    let fake = Fake::start(Script { hosts: hosts(3), ..Script::default() }).await;
    let said = curfew(fake.config(), &["host", "list", "-o", "name"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "host-0\nhost-1\nhost-2\n"));
    assert_eq!(said.stderr, "");
}

#[tokio::test]
async fn every_page_is_followed_and_json_stays_one_document() {
    let fake = Fake::start(Script { hosts: hosts(2500), ..Script::default() }).await;
    let said = curfew(fake.config(), &["host", "list", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(document["hosts"].as_array().map(Vec::len), Some(2500));
    assert_eq!(document["hosts"][7]["labels"]["rack"], "r1");
    assert_eq!(fake.asked(), ["list hosts 1000"; 3]);
}

#[tokio::test]
async fn a_limit_fetches_no_more_than_it_shows() {
    let fake = Fake::start(Script { hosts: hosts(2500), ..Script::default() }).await;
    let said = curfew(fake.config(), &["host", "list", "-o", "name", "--limit", "7"]).await;
    assert_eq!(said.stdout.lines().count(), 7);
    assert_eq!(fake.asked(), ["list hosts 7"]);
}

#[tokio::test]
async fn an_empty_list_is_told_beside_the_data() {
    let fake = Fake::start(Script::default()).await;
    let said = curfew(fake.config(), &["guest", "list"]).await;
    assert_eq!((said.exit, said.stdout.as_str(), said.stderr.as_str()), (Some(0), "", "No guests found.\n"));
}

#[tokio::test]
async fn a_preview_says_who_is_in_and_why_others_are_not() {
    let fake = Fake::start(logoff_script(Vec::new())).await;
    let said = curfew(fake.config(), &["preview", "--all"]).await;
    assert_eq!(said.exit, Some(0));
    insta::assert_snapshot!(said.stdout, @r#"
    LOGOFF   GUEST    HOST     NOTE          ID
    yes      desk-0   host-1   -             host-1/simulated/0
    yes      desk-1   host-1   -             host-1/simulated/1
    yes      desk-2   host-1   -             host-1/simulated/2
    no       desk-3   host-1   not running   host-1/simulated/3
    "#);
    insta::assert_snapshot!(said.stderr, @r#"
    This logs all users off 3 guests; 1 selected guest is left out:
           1  not running
    "#);
    let said = curfew(fake.config(), &["preview", "--all", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(document["includedCount"], "3");
    assert_eq!(document["guests"].as_array().map(Vec::len), Some(preview().len()));
}

#[tokio::test]
async fn labels_are_set_and_removed_in_one_call() {
    let fake = Fake::start(Script { hosts: hosts(1), ..Script::default() }).await;
    let said = curfew(fake.config(), &["host", "label", "host-0", "rack=r1", "env-"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "host host-0 labeled\n"));
    assert_eq!(fake.asked(), ["label host-0 {\"rack\": \"r1\"} [\"env\"]"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn data_that_cannot_be_written_is_an_error() {
    let fake = Fake::start(Script { hosts: hosts(3), ..Script::default() }).await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let run =
        crate::program::command(fake.config(), &["host", "list"]).stdout(full).stderr(Stdio::piped()).spawn();
    let output = run.expect("curfew starts").wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "error: cannot write the data: No space left on device (os error 28)\n");
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_a_listing_quietly() {
    let fake = Fake::start(Script { hosts: hosts(20_000), ..Script::default() }).await;
    let mut run = crate::program::command(fake.config(), &["host", "list", "-o", "name"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curfew starts");
    drop(run.stdout.take());
    let output = run.wait_with_output().await.expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    assert!(fake.asked().len() < 20, "no more pages are fetched than needed");
}

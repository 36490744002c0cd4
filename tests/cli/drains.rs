//! Refusing new logons by hand, and whether guests do.

use crate::fake::{Fake, Script};
use crate::program::curfew;
use curfew_proto::v1;

fn drain(number: u32, operation: &str, state: v1::DrainState, problem: &str) -> v1::Drain {
    v1::Drain {
        guest_id: format!("host-1/simulated/{number}"),
        guest_name: format!("desk-{number}"),
        host: "host-1".into(),
        operation_id: operation.into(),
        expire_time: Some(pbjson_types::Timestamp { seconds: 1_801_418_400, nanos: 0 }),
        requester: if operation.is_empty() { "alice".into() } else { String::new() },
        reason: "patching".into(),
        state: state.into(),
        problem: problem.into(),
    }
}

fn in_force() -> v1::Drain {
    drain(1, "", v1::DrainState::InForce, "")
}

async fn with(drains: Vec<v1::Drain>) -> Fake {
    Fake::start(Script { drains, ..Script::default() }).await
}

#[tokio::test]
async fn a_drain_has_an_end_and_says_when() {
    let fake = with(vec![in_force()]).await;
    let args = ["guest", "drain", "desk-1", "--for", "4h", "--reason", "patching"];
    let said = curfew(fake.config(), &args).await;
    let until = "guest desk-1 (host-1/simulated/1) drained until 2027-01-31T18:00:00Z\n";
    assert_eq!((said.exit, said.stdout.as_str(), said.stderr.as_str()), (Some(0), until, ""));
    assert_eq!(fake.asked(), ["drain desk-1 for 14400 patching"]);
    let said = curfew(fake.config(), &["guest", "drain", "desk-1", "--for", "4h", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(document["state"], "DRAIN_STATE_IN_FORCE");
}

#[tokio::test]
async fn a_drain_without_an_end_or_for_too_long_is_a_usage_error() {
    let fake = with(vec![in_force()]).await;
    for (wrong, why) in [
        (&[][..], "--for <TIME>"),
        (&["--for", "8d"], "error: --for 8days is not between 1s and 7d\n"),
        (&["--for", "4"], "for example 90s"),
    ] {
        let said = curfew(fake.config(), &[&["guest", "drain", "desk-1"], wrong].concat()).await;
        assert_eq!(said.exit, Some(64), "{wrong:?}");
        assert!(said.stderr.contains(why), "{wrong:?}: {}", said.stderr);
    }
    let both = ["guest", "undrain", "desk-1", "--all", "--operation", "op-1"];
    assert_eq!(curfew(fake.config(), &both).await.exit, Some(64));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_guest_that_does_not_refuse_logons_yet_and_one_that_did_before_are_told_apart() {
    let pending = drain(1, "", v1::DrainState::Pending, "the guest agent does not answer");
    let fake = with(vec![pending]).await;
    let said = curfew(fake.config(), &["guest", "drain", "desk-1", "--for", "4h"]).await;
    assert!(said.stdout.ends_with("drained until 2027-01-31T18:00:00Z, pending\n"), "{}", said.stdout);
    insta::assert_snapshot!(said.stderr, @r#"
    The guest still takes logons: the guest agent does not answer. Its agent goes on trying: curfew guest drains tells how it stands
    "#);
    let theirs = drain(1, "", v1::DrainState::SomebodyElses, "/run/nologin is not Curfew's");
    let fake = with(vec![theirs]).await;
    let said = curfew(fake.config(), &["guest", "drain", "desk-1", "--for", "4h"]).await;
    insta::assert_snapshot!(said.stderr, @r#"
    Logons were refused there already, by somebody else: /run/nologin is not Curfew's. That is left as it is, also when the drain ends
    "#);
}

#[tokio::test]
async fn an_undrain_says_what_still_refuses_logons_and_how_to_lift_it() {
    let fake = with(Vec::new()).await;
    let said = curfew(fake.config(), &["guest", "undrain", "desk-1"]).await;
    assert_eq!(
        (said.exit, said.stdout.as_str(), said.stderr.as_str()),
        (Some(0), "guest desk-1 undrained\n", "")
    );
    let fake = with(vec![
        drain(1, "", v1::DrainState::Lifting, "the guest agent does not answer"),
        drain(1, "op-0123456789abc", v1::DrainState::InForce, ""),
    ])
    .await;
    let said = curfew(fake.config(), &["guest", "undrain", "desk-1"]).await;
    assert_eq!(said.exit, Some(0));
    insta::assert_snapshot!(said.stderr, @r#"
    It refuses new logons still:
      by hand: being lifted (the guest agent does not answer)
      op-0123456789abc, until 2027-01-31T18:00:00Z: curfew guest undrain desk-1 --operation op-0123456789abc
    "#);
    curfew(fake.config(), &["guest", "undrain", "desk-1", "--operation", "op-0123456789abc"]).await;
    curfew(fake.config(), &["guest", "undrain", "desk-1", "--all"]).await;
    let asked = [
        "undrain desk-1 \"\" false",
        "undrain desk-1 \"op-0123456789abc\" false",
        "undrain desk-1 \"\" true",
    ];
    assert_eq!(fake.asked(), asked);
}

#[tokio::test]
async fn drains_are_listed_with_whose_they_are_how_they_stand_and_what_is_not_known() {
    let mut hostile = drain(3, "", v1::DrainState::Pending, "guest says \u{1b}[2J\nok");
    hostile.guest_name = "desk\u{202e}3".into();
    let theirs = drain(2, "op-0123456789abc", v1::DrainState::SomebodyElses, "");
    let drains = vec![in_force(), theirs, hostile];
    let fake = Fake::start(Script { drains, unconnected_hosts: 2, ..Script::default() }).await;
    let said = curfew(fake.config(), &["guest", "drains"]).await;
    assert_eq!(said.exit, Some(0));
    insta::assert_snapshot!(said.stdout, @r#"
    GUEST           STATE             OF                 UNTIL                  HOST     BY      REASON     PROBLEM                    ID
    desk-1          in force          by hand            2027-01-31T18:00:00Z   host-1   alice   patching   -                          host-1/simulated/1
    desk-2          somebody else's   op-0123456789abc   2027-01-31T18:00:00Z   host-1   -       patching   -                          host-1/simulated/2
    desk\u{202e}3   pending           by hand            2027-01-31T18:00:00Z   host-1   alice   patching   guest says \u{1b}[2J\nok   host-1/simulated/3
    "#);
    insta::assert_snapshot!(said.stderr, @r#"
    2 hosts are away: drains there are as they were told last; they end by themselves all the same.
    "#);
    let fake = with(Vec::new()).await;
    let said = curfew(fake.config(), &["guest", "drains"]).await;
    assert_eq!(
        (said.exit, said.stdout.as_str(), said.stderr.as_str()),
        (Some(0), "", "No guest is drained.\n")
    );
}

#[tokio::test]
async fn a_drained_guest_is_listed_as_drained() {
    let guest = v1::Guest {
        id: "host-1/simulated/1".into(),
        name: "desk-1".into(),
        host: "host-1".into(),
        power_state: v1::PowerState::Running.into(),
        host_connected: true,
        drain_expire_time: Some(pbjson_types::Timestamp { seconds: 1_801_418_400, nanos: 0 }),
        ..v1::Guest::default()
    };
    let held = v1::Guest { held: true, ..guest.clone() };
    let fake = Fake::start(Script { guests: vec![guest, held], ..Script::default() }).await;
    let said = curfew(fake.config(), &["guest", "list"]).await;
    insta::assert_snapshot!(said.stdout, @r#"
    NAME     HOST     STATE                    ID                   OS   PROVIDER
    desk-1   host-1   running, drained         host-1/simulated/1   -    -
    desk-1   host-1   running, held, drained   host-1/simulated/1   -    -
    "#);
    let said = curfew(fake.config(), &["guest", "show", "desk-1"]).await;
    let drained = "Drained:           until 2027-01-31T18:00:00Z: curfew guest drains tells why\n";
    assert!(said.stdout.contains(drained), "{}", said.stdout);
}

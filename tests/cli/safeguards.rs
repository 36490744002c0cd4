//! Freezing the fleet, holding guests, protecting users.

use crate::fake::{Fake, Script};
use crate::program::curfew;
use curfew_proto::v1;

fn time(seconds: i64) -> Option<pbjson_types::Timestamp> {
    Some(pbjson_types::Timestamp { seconds, nanos: 0 })
}

fn script() -> Script {
    let hold = |number: u32, confirmed| v1::Hold {
        guest_id: format!("host-1/simulated/{number}"),
        guest_name: format!("desk-{number}"),
        holder: "alice".into(),
        reason: "exam".into(),
        create_time: None,
        expire_time: None,
        confirmed,
    };
    let user = |pattern: &str| v1::ProtectedUser {
        pattern: pattern.into(),
        requester: "alice".into(),
        reason: "services".into(),
        create_time: None,
    };
    Script {
        holds: vec![hold(1, false), v1::Hold { expire_time: time(1_801_418_400), ..hold(2, true) }],
        users: vec![user("TRADING\\*"), user("svc-*")],
        freeze: Some(v1::FreezeState {
            requester: "alice".into(),
            reason: "outage".into(),
            create_time: time(1_795_000_000),
            hard: true,
        }),
        ..Script::default()
    }
}

#[tokio::test]
async fn a_freeze_needs_a_reason_and_says_how_it_ends() {
    let fake = Fake::start(script()).await;
    let said = curfew(fake.config(), &["freeze"]).await;
    assert_eq!(said.exit, Some(64));
    assert!(said.stderr.contains("--reason <TEXT>"), "{}", said.stderr);
    let said = curfew(fake.config(), &["freeze", "--reason", "outage"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "fleet frozen\n"));
    assert_eq!(said.stderr, "Nothing new starts until: curfew unfreeze\n");
    curfew(fake.config(), &["freeze", "--reason", "outage", "--hard"]).await;
    let said = curfew(fake.config(), &["unfreeze"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "fleet unfrozen\n"));
    assert_eq!(fake.asked(), ["freeze outage false", "freeze outage true", "unfreeze"]);
}

#[tokio::test]
async fn a_freeze_is_shown_with_who_and_why() {
    let fake = Fake::start(script()).await;
    let said = curfew(fake.config(), &["freeze", "--show"]).await;
    assert_eq!((said.exit, said.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(said.stdout, @r#"
    Frozen by:  alice
    Reason:     outage
    Since:      2026-11-18T11:06:40Z
    Hard:       yes
    "#);
    let said = curfew(fake.config(), &["freeze", "--show", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(document["freeze"]["requester"], "alice");
    let fake = Fake::start(Script::default()).await;
    let said = curfew(fake.config(), &["freeze", "--show"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "not frozen\n"));
}

#[tokio::test]
async fn what_is_in_force_but_not_on_disk_is_said() {
    let fake = Fake::start(Script { is_store_away: true, ..script() }).await;
    let away = "Done, but not on disk yet: the controller's store is away.\n";
    for args in [
        &["freeze", "--reason", "outage"][..],
        &["guest", "hold", "desk-1", "--reason", "exam"],
        &["protected-user", "add", "svc-*"],
    ] {
        let said = curfew(fake.config(), args).await;
        assert_eq!(said.exit, Some(0));
        assert!(said.stderr.starts_with(away), "{args:?}: {}", said.stderr);
    }
}

#[tokio::test]
async fn a_hold_is_pending_until_the_agent_confirms_it() {
    let fake = Fake::start(script()).await;
    let args = ["guest", "hold", "desk-1", "--reason", "exam", "--until", "2027-01-31T18:00:00Z"];
    let said = curfew(fake.config(), &args).await;
    assert_eq!(said.exit, Some(0), "{}", said.stderr);
    insta::assert_snapshot!(said.stdout, @r#"
    guest desk-1 (host-1/simulated/1) held until 2027-01-31T18:00:00Z, pending
    "#);
    insta::assert_snapshot!(said.stderr, @r#"
    No new task starts there. A task that its agent has begun may still go on until the agent
    confirms the hold: curfew guest holds
    "#);
    let said = curfew(fake.config(), &["guest", "release", "desk-1"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "guest desk-1 released\n"));
    assert_eq!(fake.asked(), ["hold desk-1 exam until 1801418400", "release desk-1"]);
}

#[tokio::test]
async fn a_hold_that_would_be_over_or_has_two_ends_is_a_usage_error() {
    let hold = ["guest", "hold", "desk-1", "--reason", "exam"];
    for wrong in [
        &["--until", "2020-01-31T18:00:00Z"][..],
        &["--until", "soon"],
        &["--until", "2030-01-31T18:00:00Z", "--for", "4h"],
    ] {
        let fake = Fake::start(script()).await;
        let said = curfew(fake.config(), &[&hold[..], wrong].concat()).await;
        assert_eq!(said.exit, Some(64), "{wrong:?}: {}", said.stderr);
        assert!(fake.asked().is_empty());
    }
}

#[tokio::test]
async fn holds_are_listed_with_what_is_pending() {
    let fake = Fake::start(script()).await;
    let said = curfew(fake.config(), &["guest", "holds"]).await;
    assert_eq!((said.exit, said.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(said.stdout, @r#"
    GUEST    STATE     BY      AGE   UNTIL                  REASON   ID
    desk-1   pending   alice   -     -                      exam     host-1/simulated/1
    desk-2   held      alice   -     2027-01-31T18:00:00Z   exam     host-1/simulated/2
    "#);
    let fake = Fake::start(Script::default()).await;
    assert_eq!(curfew(fake.config(), &["guest", "holds"]).await.stderr, "No guest is held.\n");
}

#[tokio::test]
async fn a_held_guest_is_listed_as_held() {
    let guest = v1::Guest {
        id: "host-1/simulated/1".into(),
        name: "desk-1".into(),
        host: "host-1".into(),
        power_state: v1::PowerState::Running.into(),
        host_connected: true,
        held: true,
        ..v1::Guest::default()
    };
    let fake = Fake::start(Script { guests: vec![guest], ..Script::default() }).await;
    let said = curfew(fake.config(), &["guest", "list"]).await;
    assert!(said.stdout.contains("desk-1   host-1   running, held   host-1/simulated/1"), "{}", said.stdout);
    let said = curfew(fake.config(), &["guest", "show", "desk-1"]).await;
    assert!(said.stdout.contains("Held:") && said.stdout.contains("curfew guest holds"), "{}", said.stdout);
}

#[tokio::test]
async fn protected_users_are_listed_added_and_removed() {
    let fake = Fake::start(script()).await;
    let said = curfew(fake.config(), &["protected-user", "list"]).await;
    insta::assert_snapshot!(said.stdout, @r#"
    USER        BY      AGE   REASON
    TRADING\*   alice   -     services
    svc-*       alice   -     services
    "#);
    assert_eq!(said.stderr, "Not confirmed yet by 2 connected hosts: sessions there may still be ended.\n");
    let args = ["protected-user", "add", "svc-*", "TRADING\\*", "--reason", "services"];
    let said = curfew(fake.config(), &args).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "svc-* protected\nTRADING\\* protected\n"));
    assert_eq!(said.stderr, "Pending until each agent confirms it: curfew protected-user list\n");
    let said = curfew(fake.config(), &["protected-user", "remove", "alice", "-o", "name"]).await;
    assert_eq!((said.exit, said.stdout.as_str()), (Some(0), "TRADING\\*\nsvc-*\n"));
    assert_eq!(
        fake.asked()[1..],
        ["protect [\"svc-*\", \"TRADING\\\\*\"] services", "unprotect [\"alice\"]"]
    );
}

//! Live sessions of a filter's choice, in listings and previews.

use crate::agent::now;
use crate::rig::{Fleet, Rig, everybody, wrong_field};
use crate::safeguarding::protect;
use curfew_proto::convert::{duration, timestamp};
use curfew_proto::v1;
use curfew_types::WallTime;

/// A session that began so many milliseconds before `clock`.
fn session(
    user: &str,
    state: v1::SessionState,
    idle_ms: Option<u64>,
    clock: WallTime,
    age_ms: i64,
) -> v1::Session {
    v1::Session {
        id: user.into(),
        user: user.into(),
        state: state.into(),
        begin_time: Some(timestamp(WallTime(clock.0 - age_ms))),
        idle: idle_ms.map(duration),
        ..v1::Session::default()
    }
}

/// An agent whose guests' clock is an hour behind, with three sessions each.
async fn rig_with_sessions() -> (Rig, crate::agent::Agent) {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 1).await;
    let clock = WallTime(now().0 - 3_600_000);
    let sessions = vec![
        session("alice", v1::SessionState::Active, Some(0), clock, 60_000),
        session("CORP\\bob", v1::SessionState::Disconnected, Some(900_000), clock, 7_200_000),
        session("svc-backup", v1::SessionState::Active, None, clock, 7_200_000),
    ];
    agent.set(|agent| (agent.sessions, agent.clock) = (sessions, Some(clock))).await;
    (rig, agent)
}

async fn users(fleet: &mut Fleet, filter: v1::SessionFilter) -> (Vec<String>, u32) {
    let request = v1::ListSessionsRequest { filter: Some(filter), ..v1::ListSessionsRequest::default() };
    let mut stream = fleet.list_sessions(request).await.expect("answers").into_inner();
    let answer = stream.message().await.expect("a stream").expect("an answer");
    assert_eq!(answer.status.as_ref().map(v1::Status::code), Some(v1::StatusCode::Ok), "{answer:?}");
    (answer.sessions.into_iter().map(|session| session.user).collect(), answer.left_out_count)
}

#[tokio::test]
async fn a_listing_has_the_sessions_that_the_filter_fits_and_says_how_many_others_there_are() {
    let (rig, _agent) = rig_with_sessions().await;
    let mut fleet = rig.fleet().await;
    let all = v1::SessionFilter::default();
    assert_eq!(users(&mut fleet, all.clone()).await.1, 0);
    let filter = v1::SessionFilter { users: vec!["bob".into()], ..all.clone() };
    assert_eq!(users(&mut fleet, filter).await, (vec!["CORP\\bob".into()], 2));
    let filter = v1::SessionFilter { exclude_users: vec!["svc-*".into()], ..all.clone() };
    assert_eq!(users(&mut fleet, filter).await, (vec!["alice".into(), "CORP\\bob".into()], 1));
    let filter = v1::SessionFilter { state: v1::SessionStateFilter::Disconnected.into(), ..all.clone() };
    assert_eq!(users(&mut fleet, filter).await, (vec!["CORP\\bob".into()], 2));
    let filter = v1::SessionFilter { idle_at_least: Some(duration(600_000)), ..all };
    assert_eq!(users(&mut fleet, filter).await, (vec!["CORP\\bob".into()], 2));
}

#[tokio::test]
async fn when_a_session_began_is_counted_on_its_guests_clock() {
    let (rig, agent) = rig_with_sessions().await;
    let mut fleet = rig.fleet().await;
    // An hour ago: by the guest's own times alone, alice would have logged on before that, too.
    let before = v1::SessionFilter {
        logged_on_before: Some(timestamp(WallTime(now().0 - 3_600_000))),
        ..v1::SessionFilter::default()
    };
    let older = vec!["CORP\\bob".to_owned(), "svc-backup".to_owned()];
    assert_eq!(users(&mut fleet, before.clone()).await, (older, 1));
    // An agent of an older version does not say what its guest's clock shows.
    agent.set(|agent| agent.clock = None).await;
    assert_eq!(users(&mut fleet, before).await.0.len(), 3);
}

#[tokio::test]
async fn a_live_preview_says_why_a_session_would_be_left_alone() {
    let (rig, _agent) = rig_with_sessions().await;
    let (mut fleet, mut operations) = (rig.fleet().await, rig.operations("bob").await);
    fleet.protect_users(protect(&["svc-*"])).await.expect("an answer");
    let state = v1::SessionStateFilter::Active.into();
    let sessions = Some(v1::SessionFilter { state, ..v1::SessionFilter::default() });
    let request = v1::PreviewOperationRequest {
        spec: Some(v1::OperationSpec { sessions, ..everybody() }),
        live: true,
        ..v1::PreviewOperationRequest::default()
    };
    let page = operations.preview_operation(request).await.expect("a preview").into_inner();
    let marks: Vec<(bool, &str)> =
        page.guests[0].sessions.iter().map(|each| (each.excluded, each.excluded_because.as_str())).collect();
    let state = "it is not in the state that was asked for";
    assert_eq!(marks, [(false, ""), (true, state), (true, "its user is protected")]);
}

#[tokio::test]
async fn times_that_no_calendar_has_are_told_as_the_nearest_that_there_are() {
    let (rig, agent) = rig_with_sessions().await;
    let beyond = v1::Session {
        user: "eve".into(),
        begin_time: Some(pbjson_types::Timestamp { seconds: i64::MAX, nanos: -5 }),
        idle: Some(pbjson_types::Duration { seconds: 1 << 52, nanos: 0 }),
        ..v1::Session::default()
    };
    agent.set(|agent| agent.sessions = vec![beyond]).await;
    let mut stream = rig.fleet().await.list_sessions(v1::ListSessionsRequest::default()).await;
    let answer = stream.as_mut().expect("answers").get_mut().message().await.expect("a stream");
    let session = answer.expect("an answer").sessions.remove(0);
    assert_eq!(session.begin_time.expect("a time").seconds, 253_402_300_799);
    assert_eq!(session.idle, Some(duration(366 * 86_400_000)));
}

#[tokio::test]
async fn a_wrong_filter_names_its_field() {
    let rig = Rig::start().await;
    let _agent = rig.agent("h1", 1).await;
    let mut fleet = rig.fleet().await;
    let all = v1::SessionFilter::default();
    let wrong = [
        (v1::SessionFilter { users: vec![String::new()], ..all.clone() }, "filter.users"),
        (v1::SessionFilter { exclude_users: vec!["x".into(); 1001], ..all.clone() }, "filter.exclude_users"),
        (v1::SessionFilter { state: 9, ..all.clone() }, "filter.state"),
        (
            v1::SessionFilter { idle_at_least: Some(duration(367 * 86_400_000)), ..all },
            "filter.idle_at_least",
        ),
    ];
    for (filter, field) in wrong {
        let request = v1::ListSessionsRequest { filter: Some(filter), ..v1::ListSessionsRequest::default() };
        assert_eq!(wrong_field(fleet.list_sessions(request).await), field);
    }
}

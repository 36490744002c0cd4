//! Previews, and starting exactly what was previewed.

use crate::approving::strict;
use crate::rig::{Rig, everybody, not_now, number, wrong_field};
use crate::safeguarding::protect;
use curfew_proto::{convert, v1};

fn preview(spec: v1::OperationSpec) -> v1::PreviewOperationRequest {
    v1::PreviewOperationRequest { spec: Some(spec), ..v1::PreviewOperationRequest::default() }
}

#[tokio::test]
async fn a_live_preview_tells_who_is_logged_on_and_who_is_protected() {
    let rig = Rig::with(strict()).await;
    let agent = rig.agent("h1", 3).await;
    agent.set(|agent| agent.users = vec!["eve", "CORP\\svc-backup"]).await;
    let (mut fleet, mut client) = (rig.fleet().await, rig.operations("bob").await);
    fleet.protect_users(protect(&["svc-*"])).await.expect("an answer");
    let request = v1::PreviewOperationRequest { page_size: 2, live: true, ..preview(everybody()) };
    let page = client.preview_operation(request.clone()).await.expect("a preview").into_inner();
    assert_eq!((page.guests.len(), page.included_count, page.needs_approval), (2, 3, true));
    for guest in &page.guests {
        assert_eq!(
            guest.session_status.as_ref().map(v1::Status::code),
            Some(v1::StatusCode::Ok),
            "{guest:?}"
        );
        let sessions: Vec<_> = guest
            .sessions
            .iter()
            .map(|each| (each.session.as_ref().map_or("", |session| session.user.as_str()), each.excluded))
            .collect();
        assert_eq!(sessions, [("eve", false), ("CORP\\svc-backup", true)]);
    }
    let next = v1::PreviewOperationRequest { page_token: page.next_page_token, ..request };
    let last = client.preview_operation(next).await.expect("a preview").into_inner();
    assert_eq!((last.guests.len(), last.next_page_token.as_str()), (1, ""));
    let plain = client.preview_operation(preview(everybody())).await.expect("a preview").into_inner();
    assert!(plain.guests.iter().all(|guest| guest.session_status.is_none() && guest.sessions.is_empty()));
}

#[tokio::test]
async fn a_live_preview_never_shows_a_guest_that_did_not_answer_as_empty() {
    let rig = Rig::start().await;
    drop(rig.agent("h1", 1).await);
    let mut client = rig.operations("bob").await;
    let live_timeout = Some(convert::duration(100));
    let request = v1::PreviewOperationRequest { live: true, live_timeout, ..preview(everybody()) };
    let page = client.preview_operation(request).await.expect("a preview").into_inner();
    let status = page.guests[0].session_status.as_ref().expect("a status");
    assert_ne!(status.code(), v1::StatusCode::Ok, "{status:?}");
    let live_timeout = Some(convert::duration(99));
    let request = v1::PreviewOperationRequest { live: true, live_timeout, ..preview(everybody()) };
    assert_eq!(wrong_field(client.preview_operation(request).await), "live_timeout");
}

#[tokio::test]
async fn a_preview_with_a_seed_shows_the_waves_that_the_start_draws() {
    let rig = Rig::start().await;
    let _agent = rig.agent("h1", 6).await;
    let mut client = rig.operations("bob").await;
    let in_waves = |seed| {
        let waves = vec![number(1).expect("an amount"), number(3).expect("an amount")];
        v1::OperationSpec {
            rollout: Some(v1::Rollout { waves, seed, ..v1::Rollout::default() }),
            ..everybody()
        }
    };
    let waves_of = async |client: &mut crate::rig::Operations, seed| {
        let page = client.preview_operation(preview(in_waves(seed))).await.expect("a preview").into_inner();
        assert_eq!(page.wave_sizes, [1, 2, 3]);
        page.guests.iter().map(|guest| guest.wave).collect::<Vec<_>>()
    };
    let drawn = waves_of(&mut client, Some(7)).await;
    assert_eq!(drawn, waves_of(&mut client, Some(7)).await);
    assert_eq!(waves_of(&mut client, None).await, [0; 6], "nothing is drawn without a seed");
    let mut sorted = drawn;
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 2, 3, 3, 3]);
    let request = v1::StartOperationRequest {
        spec: Some(in_waves(Some(7))),
        validate_only: true,
        ..v1::StartOperationRequest::default()
    };
    let planned = client.start_operation(request).await.expect("an answer").into_inner().operation;
    let planned = planned.expect("an operation");
    assert_eq!((planned.seed, planned.waves.len(), planned.id.as_str()), (7, 3, ""));
    assert!(planned.approval.is_none());
}

#[tokio::test]
async fn a_start_is_refused_unless_it_is_what_was_expected() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 2).await;
    let mut client = rig.operations("bob").await;
    let seen = client.preview_operation(preview(everybody())).await.expect("a preview").into_inner();
    let request = |expected_count, digest: &str, validate_only| v1::StartOperationRequest {
        spec: Some(everybody()),
        expected_count,
        expected_digest: digest.to_owned(),
        validate_only,
        ..v1::StartOperationRequest::default()
    };
    for validate_only in [true, false] {
        let text = not_now(client.start_operation(request(Some(3), "", validate_only)).await);
        assert!(text.contains("2 guests would be logged off, and 3 were expected"), "{text}");
        let text = not_now(client.start_operation(request(None, "00000000000000aa", validate_only)).await);
        assert!(text.contains(&seen.selection_digest), "{text}");
        let malformed = client.start_operation(request(None, "what", validate_only)).await;
        assert_eq!(wrong_field(malformed), "expected_digest");
    }
    agent.set(|agent| agent.guests = 3).await;
    rig.wait_for_guests(&agent, 3).await;
    not_now(client.start_operation(request(None, &seen.selection_digest, false)).await);
    let listed =
        client.list_operations(v1::ListOperationsRequest::default()).await.expect("a page").into_inner();
    assert_eq!(listed.operations, [], "nothing of all this was started");
    agent.set(|agent| agent.guests = 2).await;
    rig.wait_for_guests(&agent, 2).await;
    let exact = request(Some(2), &seen.selection_digest, false);
    client.start_operation(exact).await.expect("exactly what was seen");
}

//! The provider as the agent sees it: ids, silence, configuration, and guests that outlive the agent.

use super::*;

const BUDGET: Duration = Duration::from_secs(5);
const ALWAYS: OnlyIf = OnlyIf { state: None, idle_at_least_ms: None };
const SHORT: Duration = Duration::from_millis(5);

fn host() -> HostName {
    "h1".parse().expect("a host name")
}

fn provider(config: &SimulatedConfig) -> Simulated {
    Simulated::new(config, &host()).expect("a provider")
}

fn id(number: u32) -> GuestId {
    GuestId::local(&host(), NAME, &format!("guest-{number}")).expect("an id")
}

#[tokio::test]
async fn every_guest_that_is_discovered_can_be_asked() {
    let provider = provider(&SimulatedConfig::healthy(12));
    let guests = provider.discover().await.expect("guests");
    assert_eq!(guests.len(), 12);
    for guest in guests {
        assert_eq!(
            provider.list_sessions(&guest.id, Look::default(), BUDGET).await.expect("a list").sessions.len(),
            1
        );
    }
}

#[tokio::test]
async fn an_id_that_is_nobodys_is_unknown() {
    let provider = provider(&SimulatedConfig::healthy(3));
    for text in
        ["h1/simulated/guest-0", "h1/simulated/guest-4", "h1/simulated/guest-01", "h2/simulated/guest-1"]
    {
        let error = provider
            .list_sessions(&text.parse().expect("an id"), Look::default(), BUDGET)
            .await
            .expect_err(text);
        assert_eq!(error.code, StatusCode::VmUnknown, "{text}");
    }
}

#[tokio::test]
async fn power_states_are_in_the_inventory() {
    let config =
        SimulatedConfig::healthy(3).with_fault(1, FaultKind::NotRunning).with_fault(2, FaultKind::Paused);
    let power: Vec<PowerState> =
        provider(&config).discover().await.expect("guests").iter().map(|guest| guest.power).collect();
    assert_eq!(power, [PowerState::Stopped, PowerState::Paused, PowerState::Running]);
}

#[tokio::test]
async fn a_frozen_guest_times_out_when_the_budget_is_over() {
    let provider = provider(&SimulatedConfig::healthy(1).with_fault(1, FaultKind::Frozen));
    let before = Instant::now();
    let error = provider.list_sessions(&id(1), Look::default(), SHORT).await.expect_err("frozen");
    assert_eq!(error.code, StatusCode::TimedOut);
    assert!(before.elapsed() >= SHORT);
}

#[tokio::test]
async fn what_was_asked_while_frozen_is_answered_after_the_thaw() {
    let provider = provider(&SimulatedConfig::healthy(1).with_fault(1, FaultKind::FrozenForMs(20)));
    assert_eq!(
        provider.list_sessions(&id(1), Look::default(), BUDGET).await.expect("a list").sessions.len(),
        1
    );
}

#[tokio::test]
async fn without_budget_nothing_is_done() {
    let provider = provider(&SimulatedConfig::healthy(1));
    let key = provider.list_sessions(&id(1), Look::default(), BUDGET).await.expect("a list").sessions[0]
        .key
        .clone();
    let reply = provider.end_session(&id(1), &key, EndMode::Force, ALWAYS, Duration::ZERO).await;
    assert_eq!(reply, Ok(EndReply::TooLate));
    assert_eq!(
        provider.list_sessions(&id(1), Look::default(), BUDGET).await.expect("a list").sessions.len(),
        1
    );
}

#[tokio::test]
async fn guests_and_a_log_of_the_ended_outlive_the_agent() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state.json");
    let config = SimulatedConfig {
        sessions_per_guest: 2,
        delay_ms: 60_000,
        state_file: Some(state.clone()),
        ..SimulatedConfig::healthy(2)
    };
    let first = provider(&config);
    let key =
        first.list_sessions(&id(1), Look::default(), BUDGET).await.expect("a list").sessions[0].key.clone();
    let before = first.list_sessions(&id(2), Look::default(), BUDGET).await.expect("a list");
    assert_eq!(first.end_session(&id(1), &key, EndMode::Force, ALWAYS, BUDGET).await, Ok(EndReply::Ended));
    drop(first);

    let second = provider(&config);
    assert_eq!(
        second.list_sessions(&id(1), Look::default(), BUDGET).await.expect("a list").sessions.len(),
        1
    );
    let after = second.list_sessions(&id(2), Look::default(), BUDGET).await.expect("a list");
    let keys =
        |list: &SessionList| list.sessions.iter().map(|session| session.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&after), keys(&before));
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&state).expect("a state")).expect("JSON");
    let ended = written["ended"].as_array().expect("a log");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["guest"], "guest-1");
    assert_eq!(ended[0]["key"]["id"], key.id.as_str());
    assert_eq!(ended[0]["forced"], true);
}

#[tokio::test]
async fn logons_are_picked_up_once_and_only_whole_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let logons = folder.path().join("logons");
    let config = SimulatedConfig {
        state_file: Some(folder.path().join("state.json")),
        logons_file: Some(logons.clone()),
        ..SimulatedConfig::healthy(2)
    };
    let users = async |provider: &Simulated| -> Vec<String> {
        let list = provider.list_sessions(&id(2), Look::default(), BUDGET).await.expect("a list");
        list.sessions.into_iter().skip(1).map(|session| session.user).collect()
    };
    let first = provider(&config);
    assert!(users(&first).await.is_empty());
    std::fs::write(&logons, "{\"guest\":\"guest-2\",\"user\":\"zoe\"}\nnonsense\n{\"guest\":\"guest-2\",")
        .expect("written");
    assert_eq!(users(&first).await, ["zoe"]);
    assert_eq!(users(&provider(&config)).await, ["zoe"]);
    let all = std::fs::read_to_string(&logons).expect("read") + "\"user\":\"yan\"}\n";
    std::fs::write(&logons, all).expect("written");
    assert_eq!(users(&provider(&config)).await, ["zoe", "yan"]);
}

#[test]
fn the_configuration_reads_as_it_is_documented() {
    let config: SimulatedConfig = toml::from_str(
        r#"
        guests = 25
        sessions_per_guest = 3
        faults = [
            { guest = 1, kind = "not_running" },
            { guest = "guest-2*", kind = { frozen_for_ms = 500 } },
        ]
        "#,
    )
    .expect("a configuration");
    assert!(config.has(1, FaultKind::NotRunning));
    assert!(config.has(20, FaultKind::FrozenForMs(500)) && !config.has(3, FaultKind::FrozenForMs(500)));
    assert!(toml::from_str::<SimulatedConfig>("guests = 1\nsurprise = 2").is_err());
    assert!(
        toml::from_str::<SimulatedConfig>("guests = 1\nfaults = [{ guest = 1, kind = \"odd\" }]").is_err()
    );
}

#[test]
fn a_configuration_out_of_range_names_its_field() {
    let why = |config: SimulatedConfig| match Simulated::new(&config, &host()) {
        Ok(_) => panic!("the configuration was taken"),
        Err(error) => error.why,
    };
    let healthy = SimulatedConfig::healthy(1);
    assert!(why(SimulatedConfig::healthy(1_000_000)).starts_with("guests is"));
    assert!(
        why(SimulatedConfig { sessions_per_guest: 9999, ..healthy.clone() })
            .starts_with("sessions_per_guest")
    );
    assert!(why(SimulatedConfig { name_prefix: "a b".into(), ..healthy.clone() }).starts_with("name_prefix"));
    assert!(
        why(SimulatedConfig { logons_file: Some("x".into()), ..healthy.clone() }).starts_with("logons_file")
    );
    assert!(why(healthy.with_fault(2, FaultKind::Broken)).contains("guest 2"));
}

#[tokio::test]
async fn a_hundred_thousand_guests_are_cheap() {
    let providers: Vec<Simulated> = (0..10_000).map(|_| provider(&SimulatedConfig::healthy(10))).collect();
    let guests = providers[0].discover().await.expect("guests");
    for provider in &providers {
        for guest in &guests {
            let list = provider.list_sessions(&guest.id, Look::default(), BUDGET).await.expect("a list");
            let reply =
                provider.end_session(&guest.id, &list.sessions[0].key, EndMode::Force, ALWAYS, BUDGET).await;
            assert_eq!(reply, Ok(EndReply::Ended));
        }
    }
}

#[tokio::test]
async fn a_notice_that_hangs_takes_its_budget_and_keeps_no_other_request() {
    let provider = provider(&SimulatedConfig::healthy(1).with_fault(1, FaultKind::NotifyHangs));
    let key = provider.list_sessions(&id(1), Look::default(), BUDGET).await.expect("a list").sessions[0]
        .key
        .clone();
    let error = provider.notify(&id(1), &[key], "soon", SHORT).await.expect_err("it hangs");
    assert_eq!(error.code, StatusCode::TimedOut);
    assert!(provider.list_sessions(&id(1), Look::default(), BUDGET).await.is_ok());
}

#[tokio::test]
async fn a_drain_outlives_the_agent_and_keeps_a_logon_of_the_file_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, logons) = (folder.path().join("state.json"), folder.path().join("logons"));
    let config = SimulatedConfig {
        state_file: Some(state.clone()),
        logons_file: Some(logons.clone()),
        ..SimulatedConfig::healthy(1)
    };
    let order = DrainOrder { for_ms: 3_600_000, text: "maintenance".into() };
    assert_eq!(provider(&config).drain(&id(1), &order, BUDGET).await, Ok(DrainReply::InForce));
    std::fs::write(&logons, "{\"guest\":\"guest-1\",\"user\":\"zoe\"}\n").expect("written");
    let list = provider(&config).list_sessions(&id(1), Look::default(), BUDGET).await.expect("a list");
    assert_eq!(list.sessions.len(), 1);
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&state).expect("a state")).expect("JSON");
    assert_eq!(written["refused"][0]["user"], "zoe");
}

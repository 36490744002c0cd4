//! What each fault does to a guest, without a clock.

use super::super::config::{FaultKind, SimulatedConfig};
use super::*;
use curfew_types::SessionState;

const NOW: u64 = 1_700_000_000_000;
const POLITE: EndMode = EndMode::Graceful { attempt: 0 };

struct Setting {
    config: SimulatedConfig,
    world: World,
}

fn two_people(kind: impl IntoIterator<Item = FaultKind>) -> Setting {
    let mut config = SimulatedConfig { sessions_per_guest: 2, delay_ms: 100, ..SimulatedConfig::healthy(3) };
    for kind in kind {
        config = config.with_fault(1, kind);
    }
    Setting { config, world: World::new(NOW) }
}

impl Setting {
    fn list(&mut self, at_ms: u64) -> Result<SessionList, Error> {
        self.world.list(&self.config, 1, Look::default(), NOW + at_ms)
    }

    fn keys(&mut self, at_ms: u64) -> Vec<SessionKey> {
        self.list(at_ms).expect("a list").sessions.into_iter().map(|session| session.key).collect()
    }

    fn end(&mut self, key: &SessionKey, how: EndMode, at_ms: u64) -> Result<EndReply, Error> {
        self.world.end(&self.config, 1, key, (how, OnlyIf::default()), NOW + at_ms)
    }

    fn code(&mut self) -> (StatusCode, bool) {
        let error = self.list(0).expect_err("a fault");
        (error.code, error.unlistable)
    }
}

#[test]
fn a_session_that_was_asked_is_closing_until_its_delay_is_over() {
    let mut it = two_people([]);
    let keys = it.keys(0);
    assert_eq!(it.end(&keys[0], POLITE, 10), Ok(EndReply::Asked));
    assert_eq!(it.list(109).expect("a list").sessions[0].state, SessionState::Closing);
    assert_eq!(it.keys(110), keys[1..]);
    assert_eq!(it.end(&keys[0], POLITE, 111), Ok(EndReply::Gone));
}

#[test]
fn force_ends_a_session_at_once() {
    let mut it = two_people([]);
    let keys = it.keys(0);
    assert_eq!(it.end(&keys[1], EndMode::Force, 10), Ok(EndReply::Ended));
    assert_eq!(it.keys(10), keys[..1]);
}

#[test]
fn another_logon_time_or_boot_is_not_that_session() {
    let mut it = two_people([]);
    let key = it.keys(0).remove(0);
    let later = SessionKey { began_us: key.began_us + 1, ..key.clone() };
    let other_boot = SessionKey { boot: "x".into(), ..key };
    assert_eq!(it.end(&later, EndMode::Force, 0), Ok(EndReply::NotThatSession));
    assert_eq!(it.end(&other_boot, EndMode::Force, 0), Ok(EndReply::NotThatSession));
    assert_eq!(it.keys(1000).len(), 2);
}

#[test]
fn what_a_guest_refuses_carries_the_contracts_code() {
    for (kind, code, unlistable) in [
        (FaultKind::NotRunning, StatusCode::VmNotRunning, false),
        (FaultKind::Paused, StatusCode::VmPaused, false),
        (FaultKind::NoAgent, StatusCode::AdditionsNotAvail, false),
        (FaultKind::FeatureMissing, StatusCode::AdditionsFeatureNotAvail, false),
        (FaultKind::Unlistable, StatusCode::AdditionsFeatureNotAvail, true),
        (FaultKind::UnknownGuest, StatusCode::VmUnknown, false),
        (FaultKind::Broken, StatusCode::Unexpected, false),
    ] {
        assert_eq!(two_people([kind]).code(), (code, unlistable), "{kind:?}");
    }
}

#[test]
fn a_guest_that_boots_answers_from_then_on() {
    let mut it = two_people([FaultKind::NotBootedForMs(50)]);
    assert_eq!(it.list(49).expect_err("booting").code, StatusCode::AdditionsNotAvail);
    assert_eq!(it.keys(50).len(), 2);
}

#[test]
fn denied_sessions_are_listed_and_stay() {
    let mut it = two_people([FaultKind::AccessDenied]);
    let keys = it.keys(0);
    assert_eq!(it.end(&keys[0], POLITE, 0).expect_err("denied").code, StatusCode::AccessDenied);
    assert_eq!(it.keys(1000), keys);
}

#[test]
fn the_stubborn_go_when_forced_and_the_immortal_never() {
    for (kind, forced, left) in
        [(FaultKind::Stubborn, EndReply::Ended, 1), (FaultKind::Immortal, EndReply::Asked, 2)]
    {
        let mut it = two_people([kind]);
        let keys = it.keys(0);
        assert_eq!(it.end(&keys[0], POLITE, 0), Ok(EndReply::Asked));
        assert_eq!(it.keys(1000).len(), 2, "{kind:?}");
        assert_eq!(it.end(&keys[0], EndMode::Force, 1000), Ok(forced));
        assert_eq!(it.keys(1000).len(), left, "{kind:?}");
    }
}

#[test]
fn silence_lasts_for_ever_or_until_its_time() {
    let frozen = two_people([FaultKind::Frozen]);
    assert_eq!(frozen.world.silence(&frozen.config, 1, NOW), Silence::Forever);
    assert_eq!(frozen.world.silence(&frozen.config, 2, NOW), Silence::None);
    let thawing = two_people([FaultKind::FrozenForMs(50)]);
    assert_eq!(thawing.world.silence(&thawing.config, 1, NOW + 49), Silence::Until(NOW + 50));
    assert_eq!(thawing.world.silence(&thawing.config, 1, NOW + 50), Silence::None);
}

#[test]
fn nobody_is_on_an_empty_guest_yet_it_says_which_boot_it_is() {
    let list = two_people([FaultKind::Empty]).list(0).expect("a list");
    assert!(list.sessions.is_empty() && !list.boot.is_empty());
}

#[test]
fn somebody_logs_on_after_the_first_end_and_only_then() {
    let mut it = two_people([FaultKind::NewLogon]);
    let keys = it.keys(0);
    assert_eq!(it.end(&keys[0], POLITE, 10), Ok(EndReply::Asked));
    assert_eq!(it.end(&keys[1], POLITE, 10), Ok(EndReply::Asked));
    let left = it.list(1000).expect("a list").sessions;
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].user.as_str(), left[0].key.began_us), ("newcomer", (NOW + 10) * 1000));
}

#[test]
fn the_vanishing_are_gone_when_they_are_to_be_ended() {
    let mut it = two_people([FaultKind::Vanishing]);
    let keys = it.keys(0);
    assert_eq!(it.end(&keys[0], POLITE, 0), Ok(EndReply::Gone));
    assert_eq!(it.keys(0), keys[1..]);
}

#[test]
fn a_reboot_leaves_nobody_and_makes_old_keys_strangers() {
    let mut it = two_people([FaultKind::Reboots]);
    let before = it.list(0).expect("a list");
    assert_eq!(it.end(&before.sessions[0].key, POLITE, 0), Ok(EndReply::Asked));
    let after = it.list(0).expect("a list");
    assert!(after.sessions.is_empty());
    assert_ne!(after.boot, before.boot);
    assert_eq!(it.end(&before.sessions[1].key, POLITE, 0), Ok(EndReply::NotThatSession));
}

#[test]
fn an_unverifiable_guest_lists_until_its_first_end() {
    let mut it = two_people([FaultKind::Unverifiable]);
    assert_eq!(it.keys(0), it.keys(1));
    let key = it.keys(2).remove(0);
    assert_eq!(it.end(&key, POLITE, 3), Ok(EndReply::Asked));
    assert!(it.list(4).expect_err("unverifiable").unlistable);
}

#[test]
fn the_same_seed_gives_the_same_people_and_another_seed_others() {
    let with_seed = |seed| {
        let config = SimulatedConfig { seed, sessions_per_guest: 20, ..SimulatedConfig::healthy(1) };
        World::new(NOW).list(&config, 1, Look::default(), NOW).expect("a list")
    };
    assert_eq!(with_seed(1), with_seed(1));
    assert_ne!(with_seed(1).sessions, with_seed(2).sessions);
}

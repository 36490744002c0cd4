//! Notices, conditions on ending, drains, and guests that change by themselves, without a clock.

use super::super::config::{FaultKind, SimulatedConfig};
use super::*;
use curfew_types::{SessionState, StateFilter};

const NOW: u64 = 1_700_000_000_000;
const POLITE: EndMode = EndMode::Graceful { attempt: 0 };

struct Setting {
    config: SimulatedConfig,
    world: World,
}

fn two_people(kinds: impl IntoIterator<Item = FaultKind>) -> Setting {
    let config = SimulatedConfig { sessions_per_guest: 2, ..SimulatedConfig::healthy(1) };
    let config = kinds.into_iter().fold(config, |config, kind| config.with_fault(1, kind));
    Setting { config, world: World::new(NOW) }
}

impl Setting {
    fn list(&mut self, at_ms: u64) -> SessionList {
        self.world.list(&self.config, 1, Look { processes: true }, NOW + at_ms).expect("a list")
    }

    fn keys(&mut self, at_ms: u64) -> Vec<SessionKey> {
        self.list(at_ms).sessions.into_iter().map(|session| session.key).collect()
    }

    fn notify(&mut self, keys: &[SessionKey], at_ms: u64) -> Vec<NoticeReply> {
        self.world.notify(&self.config, 1, keys, "soon", NOW + at_ms).expect("replies")
    }

    fn end_only_if(&mut self, key: &SessionKey, only_if: OnlyIf, at_ms: u64) -> EndReply {
        self.world.end(&self.config, 1, key, (POLITE, only_if), NOW + at_ms).expect("a reply")
    }

    fn drain(&mut self, for_ms: u64, at_ms: u64) -> Result<DrainReply, Error> {
        let order = DrainOrder { for_ms, text: "not now".into() };
        self.world.drain(&self.config, 1, &order, NOW + at_ms)
    }

    fn undrain(&mut self, at_ms: u64) -> Result<UndrainReply, Error> {
        self.world.undrain(&self.config, 1, NOW + at_ms)
    }

    /// Whether somebody who logs on now is let in.
    fn lets_in(&mut self, at_ms: u64) -> bool {
        let before = self.world.refused.len();
        self.world.log_on(&self.config, 1, "zoe".into(), NOW + at_ms);
        self.world.refused.len() == before
    }
}

#[test]
fn a_notice_is_shown_to_those_who_are_there_and_kept_in_the_books() {
    let mut it = two_people([]);
    it.config.state_file = Some("x".into());
    let keys = it.keys(0);
    let stranger = SessionKey { began_us: 1, ..keys[0].clone() };
    assert_eq!(it.notify(&[keys[1].clone(), stranger], 5), [NoticeReply::Shown, NoticeReply::Gone]);
    assert_eq!(it.world.notices.len(), 1);
    assert_eq!((&it.world.notices[0].key, it.world.notices[0].at_ms), (&keys[1], NOW + 5));
}

#[test]
fn a_session_without_a_terminal_is_shown_nothing_and_says_so() {
    let mut it = two_people([FaultKind::NoTerminal]);
    let keys = it.keys(0);
    assert!(it.notify(&keys, 0).iter().all(|reply| matches!(reply, NoticeReply::NotShown(_))));
}

#[test]
fn people_leave_some_time_after_their_first_notice_and_not_without_one() {
    let mut it = two_people([FaultKind::LeavesAfterNoticeMs(100)]);
    let keys = it.keys(0);
    assert_eq!(it.notify(&keys[..1], 50), [NoticeReply::Shown]);
    assert_eq!(it.notify(&keys[..1], 100), [NoticeReply::Shown]);
    assert_eq!(it.keys(149), keys);
    assert_eq!(it.keys(150), keys[1..]);
    assert_eq!(it.end_only_if(&keys[0], OnlyIf::default(), 151), EndReply::Gone);
}

#[test]
fn what_must_hold_is_looked_at_when_the_request_comes() {
    let mut it =
        two_people([FaultKind::Disconnected, FaultKind::IdleForMs(60_000), FaultKind::ReturnsAfterMs(1_000)]);
    let listed = it.list(0).sessions;
    assert!(
        listed.iter().all(|s| s.state == SessionState::Disconnected && s.idle_ms == Some(60_000)),
        "{listed:?}"
    );
    let idle = OnlyIf { idle_at_least_ms: Some(60_500), ..OnlyIf::default() };
    let away = OnlyIf { state: Some(StateFilter::Disconnected), ..OnlyIf::default() };
    let (one, other) = (&listed[0].key, &listed[1].key);
    assert_eq!(it.end_only_if(one, idle, 499), EndReply::NoLongerMatches);
    assert_eq!(it.end_only_if(one, idle, 500), EndReply::Ended);
    assert_eq!(it.end_only_if(other, away, 1_000), EndReply::NoLongerMatches);
    assert_eq!(it.list(1_500).sessions[0].idle_ms, Some(500));
    assert_eq!(it.end_only_if(other, OnlyIf::default(), 1_500), EndReply::Ended);
}

#[test]
fn users_are_those_of_the_configuration() {
    let mut it = two_people([]);
    it.config.users = vec!["CORP\\alice".into()];
    assert!(it.list(0).sessions.iter().all(|session| session.user == "CORP\\alice"));
}

#[test]
fn processes_are_named_where_they_are_asked_for() {
    let mut it = two_people([]);
    assert_eq!(it.list(0).processes.len(), 2);
    let plain = it.world.list(&it.config, 1, Look::default(), NOW).expect("a list");
    assert!(plain.processes.is_empty());
    assert_eq!(plain.clock, WallTime(i64::try_from(NOW).expect("small")));
}

#[test]
fn a_drained_guest_lets_nobody_in_until_its_own_timer_ends_it() {
    let mut it = two_people([]);
    assert_eq!(it.drain(100, 0), Ok(DrainReply::InForce));
    assert!(!it.lets_in(99));
    assert!(it.lets_in(100));
    assert_eq!(it.drain(100, 200), Ok(DrainReply::InForce));
    assert_eq!(it.drain(10, 210), Ok(DrainReply::InForce));
    assert!(!it.lets_in(219) && it.lets_in(220));
}

#[test]
fn a_drain_that_is_lifted_lets_people_in_and_nothing_to_lift_is_lifted() {
    let mut it = two_people([]);
    assert_eq!(it.undrain(0), Ok(UndrainReply::Lifted));
    assert_eq!(it.drain(1_000, 1), Ok(DrainReply::InForce));
    assert_eq!(it.undrain(2), Ok(UndrainReply::Lifted));
    assert!(it.lets_in(3));
}

#[test]
fn without_a_timer_a_drain_stays_until_it_is_lifted() {
    let mut it = two_people([FaultKind::NoTimer]);
    assert_eq!(it.drain(10, 0), Ok(DrainReply::InForce));
    assert!(!it.lets_in(1_000_000));
    assert_eq!(it.undrain(1_000_001), Ok(UndrainReply::Lifted));
    assert!(it.lets_in(1_000_002));
}

#[test]
fn what_somebody_else_set_is_left_as_it_is() {
    let mut it = two_people([FaultKind::DrainedByOther]);
    assert_eq!(it.drain(100, 0), Ok(DrainReply::SomebodyElses));
    assert_eq!(it.undrain(1), Ok(UndrainReply::SomebodyElses));
    assert!(!it.lets_in(2));
}

#[test]
fn a_guest_that_cannot_refuse_logons_says_so_to_a_drain_only() {
    let mut it = two_people([FaultKind::Undrainable]);
    assert_eq!(it.drain(100, 0).expect_err("undrainable").code, StatusCode::AdditionsFeatureNotAvail);
    assert_eq!(it.keys(1).len(), 2);
}

#[test]
fn a_guest_that_reboots_by_itself_forgets_its_people_and_its_drain() {
    let mut it = two_people([FaultKind::RebootsAfterMs(50)]);
    let before = it.list(0);
    assert_eq!(it.drain(1_000, 0), Ok(DrainReply::InForce));
    assert!(!it.lets_in(49));
    assert!(it.lets_in(50));
    let after = it.list(51);
    assert_eq!(after.sessions.len(), 1);
    assert_ne!(after.boot, before.boot);
}

#[test]
fn somebody_arrives_at_his_time_unless_logons_are_refused_then() {
    let arriving = [FaultKind::ArrivesAfterMs(50)];
    let mut open = two_people(arriving);
    assert_eq!((open.keys(49).len(), open.keys(60).len()), (2, 3));
    assert_eq!(open.list(61).sessions[2].key.began_us, (NOW + 50) * 1000);
    let mut drained = two_people(arriving);
    assert_eq!(drained.drain(20, 31), Ok(DrainReply::InForce));
    assert_eq!(drained.keys(100).len(), 2);
    let mut over = two_people(arriving);
    assert_eq!(over.drain(20, 30), Ok(DrainReply::InForce));
    assert_eq!(over.keys(100).len(), 3);
}

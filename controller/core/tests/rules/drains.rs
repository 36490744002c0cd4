//! Drains: what agents tell of them, who is asked by hand, and what counts as an answer.

use crate::bench::{Bench, guest, hello, host, id, ledger};
use curfew_controller_core::drains::DrainAsked;
use curfew_controller_core::{FleetError, Frame};
use curfew_types::agent::{Hello, Report};
use curfew_types::logoff::CAPABILITY_DRAIN;
use curfew_types::{Drain, DrainAsk, DrainOwner, DrainState, DrainWish, OperationId, PowerState, WallTime};

fn able() -> Hello {
    Hello { capabilities: vec![CAPABILITY_DRAIN.into()], ..hello() }
}

/// Hosts whose agents know drains, each with guests. Their sessions count from 1.
fn fleet(hosts: &[(&str, &[&str])]) -> Bench {
    let mut bench = Bench::new();
    for (name, guests) in hosts {
        bench.attach_with(name, &able()).expect("attaches");
        bench.inventory(name, guests.iter().map(|name| guest(name)).collect());
    }
    bench
}

fn drain(guest: &str, owner: DrainOwner, until: i64, state: DrainState) -> Drain {
    let (by, reason, problem) = ("alice".into(), String::new(), String::new());
    Drain { guest: id(guest), owner, until: WallTime(until), by, reason, state, problem }
}

fn by_hand(guest: &str, until: i64, state: DrainState) -> Drain {
    drain(guest, DrainOwner::Hand, until, state)
}

fn operation(number: u64) -> DrainOwner {
    DrainOwner::Operation(OperationId::new(WallTime(1), number))
}

fn tell(bench: &mut Bench, name: &str, session: u64, drains: Vec<Drain>) {
    let report = Report { drains: Some(drains), ledger: ledger(7, 10), ..Report::default() };
    bench.report(name, session, report);
}

fn ask(bench: &mut Bench, guest: &str) -> Result<DrainAsked, FleetError> {
    bench.ask(|core, _| core.ask_drain(guest, 60_000, "alice", "patching"))
}

fn lift(bench: &mut Bench, guest: &str, owner: Option<DrainOwner>) -> Result<DrainAsked, FleetError> {
    bench.ask(|core, _| core.ask_undrain(guest, owner))
}

/// Who was asked for what in the last turn; each such frame must be urgent.
fn asks(bench: &Bench) -> Vec<(String, DrainAsk)> {
    let frames = bench.frames().into_iter();
    frames
        .filter_map(|(host, frame, urgent)| match frame {
            Frame::Drain(ask) if urgent => Some((host.to_string(), ask)),
            _ => None,
        })
        .collect()
}

fn listed(bench: &Bench) -> Vec<(String, String, String)> {
    let drains = bench.core.drains(None, usize::MAX).into_iter();
    drains.map(|view| (view.host.to_string(), view.name, view.drain.owner.to_string())).collect()
}

fn until(bench: &Bench, guest: &str) -> Option<WallTime> {
    bench.core.guest(guest).expect("known").drained_until
}

#[test]
fn a_wish_goes_at_once_to_the_guests_host_only_and_leaves_no_record() {
    let mut bench = fleet(&[("h1", &["a"]), ("h2", &["b"])]);
    ask(&mut bench, "b").expect("asks");
    let what = DrainWish::Set { for_ms: 60_000, by: "alice".into(), reason: "patching".into() };
    assert_eq!(asks(&bench), [("h2".to_owned(), DrainAsk { guest: id("b"), what })]);
    assert!(bench.records().is_empty(), "the agent writes it down");
}

#[test]
fn a_hello_tells_the_drains_unless_the_inventory_has_to_be_sent_first() {
    let drains = vec![by_hand("a", 5, DrainState::InForce)];
    let mut bench = fleet(&[("h1", &["a"])]);
    let known = Hello { drains: drains.clone(), ..able() };
    bench.detach("h1", 1);
    assert!(!bench.attach_with("h1", &known).expect("attaches").send_inventory);
    assert_eq!(until(&bench, "a"), Some(WallTime(5)));
    bench.detach("h1", 2);
    let none = Hello { drains: Vec::new(), ..known.clone() };
    bench.attach_with("h1", &none).expect("attaches");
    assert_eq!(until(&bench, "a"), None, "none means that there are none");
    bench.detach("h1", 3);
    let changed = Hello { inventory_digest: 9, ..known };
    assert!(bench.attach_with("h1", &changed).expect("attaches").send_inventory);
    assert_eq!(until(&bench, "a"), None, "whose its guests are shows in the inventory");
    tell(&mut bench, "h1", 4, drains);
    assert_eq!(until(&bench, "a"), Some(WallTime(5)));
}

#[test]
fn a_drain_is_answered_once_the_agent_tells_that_the_guest_refuses_logons() {
    let mut bench = fleet(&[("h1", &["a"])]);
    let asked = ask(&mut bench, "a").expect("asks");
    assert!(!bench.core.is_drain_answered(&asked));
    tell(&mut bench, "h1", 1, vec![by_hand("a", 100, DrainState::Pending)]);
    assert!(!bench.core.is_drain_answered(&asked));
    tell(&mut bench, "h1", 1, vec![by_hand("a", 100, DrainState::InForce)]);
    assert!(bench.core.is_drain_answered(&asked));
    assert_eq!(bench.core.drain_by_hand(&asked).expect("told").drain.until, WallTime(100));
    // A second one replaces it: the first one's word is no answer.
    let again = ask(&mut bench, "a").expect("asks");
    assert!(!bench.core.is_drain_answered(&again));
    tell(&mut bench, "h1", 1, vec![by_hand("a", 200, DrainState::SomebodyElses)]);
    assert!(bench.core.is_drain_answered(&again), "it refuses logons, whoever made it do so");
}

#[test]
fn a_lift_is_answered_once_what_was_to_be_lifted_is_not_told_any_more() {
    let mut bench = fleet(&[("h1", &["a", "b"])]);
    let others = by_hand("b", 100, DrainState::InForce);
    let of_operation = drain("a", operation(7), 300, DrainState::InForce);
    let set = vec![by_hand("a", 100, DrainState::InForce), of_operation.clone(), others.clone()];
    tell(&mut bench, "h1", 1, set);
    let asked = lift(&mut bench, "a", Some(DrainOwner::Hand)).expect("asks");
    assert_eq!(asks(&bench)[0].1.what, DrainWish::Lift(DrainOwner::Hand));
    tell(&mut bench, "h1", 1, vec![by_hand("a", 100, DrainState::Lifting), of_operation.clone()]);
    assert!(!bench.core.is_drain_answered(&asked));
    assert_eq!(until(&bench, "a"), Some(WallTime(300)));
    tell(&mut bench, "h1", 1, vec![of_operation, others.clone()]);
    assert!(bench.core.is_drain_answered(&asked));

    let all = lift(&mut bench, "a", None).expect("asks");
    assert_eq!(asks(&bench)[0].1.what, DrainWish::LiftAll);
    assert!(!bench.core.is_drain_answered(&all));
    tell(&mut bench, "h1", 1, vec![others]);
    assert!(bench.core.is_drain_answered(&all));
    assert_eq!(bench.core.drains_of(&id("a")), []);
}

#[test]
fn what_an_agent_has_not_told_is_no_answer() {
    let mut bench = fleet(&[("h1", &["a"])]);
    let asked = lift(&mut bench, "a", None).expect("asks");
    assert!(!bench.core.is_drain_answered(&asked), "nothing is known of the host's drains yet");
    tell(&mut bench, "h1", 1, Vec::new());
    assert!(bench.core.is_drain_answered(&asked));
}

#[test]
fn a_guest_shows_the_last_end_of_the_drains_that_are_not_being_lifted() {
    let mut bench = fleet(&[("h1", &["a", "b"])]);
    let set = vec![
        by_hand("a", 100, DrainState::InForce),
        drain("a", operation(1), 200, DrainState::Pending),
        drain("a", operation(2), 300, DrainState::Lifting),
        by_hand("b", 400, DrainState::Lifting),
    ];
    tell(&mut bench, "h1", 1, set);
    assert_eq!((until(&bench, "a"), until(&bench, "b")), (Some(WallTime(200)), None));
    tell(&mut bench, "h1", 1, Vec::new());
    assert_eq!(until(&bench, "a"), None);
}

#[test]
fn a_report_without_drains_changes_none_and_each_set_replaces_the_one_before() {
    let mut bench = fleet(&[("h1", &["a", "b"])]);
    tell(&mut bench, "h1", 1, vec![by_hand("a", 100, DrainState::InForce)]);
    bench.report("h1", 1, Report { ledger: ledger(7, 10), ..Report::default() });
    assert_eq!(listed(&bench).len(), 1);
    tell(&mut bench, "h1", 1, vec![by_hand("b", 100, DrainState::InForce)]);
    assert_eq!(listed(&bench), [("h1".into(), "b".into(), "by hand".into())]);
}

#[test]
fn drains_are_listed_by_host_guest_and_owner_and_go_on_after_any_of_them() {
    let mut bench = fleet(&[("h1", &["a", "b"]), ("h2", &["c"])]);
    tell(&mut bench, "h2", 2, vec![by_hand("c", 1, DrainState::InForce)]);
    let set = vec![
        by_hand("b", 1, DrainState::InForce),
        drain("a", operation(2), 1, DrainState::InForce),
        by_hand("a", 1, DrainState::InForce),
        drain("a", operation(1), 1, DrainState::InForce),
    ];
    tell(&mut bench, "h1", 1, set);
    let all = bench.core.drains(None, usize::MAX);
    let guests: Vec<&str> = all.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(guests, ["a", "a", "a", "b", "c"]);
    let owners: Vec<DrainOwner> = all.iter().take(3).map(|view| view.drain.owner).collect();
    assert_eq!(owners, [DrainOwner::Hand, operation(1), operation(2)]);
    for place in 0..all.len() {
        let last = &all[place];
        let after = (&last.host, &last.drain.guest, last.drain.owner);
        assert_eq!(
            bench.core.drains(Some(after), 2),
            all[place + 1..].iter().take(2).cloned().collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_drain_of_another_hosts_guest_is_ignored_and_said() {
    let mut bench = fleet(&[("h1", &["a"]), ("h2", &["b"])]);
    let set = vec![
        by_hand("b", 100, DrainState::InForce),
        by_hand("h2/logind/self", 100, DrainState::InForce),
        by_hand("a", 100, DrainState::InForce),
        // Its inventory has forgotten this one, and it is nobody else's.
        by_hand("gone", 100, DrainState::InForce),
    ];
    tell(&mut bench, "h1", 1, set);
    let names: Vec<String> = listed(&bench).into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["a", ""]);
    assert_eq!(until(&bench, "b"), None);
    let said = bench.notes();
    assert!(
        said.iter().any(|text| text.contains("told 2 drains of guests that are not its own")),
        "{said:?}"
    );
}

#[test]
fn what_was_told_stays_while_a_host_is_away_and_goes_with_the_host() {
    let mut bench = fleet(&[("h1", &["a"])]);
    tell(&mut bench, "h1", 1, vec![by_hand("a", 100, DrainState::InForce)]);
    bench.detach("h1", 1);
    assert_eq!((listed(&bench).len(), bench.core.unconnected_hosts()), (1, 1));
    bench.ask(|core, now| core.remove_host(now, &host("h1"), false)).expect("removes");
    assert_eq!((listed(&bench).len(), bench.core.unconnected_hosts()), (0, 0));
}

#[test]
fn a_host_that_is_away_cannot_be_asked_and_an_old_agent_neither() {
    let mut bench = fleet(&[("h1", &["a"])]);
    bench.detach("h1", 1);
    let away = FleetError::HostAway { host: host("h1") };
    assert_eq!(ask(&mut bench, "a"), Err(away.clone()));
    assert_eq!(lift(&mut bench, "a", None), Err(away));
    bench.attach("h1");
    let old = FleetError::AgentLacks { host: host("h1"), option: "drain" };
    assert_eq!(ask(&mut bench, "a"), Err(old.clone()));
    assert_eq!(lift(&mut bench, "a", None), Err(old));
    assert_eq!(asks(&bench), []);
    assert_eq!(ask(&mut bench, "b"), Err(FleetError::UnknownGuest("b".into())));
}

#[test]
fn a_held_guest_is_not_drained_but_its_drains_can_be_lifted() {
    let mut bench = fleet(&[("h1", &["a"])]);
    bench.ask(|core, now| core.hold_guest(now, "a", "eve", "month end", None)).expect("holds");
    let held = FleetError::Held { name: "a".into(), by: "eve".into(), reason: "month end".into() };
    assert_eq!(ask(&mut bench, "a"), Err(held));
    lift(&mut bench, "a", None).expect("asks");
    assert_eq!(asks(&bench).len(), 1);
}

#[test]
fn a_guest_that_two_hosts_run_is_not_drained_and_both_are_asked_to_lift() {
    let mut bench = fleet(&[("h1", &["a"]), ("h2", &["a"])]);
    let hosts = vec![host("h1"), host("h2")];
    assert_eq!(ask(&mut bench, "a"), Err(FleetError::Conflict { name: "a".into(), hosts: hosts.clone() }));
    let asked = lift(&mut bench, "a", None).expect("asks");
    assert_eq!(asked.hosts, hosts);
    tell(&mut bench, "h1", 1, Vec::new());
    assert!(!bench.core.is_drain_answered(&asked));
    tell(&mut bench, "h2", 2, Vec::new());
    assert!(bench.core.is_drain_answered(&asked));
}

#[test]
fn a_guest_that_moved_is_drained_where_it_runs_now_and_undrained_where_it_was_too() {
    let mut bench = fleet(&[("h1", &["a"]), ("h2", &[])]);
    tell(&mut bench, "h1", 1, vec![by_hand("a", 100, DrainState::InForce)]);
    bench.inventory_of("h1", 1, Vec::new());
    bench.inventory_of("h2", 2, vec![guest("a")]);
    assert_eq!(until(&bench, "a"), None, "its new host has told nothing of it");
    ask(&mut bench, "a").expect("asks");
    assert_eq!(asks(&bench)[0].0, "h2");
    let asked = lift(&mut bench, "a", None).expect("asks");
    assert_eq!(asked.hosts, [host("h1"), host("h2")]);
    // One that runs nowhere any more is known by its drains, and by its id only.
    bench.inventory_of("h2", 2, Vec::new());
    assert_eq!(lift(&mut bench, "a", None).expect("asks").hosts, [host("h1")]);
    let view = &bench.core.drains_of(&id("a"))[0];
    assert_eq!((view.host.clone(), view.name.as_str()), (host("h1"), ""));
}

#[test]
fn a_drain_that_is_over_is_not_shown_once_only_another_host_has_its_guest() {
    let mut bench = fleet(&[("h1", &[]), ("h2", &[])]);
    // Nobody has it for a moment, as after a restart with a store that is older: its old host is believed.
    tell(&mut bench, "h1", 1, vec![by_hand("a", 100, DrainState::Lifting)]);
    assert_eq!((listed(&bench).len(), bench.core.drains_of(&id("a")).len()), (1, 1));
    bench.inventory_of("h2", 2, vec![guest("a")]);
    assert_eq!((listed(&bench).len(), bench.core.drains_of(&id("a")).len()), (0, 0));
    // One that is in force is in the guest, wherever that is.
    tell(&mut bench, "h2", 2, vec![by_hand("a", 100, DrainState::InForce)]);
    bench.inventory_of("h2", 2, Vec::new());
    bench.inventory_of("h1", 1, vec![guest("a")]);
    let shown: Vec<_> = listed(&bench).into_iter().map(|(host, ..)| host).collect();
    assert_eq!(shown, ["h1", "h2"]);
}

#[test]
fn a_stopped_guest_can_be_drained_for_when_it_runs_again() {
    let mut bench = fleet(&[("h1", &[])]);
    bench.inventory("h1", vec![curfew_types::Guest { power: PowerState::Stopped, ..guest("a") }]);
    ask(&mut bench, "a").expect("asks");
    assert_eq!(asks(&bench).len(), 1);
}

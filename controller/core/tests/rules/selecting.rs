//! Which guests an operation has, and which of them it leaves out.

use crate::bench::{Bench, all, guest, hello, host, id, ids};
use curfew_controller_core::StartError;
use curfew_controller_core::record::{Recovered, RecoveredHost};
use curfew_types::agent::Hello;
use curfew_types::label::Labels;
use curfew_types::{
    Amount, DrainFor, Guest, Logoff, NotRunning, OperationSpec, Outcome, PowerState, Reason, Selection,
    Stage, StatusCode,
};

fn plan_of(bench: &Bench, selection: Selection) -> Vec<String> {
    let plan = bench.core.plan(&OperationSpec::plain(selection), None).expect("can be met");
    plan.guests().map(|planned| planned.target.id.to_string()).collect()
}

fn problem_of(bench: &Bench, selection: Selection) -> StartError {
    bench.core.plan(&OperationSpec::plain(selection), None).expect_err("cannot be met")
}

fn named(names: &[&str]) -> Selection {
    Selection {
        guests: names.iter().map(|name| name.parse().expect("a glob")).collect(),
        ..Selection::default()
    }
}

fn host_itself() -> Guest {
    Guest { is_host: true, ..guest("h1/logind/self") }
}

fn with_guests(guests: Vec<Guest>) -> Bench {
    let mut bench = Bench::with(&[("h1", &[])]);
    bench.inventory("h1", guests);
    bench
}

#[test]
fn all_leaves_out_the_host_itself_unless_it_is_included_by_word() {
    let bench = with_guests(vec![guest("vm-1"), host_itself()]);
    assert_eq!(plan_of(&bench, all()), ["vm-1"]);
    let included = Selection { include_host_guests: true, ..all() };
    assert_eq!(plan_of(&bench, included), ["h1/logind/self", "vm-1"]);
}

#[test]
fn a_wildcard_never_hits_the_host_itself_but_its_exact_name_does() {
    let bench = with_guests(vec![guest("vm-1"), host_itself()]);
    assert_eq!(plan_of(&bench, named(&["*"])), ["vm-1"]);
    assert_eq!(plan_of(&bench, named(&["h1/logind/self"])), ["h1/logind/self"]);
    assert_eq!(plan_of(&bench, ids(&["h1/logind/self"])), ["h1/logind/self"]);
}

#[test]
fn an_ambiguous_name_is_refused_and_its_ids_are_listed() {
    let bench = with_guests(vec![
        Guest { name: "desk".into(), ..guest("vm-1") },
        Guest { name: "desk".into(), ..guest("vm-2") },
    ]);
    let said = problem_of(&bench, named(&["desk"])).to_string();
    assert!(said.contains("vm-1") && said.contains("vm-2"), "{said}");
}

#[test]
fn what_does_not_exist_is_refused_by_name() {
    let bench = Bench::with(&[("h1", &["vm-1"])]);
    assert_eq!(
        problem_of(&bench, ids(&["vm-1", "vm-9"])),
        StartError::UnknownGuests(vec!["guest id \"vm-9\"".into()])
    );
    assert_eq!(
        problem_of(&bench, named(&["vm-9"])),
        StartError::UnknownGuests(vec!["guest \"vm-9\"".into()])
    );
    let hosts = Selection { hosts: vec!["h9".parse().expect("a glob")], ..Selection::default() };
    assert_eq!(problem_of(&bench, hosts), StartError::UnknownGuests(vec!["host \"h9\"".into()]));
}

#[test]
fn selecting_nothing_is_a_missing_field_and_selecting_in_vain_an_invalid_one() {
    let bench = Bench::with(&[("h1", &["vm-1"])]);
    assert!(matches!(problem_of(&bench, Selection::default()), StartError::Missing(_)));
    assert!(matches!(problem_of(&bench, named(&["x*"])), StartError::Invalid(_)));
    let both = Selection { all: true, ..ids(&["vm-1"]) };
    assert!(matches!(problem_of(&bench, both), StartError::Invalid(_)));
}

#[test]
fn an_excluded_guest_is_listed_as_skipped_and_never_ordered() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let selection = Selection { exclude: vec!["vm-2".parse().expect("a glob")], ..all() };
    let operation = bench.start(OperationSpec::plain(selection));
    assert_eq!(bench.ordered(), ["vm-1"]);
    let verdict = bench.verdict(operation, "vm-2").expect("has ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Skipped, Reason::Excluded));
    assert!(verdict.ended_well());
}

#[test]
fn a_paused_guest_is_refused_with_its_own_code() {
    let mut bench = with_guests(vec![guest("vm-1"), Guest { power: PowerState::Paused, ..guest("vm-2") }]);
    let operation = bench.start_all();
    let verdict = bench.verdict(operation, "vm-2").expect("has ended");
    assert_eq!((verdict.outcome, verdict.code), (Outcome::Refused, StatusCode::VmPaused));
}

#[test]
fn a_stopped_guest_is_skipped_or_refused_as_asked() {
    for (not_running, outcome, code) in [
        (NotRunning::Skip, Outcome::Skipped, StatusCode::Ok),
        (NotRunning::Refuse, Outcome::Refused, StatusCode::VmNotRunning),
    ] {
        let mut bench = with_guests(vec![Guest { power: PowerState::Stopped, ..guest("vm-1") }]);
        let operation = bench.start(OperationSpec { not_running, ..OperationSpec::plain(all()) });
        let verdict = bench.verdict(operation, "vm-1").expect("has ended");
        assert_eq!((verdict.outcome, verdict.code), (outcome, code));
        assert!(bench.operation(operation).ended.is_some(), "nothing is left to do");
    }
}

#[test]
fn a_guest_that_two_hosts_claim_as_running_is_refused_once_as_a_conflict() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"]), ("h2", &["vm-2"])]);
    let operation = bench.start_all();
    assert_eq!(bench.tasks(operation).len(), 2);
    let verdict = bench.verdict(operation, "vm-2").expect("has ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Refused, Reason::Conflict));
}

#[test]
fn a_guest_belongs_to_the_host_that_runs_it() {
    let mut bench = Bench::with(&[("h1", &[]), ("h2", &["vm-1"])]);
    bench.inventory("h1", vec![Guest { power: PowerState::Stopped, ..guest("vm-1") }]);
    let operation = bench.start_all();
    assert_eq!(bench.tasks(operation)[0].host.as_str(), "h2");
}

#[test]
fn a_guests_own_label_outranks_its_hosts() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"])]);
    let label = |value: &str| Labels::from([("env".to_owned(), value.to_owned())]);
    bench.core.label_host(&crate::bench::host("h1"), &label("lab"), &[]).expect("labels");
    bench.core.label_guest("vm-2", &label("production"), &[]).expect("labels");
    let selection =
        Selection { labels: Some("env=lab".parse().expect("a selector")), ..Selection::default() };
    assert_eq!(plan_of(&bench, selection), ["vm-1"]);
}

#[test]
fn what_an_agent_calls_its_labels_is_kept_only_under_its_prefix() {
    let labels = Labels::from([("env".into(), "lab".into()), ("agent/env".into(), "lab".into())]);
    let bench = with_guests(vec![Guest { labels, ..guest("vm-1") }]);
    let seen = bench.core.guest("vm-1").expect("is known").labels;
    assert!(seen.contains_key("agent/env") && !seen.contains_key("env"), "{seen:?}");
}

#[test]
fn planning_twice_gives_the_same_plan_and_digest() {
    let bench = Bench::with(&[("h1", &["vm-1", "vm-2"]), ("h2", &["vm-3"])]);
    let spec = OperationSpec::plain(all());
    assert_eq!(bench.core.plan(&spec, None), bench.core.plan(&spec, None));
}

#[test]
fn the_set_of_guests_is_fixed_when_the_operation_starts() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    bench.inventory("h1", vec![guest("vm-1"), guest("vm-2")]);
    assert_eq!(bench.tasks(operation).len(), 1);
}

#[test]
fn a_plan_says_whose_agent_is_too_old_for_the_request_and_of_whom_that_is_not_known() {
    let mut bench = Bench::new();
    let knows = |names: &[&str]| Hello {
        capabilities: names.iter().map(|name| (*name).to_owned()).collect(),
        ..hello()
    };
    for (host, hello) in [("h1", knows(&["notice", "drain"])), ("h2", knows(&["notice"]))] {
        bench.attach_with(host, &hello).expect("attaches");
        bench.inventory_of(host, bench.last_session(), vec![guest(&format!("{host}-vm"))]);
    }
    let logoff = Logoff { drain: Some(DrainFor::TheTask), ..Logoff::default() };
    let spec = OperationSpec { logoff, ..OperationSpec::plain(all()) };
    let notes = |bench: &Bench, spec: &OperationSpec| -> Vec<String> {
        let plan = bench.core.plan(spec, None).expect("can be met");
        assert_eq!(plan.included(), 2, "what an agent refuses is its own to say");
        plan.guests().map(|planned| planned.note.to_owned()).collect::<Vec<_>>()
    };
    let old = "its agent does not know drain and will refuse; upgrade it";
    assert_eq!(notes(&bench, &spec), ["", old]);
    assert_eq!(notes(&bench, &OperationSpec::plain(all())), ["", ""]);
    bench.detach("h2", 2);
    assert_eq!(notes(&bench, &spec), ["", old], "it is still as old as it was");
    // What a protection asks of agents counts, too.
    let pattern = vec!["svc-*".parse().expect("a pattern")];
    bench.ask(|core, now| core.protect_users(now, pattern, "eve", "")).expect("protects");
    let both = "its agent does not know protected_users, drain and will refuse; upgrade it";
    assert_eq!(notes(&bench, &spec)[1], both);
    // A controller that has just started does not know yet.
    let seen = RecoveredHost {
        name: host("h1"),
        labels: Labels::new(),
        ledger: None,
        acknowledged: 0,
        seen: None,
        version: "0.9".into(),
        inventory_digest: 1,
        guests: vec![guest("h1-vm"), guest("h2-vm")],
    };
    let bench = Bench::recover(Recovered { hosts: vec![seen], ..Recovered::default() }, 0);
    assert_eq!(notes(&bench, &spec), ["its host is not connected"; 2]);
}

#[test]
fn the_same_request_id_and_body_answers_with_the_same_operation_and_another_body_is_refused() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let spec = OperationSpec { request_id: Some("r-1".into()), ..OperationSpec::plain(all()) };
    let first = bench.start(spec.clone());
    assert_eq!(bench.start(spec.clone()), first);
    assert!(bench.records().is_empty(), "nothing new is written");
    let other = OperationSpec { reason: "another".into(), ..spec };
    assert_eq!(bench.try_start(other), Err(StartError::RequestIdReused(first)));
}

#[test]
fn nothing_starts_while_the_store_is_away_or_the_controller_stops() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    bench.handle(curfew_controller_core::Event::StoreAway);
    assert_eq!(bench.try_start(OperationSpec::plain(all())), Err(StartError::StoreAway));
    bench.handle(curfew_controller_core::Event::StoreBack);
    bench.core.begin_stop();
    assert_eq!(bench.try_start(OperationSpec::plain(all())), Err(StartError::ShuttingDown));
}

#[test]
fn a_guest_that_moved_before_its_turn_is_refused() {
    let mut bench = Bench::with(&[("h1", &["vm-1", "vm-2"]), ("h2", &[])]);
    let spec = OperationSpec { max_in_flight: Some(Amount::Number(1)), ..OperationSpec::plain(all()) };
    let operation = bench.start(spec);
    bench.inventory("h2", vec![guest("vm-2")]);
    bench.inventory("h1", vec![guest("vm-1")]);
    bench.find(1, 1, crate::bench::task(operation, 0), crate::bench::succeeded());
    let verdict = bench.verdict(operation, "vm-2").expect("has ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Refused, Reason::Moved));
    assert_eq!(bench.task(crate::bench::task(operation, 1)).stage, Stage::Done);
    assert_eq!(bench.task(crate::bench::task(operation, 1)).guest, id("vm-2"));
}

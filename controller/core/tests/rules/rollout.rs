//! Waves and limits: who comes first, what lies between, and how many at a time.

use crate::bench::{Bench, all, host, ids, request, succeeded, task};
use curfew_controller_core::record::Record;
use curfew_controller_core::{StartError, SteerError};
use curfew_types::label::Labels;
use curfew_types::operation::EventKind;
use curfew_types::{Amount, BetweenWaves, OperationId, OperationSpec, Rollout, Spread};

fn rolled(rollout: Rollout) -> OperationSpec {
    OperationSpec { rollout, ..OperationSpec::plain(all()) }
}

fn in_waves(waves: &[Amount], between: BetweenWaves) -> OperationSpec {
    rolled(Rollout { waves: waves.to_vec(), between, seed: Some(1), ..Rollout::default() })
}

/// Indices of tasks that are ordered and have no outcome.
fn flying(bench: &Bench, operation: OperationId) -> Vec<u32> {
    let tasks = bench.tasks(operation).into_iter();
    let flies = |stage| stage > curfew_types::Stage::Queued && stage < curfew_types::Stage::Done;
    tasks.filter(|task| flies(task.stage)).map(|task| task.id.index).collect()
}

fn ten_guests() -> Bench {
    Bench::with(&[("h1", &["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"])])
}

#[test]
fn a_wave_begins_when_every_guest_of_the_one_before_has_its_outcome() {
    let mut bench = ten_guests();
    let operation = bench.start(in_waves(&[Amount::Number(1), Amount::Percent(30)], BetweenWaves::Nothing));
    let first = flying(&bench, operation);
    assert_eq!(first.len(), 1);
    bench.end_well(1, operation, &first);
    let second = flying(&bench, operation);
    assert_eq!(second.len(), 2, "30 % with the wave before");
    bench.end_well(1, operation, &second[..1]);
    assert_eq!(flying(&bench, operation).len(), 1, "one of the second wave is not done");
    bench.end_well(1, operation, &second[1..]);
    assert_eq!(flying(&bench, operation).len(), 7, "what is left is a last wave");
    let waves: Vec<(u64, u64, bool)> =
        bench.operation(operation).waves.iter().map(|wave| (wave.tasks, wave.ended, wave.begun)).collect();
    assert_eq!(waves, [(1, 1, true), (2, 2, true), (7, 0, true)]);
}

#[test]
fn the_same_seed_draws_the_same_guests_and_is_shown() {
    let draw = |seed| {
        let mut bench = ten_guests();
        let mut spec = in_waves(&[Amount::Number(3)], BetweenWaves::Nothing);
        spec.rollout.seed = seed;
        let operation = bench.start(spec);
        (flying(&bench, operation), bench.operation(operation).seed)
    };
    assert_eq!(draw(Some(5)), draw(Some(5)));
    assert_ne!(draw(Some(5)).0, draw(Some(6)).0);
    let (drawn, seed) = draw(None);
    assert_eq!(draw(Some(seed)).0, drawn, "the seed that was picked draws them again");
}

#[test]
fn a_plan_with_a_seed_shows_the_waves_that_the_start_draws() {
    let mut bench = ten_guests();
    let spec = in_waves(&[Amount::Number(3)], BetweenWaves::Nothing);
    let plan = bench.core.plan(&spec, None).expect("a plan");
    assert_eq!(plan.wave_sizes, [3, 7]);
    let planned: Vec<u32> = (0..)
        .zip(plan.guests())
        .filter(|(_, guest)| guest.target.wave == 0)
        .map(|(index, _)| index)
        .collect();
    let operation = bench.start(spec);
    assert_eq!(flying(&bench, operation), planned);
}

#[test]
fn a_pause_lies_between_two_waves() {
    let mut bench = ten_guests();
    let operation = bench.start(in_waves(&[Amount::Number(1)], BetweenWaves::Pause(60_000)));
    let first = flying(&bench, operation);
    bench.end_well(1, operation, &first);
    assert_eq!(bench.operation(operation).waiting_for, "the pause of 60 s before wave 2 of 2");
    bench.pass(59_000);
    assert!(flying(&bench, operation).is_empty());
    bench.pass(1_000);
    assert_eq!(flying(&bench, operation).len(), 9);
}

#[test]
fn a_promotion_begins_the_next_wave_once_and_only_when_the_last_is_complete() {
    let mut bench = ten_guests();
    let waves = [Amount::Number(1), Amount::Number(2)];
    let operation = bench.start(in_waves(&waves, BetweenWaves::Promotion));
    let promote = |bench: &mut Bench, wave| {
        bench
            .ask(|core, now| core.promote_operation(now, operation, "eve", wave))
            .map(|view| view.standing.wave)
    };
    let early = promote(&mut bench, 0).expect_err("not complete");
    assert!(early.to_string().contains("1 guests of wave 1 have no outcome"), "{early}");
    let first = flying(&bench, operation);
    bench.end_well(1, operation, &first);
    assert!(flying(&bench, operation).is_empty());
    assert!(bench.operation(operation).waiting_for.contains("curfew operation promote"));
    assert_eq!(promote(&mut bench, 2), Ok(1));
    assert_eq!(promote(&mut bench, 2), Ok(1), "asked again, it has begun");
    assert!(promote(&mut bench, 4).is_err(), "no wave can be jumped over");
    assert_eq!(flying(&bench, operation).len(), 1, "two guests with the one before");
}

#[test]
fn a_wave_that_began_is_written_down_before_its_orders_go_out() {
    let mut bench = ten_guests();
    let operation = bench.start(in_waves(&[Amount::Number(1)], BetweenWaves::Nothing));
    let first = flying(&bench, operation);
    bench.end_well(1, operation, &first);
    let begun = bench.records().into_iter().find_map(|record| match record {
        Record::Steered { event, standing, .. } => Some((event.what, event.why, standing.wave)),
        _ => None,
    });
    assert_eq!(begun, Some((EventKind::WaveBegun, "wave 2 of 2".to_owned(), 1)));
    assert_eq!(bench.orders().len(), 1, "in the same turn");
}

#[test]
fn a_share_of_a_window_rounds_up() {
    let mut bench = Bench::with(&[("h1", &["a", "b", "c"])]);
    let spec = OperationSpec { max_in_flight: Some(Amount::Percent(34)), ..OperationSpec::plain(all()) };
    let operation = bench.start(spec);
    assert_eq!(flying(&bench, operation).len(), 2);
}

#[test]
fn a_host_runs_no_more_than_its_limit_and_others_go_on() {
    let mut bench = Bench::with(&[("h1", &["a", "b", "c"]), ("h2", &["d"])]);
    let operation = bench.start(rolled(Rollout { max_per_host: Some(1), ..Rollout::default() }));
    assert_eq!(bench.ordered(), ["a", "d"]);
    assert_eq!(
        bench.task(task(operation, 1)).waiting_for,
        "its turn: at most 1 tasks run on a host at a time"
    );
    bench.find(1, 1, task(operation, 0), succeeded());
    assert_eq!(bench.ordered(), ["b"]);
}

#[test]
fn at_most_so_many_guests_of_a_rack_run_at_a_time() {
    let mut bench = Bench::with(&[("h1", &["a", "b"]), ("h2", &["c"]), ("h3", &["d"]), ("h4", &["e"])]);
    for (name, rack) in [("h1", "r1"), ("h2", "r1"), ("h3", "r2")] {
        let labels = Labels::from([("rack".to_owned(), rack.to_owned())]);
        bench.ask(|core, _| core.label_host(&host(name), &labels, &[])).expect("labels it");
    }
    let spread = vec![Spread { label: "rack".into(), max: 1 }];
    let operation = bench.start(rolled(Rollout { spread, ..Rollout::default() }));
    let mut ordered = bench.ordered();
    ordered.sort();
    assert_eq!(ordered, ["a", "d", "e"], "guests without a rack are a rack of their own");
    assert_eq!(
        bench.task(task(operation, 2)).waiting_for,
        "its turn: at most 1 tasks of rack=r1 run at a time"
    );
    bench.find(1, 1, task(operation, 0), succeeded());
    assert_eq!(bench.ordered().len(), 1, "one place of rack r1 is free");
}

#[test]
fn what_was_not_expected_is_not_started() {
    let mut bench = ten_guests();
    let spec = OperationSpec::plain(ids(&["a1", "a2"]));
    let digest = bench.core.plan(&spec, None).expect("a plan").digest;
    let mut asked = request(spec, 1);
    asked.expected_count = Some(3);
    let refused = bench.ask(|core, now| core.start(now, asked.clone()));
    assert_eq!(refused, Err(StartError::CountDiffers { expected: 3, found: 2 }));
    asked.expected_count = Some(2);
    asked.expected_digest = Some(digest + 1);
    let refused = bench.ask(|core, now| core.start(now, asked.clone()));
    assert_eq!(refused, Err(StartError::DigestDiffers { expected: digest + 1, found: digest }));
    assert!(bench.records().is_empty());
    asked.expected_digest = Some(digest);
    assert!(bench.ask(|core, now| core.start(now, asked)).is_ok());
}

#[test]
fn an_operation_without_waves_has_no_next_one() {
    let mut bench = ten_guests();
    let operation = bench.start_all();
    let refused = bench.ask(|core, now| core.promote_operation(now, operation, "eve", 0));
    assert!(matches!(refused, Err(SteerError::Refused(_))));
}

#[test]
fn a_retry_is_over_the_given_guests_only() {
    let mut bench = ten_guests();
    let mut asked = request(OperationSpec::plain(all()), 1);
    asked.only = Some(["a3".parse().expect("an id"), "gone".parse().expect("an id")].into());
    let operation = bench.ask(|core, now| core.start(now, asked)).expect("starts");
    assert_eq!(operation.tasks, 1);
    assert_eq!(bench.ordered(), ["a3"]);
}

//! How soon a provider is asked after an order came, with the ledger on a real disk in between.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod fake;

use curfew_types::Outcome;
use fake::{Asked, Controller, Guests, guest_id, operation};
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Orders that are timed.
const ORDERS: u64 = 200;
/// How much later than one sync of the same disk the call may come; the goal for both together is 5 ms.
const OVERHEAD_MAX: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_provider_call_comes_one_sync_of_the_disk_after_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = Controller::start().await;
    let (mut guests, _asked_rx) = Guests::new(&[("g1", 0)]);
    let asked_at: Arc<Mutex<Option<Instant>>> = Arc::default();
    let seen = Arc::clone(&asked_at);
    guests.probe = Box::new(move |asked| {
        if matches!(asked, Asked::List(_)) {
            *seen.lock().unwrap() = Some(Instant::now());
        }
    });
    let agent = controller.agent(dir.path(), Arc::new(guests));
    let mut stream = controller.accept().await;

    let mut floor_file = File::create(dir.path().join("floor")).unwrap();
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for number in 0..ORDERS {
        let ordered = Instant::now();
        stream.order(operation(100 + number), &[&guest_id("g1")]).await;
        let (sequence, finding) = stream.finding().await;
        assert_eq!(finding.verdict.outcome, Outcome::NothingToDo);
        stream.acknowledge(sequence).await;
        times.push(asked_at.lock().unwrap().take().unwrap() - ordered);
        let began = Instant::now();
        floor_file.write_all(&[b'x'; 300]).unwrap();
        floor_file.sync_data().unwrap();
        floor.push(began.elapsed());
    }
    agent.kill().await;

    times.sort();
    floor.sort();
    let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    let figures = |times: &[Duration]| format!("median {:?}, p99 {:?}", at(times, 50), at(times, 99));
    let said = format!("order to first call: {}; one sync: {}\n", figures(&times), figures(&floor));
    // For whoever looks: cargo nextest run --no-capture.
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    assert!(at(&times, 50) <= at(&floor, 50) + OVERHEAD_MAX, "{said}");
}

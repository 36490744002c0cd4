//! Labels and the removal of hosts.

use crate::bench::{Bench, guest, host, task};
use curfew_controller_core::record::Record;
use curfew_controller_core::{Action, FleetError};
use curfew_types::label::Labels;
use curfew_types::{Guest, Outcome, Reason};

fn set(key: &str, value: &str) -> Labels {
    Labels::from([(key.to_owned(), value.to_owned())])
}

#[test]
fn labels_that_agents_or_the_controller_own_cannot_be_set() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    for key in ["agent/os", "host", "guest"] {
        let answer = bench.core.label_host(&host("h1"), &set(key, "x"), &[]);
        assert!(matches!(answer, Err(FleetError::Label(_))), "{key}: {answer:?}");
    }
    assert!(bench.core.poll_action().is_none(), "nothing is written");
}

#[test]
fn a_guest_keeps_its_labels_when_it_leaves_every_inventory_and_returns() {
    let mut bench = Bench::with(&[("h1", &["vm-1"]), ("h2", &[])]);
    bench.core.label_guest("vm-1", &set("env", "lab"), &[]).expect("labels");
    bench.inventory("h1", Vec::new());
    assert!(bench.core.guest("vm-1").is_err());
    bench.inventory("h2", vec![guest("vm-1")]);
    assert_eq!(
        bench.core.guest("vm-1").expect("is known").labels.get("env").map(String::as_str),
        Some("lab")
    );
}

#[test]
fn an_ambiguous_guest_name_is_an_error_that_lists_the_ids() {
    let mut bench = Bench::with(&[("h1", &[])]);
    let named = |id: &str| Guest { name: "desk".into(), ..guest(id) };
    bench.inventory("h1", vec![named("vm-1"), named("vm-2")]);
    let answer = bench.core.guest("desk").map(|view| view.host);
    let ids = vec!["vm-1".to_owned(), "vm-2".to_owned()];
    assert_eq!(answer, Err(FleetError::Ambiguous { name: "desk".into(), ids }));
}

#[test]
fn a_host_in_use_is_removed_only_by_force_and_its_tasks_end() {
    let mut bench = Bench::with(&[("h1", &["vm-1"])]);
    let operation = bench.start_all();
    let refused = bench.core.remove_host(bench.now(), &host("h1"), false);
    assert!(matches!(refused, Err(FleetError::InUse { .. })));
    bench.core.remove_host(bench.now(), &host("h1"), true).expect("is removed");
    let actions: Vec<Action> = std::iter::from_fn(|| bench.core.poll_action()).collect();
    assert!(actions.iter().any(|action| matches!(action, Action::Disconnect { .. })));
    assert!(actions.contains(&Action::Record(Record::HostRemoved { host: host("h1") })));
    let verdict = bench.task(task(operation, 0)).verdict.expect("has ended");
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Unknown, Reason::HostRemoved));
    assert!(bench.core.host(&host("h1")).is_err());
}

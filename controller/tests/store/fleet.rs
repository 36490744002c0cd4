//! The claims about what is known of the fleet: hosts, inventories, labels, the epoch.

use crate::build::{BEGIN, guest, host};
use crate::conformance::{Place, append, refusal};
use curfew_controller_core::record::{ClockFrame, Record};
use curfew_types::agent::LedgerMark;
use curfew_types::{Guest, OsFamily, PowerState};

fn a_guest(host: u32, number: u32, power: PowerState) -> Guest {
    Guest {
        id: guest(host, number),
        name: format!("vm-{number}").into(),
        provider: "qga".into(),
        os: OsFamily::Linux,
        power,
        is_host: number == 0,
        labels: [("agent/kernel".to_owned(), "6.1".to_owned())].into(),
    }
}

pub(crate) async fn the_fleet_is_as_it_was_told_last(place: &impl Place) {
    let inventory = |host_number, replace, upserts, removed, digest| Record::Inventory {
        host: host(host_number),
        replace,
        upserts,
        removed,
        digest,
    };
    let running = |number| a_guest(1, number, PowerState::Running);
    let labels = |value: &str| [("env".to_owned(), value.to_owned())].into();
    let mark = |incarnation, counter| LedgerMark { incarnation, counter };
    let store = place.open().await;
    append(
        &store,
        &[
            Record::HostSeen { host: host(1), at: BEGIN, version: "0.1.0".into() },
            inventory(1, true, (0..5).map(running).collect(), vec![], 11),
            Record::LedgerSeen { host: host(1), ledger: mark(u64::MAX, 3), acknowledged: 0 },
            Record::HostLabelled { host: host(2), labels: labels("lab") },
            Record::GuestLabelled { guest: guest(1, 1), labels: labels("lab") },
            Record::GuestLabelled { guest: guest(9, 9), labels: labels("desk") },
        ],
    )
    .await;
    append(
        &store,
        &[
            inventory(1, false, vec![a_guest(1, 2, PowerState::Paused)], vec![guest(1, 4)], 12),
            inventory(1, false, vec![running(7)], vec![guest(1, 0)], 13),
            inventory(2, false, vec![running(8)], vec![], 14),
            Record::LedgerSeen { host: host(1), ledger: mark(u64::MAX, 4), acknowledged: 1 },
            Record::LedgerSeen { host: host(1), ledger: mark(u64::MAX, 5), acknowledged: 2 },
            Record::GuestLabelled { guest: guest(9, 9), labels: Default::default() },
        ],
    )
    .await;
    drop(store);

    let recovered = place.open().await.load().await.expect("a load");
    let [one, two] = recovered.hosts.as_slice() else { panic!("two hosts: {:?}", recovered.hosts) };
    let mut expected = vec![running(1), a_guest(1, 2, PowerState::Paused), running(3), running(7)];
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let mut found = one.guests.clone();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(found, expected);
    assert_eq!((one.inventory_digest, one.seen, one.version.as_str()), (13, Some(BEGIN), "0.1.0"));
    assert_eq!((one.ledger, one.acknowledged), (Some(mark(u64::MAX, 5)), 2));
    assert_eq!((&two.labels, two.ledger, two.guests.len()), (&labels("lab"), None, 1));
    assert_eq!(recovered.guest_labels, [(guest(1, 1), labels("lab"))]);
}

pub(crate) async fn a_removed_host_is_forgotten_with_its_ledger(place: &impl Place) {
    let store = place.open().await;
    let seen = |number| Record::HostSeen { host: host(number), at: BEGIN, version: "0.1.0".into() };
    let ledger = Record::LedgerSeen { host: host(1), ledger: LedgerMark::default(), acknowledged: 17 };
    let inventory = Record::Inventory {
        host: host(1),
        replace: true,
        upserts: vec![a_guest(1, 1, PowerState::Running)],
        removed: vec![],
        digest: 3,
    };
    append(&store, &[seen(1), ledger, inventory, seen(2)]).await;
    append(&store, &[Record::HostRemoved { host: host(1) }, Record::HostRemoved { host: host(2) }, seen(2)])
        .await;
    append(&store, &[seen(1)]).await;
    let hosts = store.load().await.expect("a load").hosts;
    assert_eq!(hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>(), [host(1), host(2)]);
    assert_eq!((hosts[0].acknowledged, hosts[0].ledger, hosts[0].guests.len()), (0, None, 0));
}

pub(crate) async fn the_epoch_never_goes_back(place: &impl Place) {
    let store = place.open().await;
    append(&store, &[Record::EpochRaised { epoch: 5 }]).await;
    assert!(refusal(&store, &[Record::EpochRaised { epoch: 4 }]).await.contains("cannot go back"));
    append(&store, &[Record::EpochRaised { epoch: 6 }]).await;
    drop(store);
    assert_eq!(place.open().await.load().await.expect("a load").epoch, 6);
}

pub(crate) async fn the_clocks_frame_that_was_set_last_is_kept(place: &impl Place) {
    let store = place.open().await;
    assert_eq!(store.load().await.expect("a load").clock, None);
    let clock = |boot, wall_of_zero| ClockFrame { boot, wall_of_zero };
    append(&store, &[Record::ClockSet { clock: clock(1, 5) }]).await;
    append(&store, &[Record::ClockSet { clock: clock(u64::MAX, -7) }]).await;
    drop(store);
    assert_eq!(place.open().await.load().await.expect("a load").clock, Some(clock(u64::MAX, -7)));
}

//! The book of guests: what a discovery changes, and whom a guest belongs to.

use super::*;
use curfew_types::OsFamily;

fn guest(id: &str) -> Guest {
    Guest {
        id: id.parse().unwrap(),
        name: id.into(),
        provider: "fake".into(),
        os: OsFamily::Linux,
        power: PowerState::Running,
        is_host: false,
        labels: BTreeMap::default(),
    }
}

fn ids<'a>(guests: impl IntoIterator<Item = &'a Guest>) -> Vec<String> {
    guests.into_iter().map(|guest| guest.id.to_string()).collect()
}

#[test]
fn only_what_changed_is_told() {
    let mut book = Book::new(["one"]);
    let first = book.apply(vec![Ok(vec![guest("a"), guest("b")])]);
    assert_eq!(ids(&first.upserts), ["a", "b"]);
    let digest = book.digest();

    assert_eq!(book.apply(vec![Ok(vec![guest("b"), guest("a")])]), Change::default());
    assert_eq!(book.digest(), digest);

    let paused = Guest { power: PowerState::Paused, ..guest("b") };
    let second = book.apply(vec![Ok(vec![paused.clone(), guest("c")])]);
    assert_eq!(ids(&second.upserts), ["b", "c"]);
    assert_eq!(second.removed, ["a".parse().unwrap()]);
    assert_ne!(book.digest(), digest);
    assert_eq!(ids(book.guests()), ["b", "c"]);
}

#[test]
fn the_digest_tells_inventories_apart_field_by_field() {
    let labelled = |key: &str, value: &str| Guest {
        labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        ..guest("a")
    };
    let variants = [
        vec![],
        vec![guest("a")],
        vec![guest("a"), guest("b")],
        vec![Guest { name: "x".into(), ..guest("a") }],
        vec![Guest { provider: "x".into(), ..guest("a") }],
        vec![Guest { os: OsFamily::Windows, ..guest("a") }],
        vec![Guest { power: PowerState::Stopped, ..guest("a") }],
        vec![Guest { is_host: true, ..guest("a") }],
        vec![labelled("agent/k", "v")],
        vec![labelled("agent/kv", "")],
    ];
    let digests: Vec<u64> = variants
        .into_iter()
        .map(|guests| {
            let mut book = Book::new(["one"]);
            book.apply(vec![Ok(guests)]);
            book.digest()
        })
        .collect();
    for (at, digest) in digests.iter().enumerate() {
        assert_eq!(digests.iter().position(|other| other == digest), Some(at), "{digests:?}");
    }
}

#[test]
fn a_failing_provider_keeps_its_guests_with_their_power_unknown_and_says_so_once() {
    let mut book = Book::new(["one", "two"]);
    book.apply(vec![Ok(vec![guest("a")]), Ok(vec![guest("b")])]);

    let failed = book.apply(vec![Err("it hangs".into()), Ok(vec![guest("b")])]);
    assert_eq!(failed.upserts, [Guest { power: PowerState::Unknown, ..guest("a") }]);
    assert_eq!((failed.removed.len(), failed.notes.len()), (0, 1));
    let again = book.apply(vec![Err("it hangs".into()), Ok(vec![guest("b")])]);
    assert_eq!(again, Change::default());

    let back = book.apply(vec![Ok(vec![guest("a")]), Ok(vec![guest("b")])]);
    assert_eq!((back.upserts, back.notes.len()), (vec![guest("a")], 1));
}

#[test]
fn of_two_providers_with_one_guest_the_first_has_it_and_that_is_said_once() {
    let mut book = Book::new(["one", "two"]);
    let both = || vec![Ok(vec![guest("a")]), Ok(vec![guest("a")])];
    assert_eq!(book.apply(both()).notes.len(), 1);
    assert_eq!(book.apply(both()), Change::default());
    assert_eq!(book.route(&"a".parse().unwrap()), Route::Provider(0));
}

#[test]
fn nobody_is_unknown_before_every_provider_has_spoken() {
    let mut book = Book::new(["one", "two"]);
    let stranger = "x".parse().unwrap();
    assert_eq!(book.route(&stranger), Route::NotYetKnown);
    book.apply(vec![Ok(vec![guest("a")]), Err("it hangs".into())]);
    assert_eq!(book.route(&stranger), Route::NotYetKnown);
    book.apply(vec![Ok(vec![guest("a")]), Ok(Vec::new())]);
    assert_eq!(book.route(&stranger), Route::Unknown);
}

#[test]
fn a_guest_that_one_discovery_misses_is_still_reached() {
    let mut book = Book::new(["one"]);
    let id = "a".parse().unwrap();
    book.apply(vec![Ok(vec![guest("a")])]);
    for _ in 1..MISSED_MAX {
        book.apply(vec![Ok(Vec::new())]);
        assert_eq!(book.route(&id), Route::Provider(0));
        assert_eq!(book.guests().count(), 0);
    }
    book.apply(vec![Ok(Vec::new())]);
    assert_eq!(book.route(&id), Route::Unknown);
}

#[test]
fn what_the_controller_would_not_take_is_not_told() {
    let mut odd = guest("a");
    odd.name = "ä".repeat(200).into();
    odd.labels = [("env", "lab"), ("agent/rack", "r1"), ("agent/bad", "not a value")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let mut book = Book::new(["one"]);

    let change = book.apply(vec![Ok(vec![odd])]);

    let told = &change.upserts[0];
    assert!(told.name.len() <= GUEST_NAME_MAX);
    assert_eq!(told.labels.keys().collect::<Vec<_>>(), ["agent/rack"]);
}

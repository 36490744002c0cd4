//! The few calls to systemd that the agent makes: where a unit is, and a timer that runs one command once.

use super::bus::{Failure, Object};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tokio::time::sleep;
use zbus::{Connection, OwnedObjectPath, Variant};

/// The bus name of systemd.
pub(super) const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER: Object<'static> = Object {
    service: SERVICE,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

/// How long a unit that was told to stop may take to be forgotten, and how often that is looked at. A timer's takes a
/// few milliseconds, and its short command a few more.
const FORGETTING: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Two moments that differ by no more are one: a timer may be late by as much.
const ABOUT: Duration = Duration::from_secs(1);

/// A property of a unit that is to be made.
type Property<'a> = (&'a str, Variant<'a>);

/// A unit's object.
pub(super) fn unit_path(name: &str) -> String {
    format!("/org/freedesktop/systemd1/unit/{}", super::escaped(name))
}

/// Runs `argv` once, `after` from now, by a timer of this name; a timer of this name for another moment is replaced, one
/// for the same is left. Neither timer nor service are there any more afterwards.
///
/// # Errors
/// [`Failure::Nobody`] where there is no systemd.
pub(super) async fn run_once_after(
    bus: &Connection,
    name: &str,
    argv: &[&str; 3],
    after: Duration,
) -> Result<(), Failure> {
    if is_set(bus, name, after).await {
        return Ok(());
    }
    let mut waited = Duration::ZERO;
    loop {
        match start_timer(bus, name, argv, after).await {
            Err(Failure::Exists) if waited < FORGETTING => {}
            started => return started,
        }
        forget(bus, name).await?;
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}

/// Takes the timer of this name away. One that is not there is no error.
///
/// # Errors
/// As for [`run_once_after`].
pub(super) async fn forget(bus: &Connection, name: &str) -> Result<(), Failure> {
    for unit in [format!("{name}.timer"), format!("{name}.service")] {
        let stopped: Result<OwnedObjectPath, Failure> =
            MANAGER.call(bus, "StopUnit", &(unit.as_str(), "replace")).await;
        match stopped {
            Ok(_) | Err(Failure::NothingLeft) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Whether a timer of this name runs out at about that moment. One that cannot be asked does not.
async fn is_set(bus: &Connection, name: &str, after: Duration) -> bool {
    let path = unit_path(&format!("{name}.timer"));
    let timer = Object { service: SERVICE, path: &path, interface: "org.freedesktop.systemd1.Timer" };
    let Ok(next) = timer.property(bus, "NextElapseUSecMonotonic").await else { return false };
    let Variant::U64(next_us) = *next else { return false };
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    Duration::from_micros(next_us).abs_diff(now.saturating_add(after)) <= ABOUT
}

async fn start_timer(bus: &Connection, name: &str, argv: &[&str; 3], after: Duration) -> Result<(), Failure> {
    let (timer, service) = (format!("{name}.timer"), format!("{name}.service"));
    let after_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
    let collect = || ("CollectMode", Variant::from("inactive-or-failed"));
    let timer_is: Vec<Property<'_>> = vec![
        ("Description", Variant::from("Curfew lets new logons in again")),
        collect(),
        ("OnActiveSec", Variant::from(after_us)),
        ("AccuracyUSec", Variant::from(1_000_000_u64)),
        ("RemainAfterElapse", Variant::from(false)),
    ];
    let exec: Vec<(&str, Vec<&str>, bool)> = vec![(argv[0], argv.to_vec(), false)];
    let service_is: Vec<Property<'_>> = vec![
        ("Description", Variant::from("Curfew lets new logons in again")),
        collect(),
        ("Type", Variant::from("oneshot")),
        ("ExecStart", Variant::from(exec)),
    ];
    let with = vec![(service.as_str(), service_is)];
    let body = (timer.as_str(), "replace", timer_is, with);
    let _: OwnedObjectPath = MANAGER.call(bus, "StartTransientUnit", &body).await?;
    Ok(())
}

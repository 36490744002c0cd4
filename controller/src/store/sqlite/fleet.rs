//! Writes what is known of the fleet: the epoch, hosts, inventories and labels.

use super::batch::{Batch, HostChange, InventoryChange};
use super::fault::{Fault, Result};
use super::guests::{GuestBody, InventoryBody};
use super::marks::{Mark, Marks};
use super::rows::Rows;
use super::transaction::{Transaction, Values};
use curfew_controller_core::record::ClockFrame;
use curfew_types::label::Labels;
use curfew_types::{GuestId, HostName};
use prost::Message;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

static SEEN: Rows = Rows::new(
    "hosts",
    &["name", "seen_at", "version"],
    "ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, version = excluded.version",
);

static LABELS: Rows =
    Rows::new("hosts", &["name", "labels"], "ON CONFLICT (name) DO UPDATE SET labels = excluded.labels");

static HOSTS: Rows = Rows::new("hosts", &["name"], "ON CONFLICT (name) DO NOTHING");

static INVENTORIES: Rows = Rows::new(
    "inventories",
    &["host", "digest", "body"],
    "ON CONFLICT (host) DO UPDATE SET digest = excluded.digest, body = excluded.body",
);

static GUEST_LABELS: Rows = Rows::new(
    "guest_labels",
    &["guest", "labels"],
    "ON CONFLICT (guest) DO UPDATE SET labels = excluded.labels",
);

/// Writes what the batch says of the fleet.
///
/// # Errors
/// When the epoch goes back, or the database refuses.
pub(super) async fn write(to: &mut Transaction<'_>, batch: &Batch<'_>) -> Result<()> {
    if let Some(epoch) = batch.epoch {
        raise_epoch(to, epoch).await?;
    }
    if let Some(clock) = batch.clock {
        set_number(to, "clock_boot", clock.boot.cast_signed());
        set_number(to, "clock_wall_of_zero", clock.wall_of_zero);
    }
    for (host, _) in batch.hosts.iter().filter(|(_, change)| change.removed) {
        remove(to, host);
    }
    let mut inventories = Vec::new();
    for (host, change) in batch.hosts.iter().filter(|(_, change)| !change.inventory.is_empty()) {
        inventories.push(inventory(to, host, change).await?);
    }
    write_rows(to, batch, inventories).await
}

async fn write_rows(
    to: &mut Transaction<'_>,
    batch: &Batch<'_>,
    inventories: Vec<InventoryRow<'_>>,
) -> Result<()> {
    let names: Vec<&str> = inventories.iter().map(|row| row.host.as_str()).collect();
    HOSTS.insert(to, names, bind_name).await?;
    INVENTORIES
        .insert(to, inventories, |values, row| {
            values.bind(row.host.as_str()).bind(row.digest.cast_signed()).bind(row.body);
        })
        .await?;
    let hosts = || batch.hosts.iter();
    let seen: Vec<_> = hosts().filter_map(|(host, change)| Some((host, change.seen?))).collect();
    SEEN.insert(to, seen, |values, (host, (at, version))| {
        values.bind(host.as_str()).bind(at.0).bind(version);
    })
    .await?;
    let labels: Vec<_> = hosts().filter_map(|(host, change)| Some((host, change.labels?))).collect();
    LABELS
        .insert(to, labels, |values, (host, labels)| {
            values.bind(host.as_str()).bind(labels_text(labels));
        })
        .await?;
    let (bare, guests): (Vec<_>, Vec<_>) =
        batch.guest_labels.iter().partition(|(_, labels)| labels.is_empty());
    for (guest, _) in bare {
        to.add("DELETE FROM guest_labels WHERE guest = ?").bind(guest.as_str());
    }
    GUEST_LABELS
        .insert(to, guests, |values, (guest, labels)| {
            values.bind(guest.as_str()).bind(labels_text(labels));
        })
        .await
}

fn bind_name(values: &mut Values, name: &str) {
    values.bind(name);
}

/// Writes what the batch says of hosts' ledgers. `marks` is filled when it is first needed; after an error it is not to be
/// used any more.
///
/// # Errors
/// When the database refuses.
pub(super) async fn write_marks(
    to: &mut Transaction<'_>,
    batch: &Batch<'_>,
    marks: &mut Option<Marks>,
) -> Result<()> {
    if !batch.hosts.values().any(|change| change.removed || change.ledger.is_some()) {
        return Ok(());
    }
    let marks = match marks {
        Some(marks) => marks,
        None => marks.insert(Marks::read(to.reading().await?).await?),
    };
    let mut new: Vec<(&HostName, Mark)> = Vec::new();
    let mut unknown = Vec::new();
    for (host, change) in &batch.hosts {
        let has_one = marks.has(host);
        if change.ledger.is_some() || (change.removed && has_one) {
            new.push((host, change.ledger));
        }
        // Whoever has a mark in the rows is among the hosts, unless it is removed now.
        if change.ledger.is_some() && (change.removed || !has_one) {
            unknown.push(host.as_str());
        }
    }
    HOSTS.insert(to, unknown, bind_name).await?;
    marks.append(to, &new).await
}

async fn raise_epoch(to: &mut Transaction<'_>, epoch: u64) -> Result<()> {
    let before = epoch_before(to.reading().await?).await?;
    if epoch < before {
        return Err(Fault::Refused(format!("the epoch cannot go back from {before} to {epoch}")));
    }
    set_number(to, "epoch", epoch.cast_signed());
    Ok(())
}

/// The epoch stored; 0 in a new store.
pub(super) async fn epoch_before(connection: &mut SqliteConnection) -> Result<u64> {
    Ok(number(connection, "epoch").await?.unwrap_or(0).cast_unsigned())
}

/// How stored wall times stand to the monotonic clock; nothing in a store of the time before that was kept.
pub(super) async fn clock(connection: &mut SqliteConnection) -> Result<Option<ClockFrame>> {
    let boot = number(connection, "clock_boot").await?;
    let wall_of_zero = number(connection, "clock_wall_of_zero").await?;
    let frame = |(boot, wall_of_zero): (i64, i64)| ClockFrame { boot: boot.cast_unsigned(), wall_of_zero };
    Ok(boot.zip(wall_of_zero).map(frame))
}

async fn number(connection: &mut SqliteConnection, name: &str) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT value FROM numbers WHERE name = ?")
        .bind(name)
        .fetch_optional(connection)
        .await?)
}

fn set_number(to: &mut Transaction<'_>, name: &str, value: i64) {
    let statement = "INSERT INTO numbers (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    to.add(statement).bind(name).bind(value);
}

fn remove(to: &mut Transaction<'_>, host: &HostName) {
    to.add("DELETE FROM inventories WHERE host = ?").bind(host.as_str());
    to.add("DELETE FROM hosts WHERE name = ?").bind(host.as_str());
}

struct InventoryRow<'a> {
    host: &'a HostName,
    digest: u64,
    body: Vec<u8>,
}

/// The host's inventory after the changes.
async fn inventory<'a>(
    to: &mut Transaction<'_>,
    host: &'a HostName,
    change: &HostChange<'_>,
) -> Result<InventoryRow<'a>> {
    let mut guests = BTreeMap::new();
    let replaced_at = change.inventory.iter().rposition(|change| change.replace);
    if replaced_at.is_none() {
        guests = stored(to.reading().await?, host).await?;
    }
    let mut digest = 0;
    for InventoryChange { upserts, removed, digest: after, .. } in
        &change.inventory[replaced_at.unwrap_or(0)..]
    {
        for guest in *removed {
            guests.remove(guest);
        }
        for guest in *upserts {
            guests.insert(guest.id.clone(), GuestBody::inventory(host, guest));
        }
        digest = *after;
    }
    let body = InventoryBody { guests: guests.into_values().collect() };
    Ok(InventoryRow { host, digest, body: body.encode_to_vec() })
}

async fn stored(connection: &mut SqliteConnection, host: &HostName) -> Result<BTreeMap<GuestId, GuestBody>> {
    let body: Option<Vec<u8>> = sqlx::query_scalar("SELECT body FROM inventories WHERE host = ?")
        .bind(host.as_str())
        .fetch_optional(connection)
        .await?;
    let inventory = InventoryBody::decode(body.unwrap_or_default().as_slice())?;
    inventory.guests.into_iter().map(|guest| Ok((guest.id(host)?, guest))).collect()
}

fn labels_text(labels: &Labels) -> String {
    serde_json::Value::from_iter(labels.iter().map(|(key, value)| (key.clone(), value.clone()))).to_string()
}

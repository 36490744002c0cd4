//! Writes what is known of the fleet: the epoch, hosts, inventories and labels.

use super::batch::{Batch, HostChange, InventoryChange};
use super::fault::{Fault, Result};
use super::guests::{GuestBody, InventoryBody};
use super::marks::{Mark, Marks};
use super::rows::Rows;
use curfew_controller_core::record::ClockFrame;
use curfew_types::label::Labels;
use curfew_types::{GuestId, HostName};
use prost::Message;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

static SEEN: Rows = Rows::new(
    "INSERT INTO hosts (name, seen_at, version) VALUES",
    3,
    "ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, version = excluded.version",
);

static LABELS: Rows = Rows::new(
    "INSERT INTO hosts (name, labels) VALUES",
    2,
    "ON CONFLICT (name) DO UPDATE SET labels = excluded.labels",
);

static HOSTS: Rows = Rows::new("INSERT INTO hosts (name) VALUES", 1, "ON CONFLICT (name) DO NOTHING");

static INVENTORIES: Rows = Rows::new(
    "INSERT INTO inventories (host, digest, body) VALUES",
    3,
    "ON CONFLICT (host) DO UPDATE SET digest = excluded.digest, body = excluded.body",
);

static GUEST_LABELS: Rows = Rows::new(
    "INSERT INTO guest_labels (guest, labels) VALUES",
    2,
    "ON CONFLICT (guest) DO UPDATE SET labels = excluded.labels",
);

/// Writes what the batch says of the fleet.
///
/// # Errors
/// When the epoch goes back, or the database refuses.
pub(super) async fn write(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Result<()> {
    if let Some(epoch) = batch.epoch {
        raise_epoch(connection, epoch).await?;
    }
    if let Some(clock) = batch.clock {
        set_number(connection, "clock_boot", clock.boot.cast_signed()).await?;
        set_number(connection, "clock_wall_of_zero", clock.wall_of_zero).await?;
    }
    for (host, _) in batch.hosts.iter().filter(|(_, change)| change.removed) {
        remove(connection, host).await?;
    }
    let mut inventories = Vec::new();
    for (host, change) in batch.hosts.iter().filter(|(_, change)| !change.inventory.is_empty()) {
        inventories.push(inventory(connection, host, change).await?);
    }
    write_rows(connection, batch, inventories).await
}

async fn write_rows(
    connection: &mut SqliteConnection,
    batch: &Batch<'_>,
    inventories: Vec<InventoryRow<'_>>,
) -> Result<()> {
    let names: Vec<&str> = inventories.iter().map(|row| row.host.as_str()).collect();
    HOSTS.execute(connection, names, |statement, name| statement.bind(name.to_owned())).await?;
    INVENTORIES
        .execute(connection, inventories, |statement, row| {
            statement.bind(row.host.as_str().to_owned()).bind(row.digest.cast_signed()).bind(row.body)
        })
        .await?;
    let hosts = || batch.hosts.iter();
    let seen: Vec<_> = hosts().filter_map(|(host, change)| Some((host, change.seen?))).collect();
    SEEN.execute(connection, seen, |statement, (host, (at, version))| {
        statement.bind(host.as_str().to_owned()).bind(at.0).bind(version.to_owned())
    })
    .await?;
    let labels: Vec<_> = hosts().filter_map(|(host, change)| Some((host, change.labels?))).collect();
    LABELS
        .execute(connection, labels, |statement, (host, labels)| {
            statement.bind(host.as_str().to_owned()).bind(labels_text(labels))
        })
        .await?;
    let (bare, guests): (Vec<_>, Vec<_>) =
        batch.guest_labels.iter().partition(|(_, labels)| labels.is_empty());
    for (guest, _) in bare {
        sqlx::query("DELETE FROM guest_labels WHERE guest = ?")
            .bind(guest.as_str())
            .execute(&mut *connection)
            .await?;
    }
    GUEST_LABELS
        .execute(connection, guests, |statement, (guest, labels)| {
            statement.bind(guest.as_str().to_owned()).bind(labels_text(labels))
        })
        .await?;
    Ok(())
}

/// Writes what the batch says of hosts' ledgers. `marks` is filled when it is first needed; after an error it is not to be
/// used any more.
///
/// # Errors
/// When the database refuses.
pub(super) async fn write_marks(
    connection: &mut SqliteConnection,
    batch: &Batch<'_>,
    marks: &mut Option<Marks>,
) -> Result<()> {
    if !batch.hosts.values().any(|change| change.removed || change.ledger.is_some()) {
        return Ok(());
    }
    let marks = match marks {
        Some(marks) => marks,
        None => marks.insert(Marks::read(connection).await?),
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
    HOSTS.execute(connection, unknown, |statement, name| statement.bind(name.to_owned())).await?;
    marks.append(connection, &new).await
}

async fn raise_epoch(connection: &mut SqliteConnection, epoch: u64) -> Result<()> {
    let before = epoch_before(connection).await?;
    if epoch < before {
        return Err(Fault::Refused(format!("the epoch cannot go back from {before} to {epoch}")));
    }
    set_number(connection, "epoch", epoch.cast_signed()).await
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

async fn set_number(connection: &mut SqliteConnection, name: &str, value: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO numbers (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(connection)
    .await?;
    Ok(())
}

async fn remove(connection: &mut SqliteConnection, host: &HostName) -> Result<()> {
    sqlx::query("DELETE FROM inventories WHERE host = ?")
        .bind(host.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM hosts WHERE name = ?").bind(host.as_str()).execute(connection).await?;
    Ok(())
}

struct InventoryRow<'a> {
    host: &'a HostName,
    digest: u64,
    body: Vec<u8>,
}

/// The host's inventory after the changes.
async fn inventory<'a>(
    connection: &mut SqliteConnection,
    host: &'a HostName,
    change: &HostChange<'_>,
) -> Result<InventoryRow<'a>> {
    let mut guests = BTreeMap::new();
    let replaced_at = change.inventory.iter().rposition(|change| change.replace);
    if replaced_at.is_none() {
        guests = stored(connection, host).await?;
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

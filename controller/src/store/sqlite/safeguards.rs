//! What protects the fleet from every operation: holds, protected users, the freeze. Folds, writes and reads them.

use super::body::BodyError;
use super::fault::Result;
use super::rows::Rows;
use super::transaction::Transaction;
use curfew_controller_core::record::{Freeze, Hold, ProtectedUser, Record, Recovered};
use curfew_types::agent::SafeguardsMark;
use curfew_types::{GuestId, WallTime};
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

static HOLDS: Rows = Rows::new(
    "holds",
    &["guest", "name", "holder", "reason", "since", "until"],
    "ON CONFLICT (guest) DO UPDATE SET name = excluded.name, holder = excluded.holder, reason = excluded.reason, \
     since = excluded.since, until = excluded.until",
);

static PROTECTED: Rows = Rows::new(
    "protected_users",
    &["pattern", "requester", "reason", "since"],
    "ON CONFLICT (pattern) DO UPDATE SET requester = excluded.requester, reason = excluded.reason, \
     since = excluded.since",
);

static NUMBERS: Rows =
    Rows::new("numbers", &["name", "value"], "ON CONFLICT (name) DO UPDATE SET value = excluded.value");

const EPOCH: &str = "safeguards_epoch";
const REVISION: &str = "safeguards_revision";

/// What one transaction changes. Where several records say the same of a guest or a pattern, the last one stands.
#[derive(Default)]
pub(super) struct SafeguardsChange<'a> {
    mark: Option<SafeguardsMark>,
    holds: BTreeMap<&'a GuestId, Option<&'a Hold>>,
    protected: BTreeMap<&'a str, Option<&'a ProtectedUser>>,
    freeze: Option<Option<&'a Freeze>>,
}

impl<'a> SafeguardsChange<'a> {
    /// Takes the record if it is about safeguards; otherwise it does nothing.
    pub(super) fn add(&mut self, record: &'a Record) {
        let mark = match record {
            Record::Held { hold, mark } => {
                self.holds.insert(&hold.guest, Some(hold));
                mark
            }
            Record::Released { guest, mark } => {
                self.holds.insert(guest, None);
                mark
            }
            Record::Protected { user, mark } => {
                self.protected.insert(user.pattern.as_str(), Some(user));
                mark
            }
            Record::Unprotected { pattern, mark } => {
                self.protected.insert(pattern.as_str(), None);
                mark
            }
            Record::FreezeChanged { freeze } => {
                self.freeze = Some(freeze.as_ref());
                return;
            }
            _ => return,
        };
        self.mark = Some(*mark);
    }
}

/// Writes the change.
///
/// # Errors
/// When the database refuses.
pub(super) async fn write(to: &mut Transaction<'_>, change: &SafeguardsChange<'_>) -> Result<()> {
    for (guest, _) in change.holds.iter().filter(|(_, hold)| hold.is_none()) {
        to.add("DELETE FROM holds WHERE guest = ?").bind(guest.as_str());
    }
    let held: Vec<&Hold> = change.holds.values().copied().flatten().collect();
    HOLDS
        .insert(to, held, |values, hold| {
            values.bind(hold.guest.as_str()).bind(&hold.name).bind(&hold.by).bind(&hold.reason);
            values.bind(hold.since.0).bind(hold.until.map(|until| until.0));
        })
        .await?;
    for (pattern, _) in change.protected.iter().filter(|(_, user)| user.is_none()) {
        to.add("DELETE FROM protected_users WHERE pattern = ?").bind(*pattern);
    }
    let protected: Vec<&ProtectedUser> = change.protected.values().copied().flatten().collect();
    PROTECTED
        .insert(to, protected, |values, user| {
            values.bind(user.pattern.as_str()).bind(&user.by).bind(&user.reason).bind(user.since.0);
        })
        .await?;
    let numbers =
        change.mark.map_or_else(Vec::new, |mark| vec![(EPOCH, mark.epoch), (REVISION, mark.revision)]);
    NUMBERS
        .insert(to, numbers, |values, (name, value)| {
            values.bind(name).bind(value.cast_signed());
        })
        .await?;
    if let Some(freeze) = change.freeze {
        write_freeze(to, freeze);
    }
    Ok(())
}

fn write_freeze(to: &mut Transaction<'_>, freeze: Option<&Freeze>) {
    to.add("DELETE FROM freeze");
    if let Some(freeze) = freeze {
        to.add("INSERT INTO freeze (id, requester, reason, since, hard) VALUES (1, ?, ?, ?, ?)")
            .bind(&freeze.by)
            .bind(&freeze.reason)
            .bind(freeze.since.0)
            .bind(freeze.hard);
    }
}

/// Reads all of it into `recovered`.
///
/// # Errors
/// When the store is away or cannot be understood.
pub(super) async fn load(from: &mut SqliteConnection, recovered: &mut Recovered) -> Result<()> {
    recovered.holds = holds(from).await?;
    recovered.protected_users = protected_users(from).await?;
    recovered.safeguards =
        SafeguardsMark { epoch: number(from, EPOCH).await?, revision: number(from, REVISION).await? };
    recovered.freeze = freeze(from).await?;
    Ok(())
}

async fn holds(from: &mut SqliteConnection) -> Result<Vec<Hold>> {
    let rows = sqlx::query("SELECT guest, name, holder, reason, since, until FROM holds ORDER BY guest")
        .fetch_all(from)
        .await?;
    let hold = |row: &sqlx::sqlite::SqliteRow| -> Result<Hold> {
        Ok(Hold {
            guest: row.try_get::<&str, _>(0)?.parse()?,
            name: row.try_get(1)?,
            by: row.try_get(2)?,
            reason: row.try_get(3)?,
            since: WallTime(row.try_get(4)?),
            until: row.try_get::<Option<i64>, _>(5)?.map(WallTime),
        })
    };
    rows.iter().map(hold).collect()
}

async fn protected_users(from: &mut SqliteConnection) -> Result<Vec<ProtectedUser>> {
    let rows = sqlx::query("SELECT pattern, requester, reason, since FROM protected_users ORDER BY pattern")
        .fetch_all(from)
        .await?;
    let user = |row: &sqlx::sqlite::SqliteRow| -> Result<ProtectedUser> {
        let pattern: &str = row.try_get(0)?;
        Ok(ProtectedUser {
            pattern: pattern.parse().map_err(|_| BodyError::Unknown(format!("pattern {pattern:?}")))?,
            by: row.try_get(1)?,
            reason: row.try_get(2)?,
            since: WallTime(row.try_get(3)?),
        })
    };
    rows.iter().map(user).collect()
}

async fn freeze(from: &mut SqliteConnection) -> Result<Option<Freeze>> {
    let row: Option<(String, String, i64, bool)> =
        sqlx::query_as("SELECT requester, reason, since, hard FROM freeze").fetch_optional(from).await?;
    Ok(row.map(|(by, reason, since, hard)| Freeze { by, reason, since: WallTime(since), hard }))
}

async fn number(from: &mut SqliteConnection, name: &str) -> Result<u64> {
    let value: Option<i64> = sqlx::query_scalar("SELECT value FROM numbers WHERE name = ?")
        .bind(name)
        .fetch_optional(from)
        .await?;
    Ok(value.unwrap_or(0).cast_unsigned())
}

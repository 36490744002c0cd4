//! Hosts' ledger marks, appended: many in a row of a turn, instead of a row of `hosts` rewritten for each.
//!
//! What a later row says of a host stands. Once there are many, the oldest rows are folded into `hosts`, a few with each
//! append; most of what they say has been said anew by then, and costs nothing more.

use super::body::BodyError;
use super::columns::{Packer, Unpacker};
use super::fault::Result;
use super::rows::Rows;
use super::transaction::Transaction;
use curfew_controller_core::record::RecoveredHost;
use curfew_types::HostName;
use curfew_types::agent::LedgerMark;
use futures::TryStreamExt;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;

/// Hosts in one row: what folding one may cost an append, less than a millisecond.
const ROW: usize = 256;
/// Most rows, however short: what a start has to read.
const ROWS_MAX: i64 = 4096;
/// Most marks in all of them, some two MiB: every host of a large fleet has said something new by then.
const MARKS_MAX: usize = 128 * 1024;
/// How many rows more are folded with an append than it brings, so that there are fewer in the end.
const MORE: i64 = 1;

static APPENDED: Rows = Rows::new("ledger_marks", &["seq", "body"], "");

static FOLDED: Rows = Rows::new(
    "hosts",
    &["name", "ledger_incarnation", "ledger_counter", "acknowledged"],
    "ON CONFLICT (name) DO UPDATE SET ledger_incarnation = excluded.ledger_incarnation, \
     ledger_counter = excluded.ledger_counter, acknowledged = excluded.acknowledged",
);

/// What is known of a host: its ledger, and up to where its findings are stored. `None`: it was removed, and what earlier
/// rows say of it is over.
pub(super) type Mark = Option<(LedgerMark, u64)>;

/// What the writer remembers of the rows. It only repeats what they say, and is read again when needed.
pub(super) struct Marks {
    /// Which row says the newest of a host.
    newest: HashMap<HostName, Newest>,
    /// The oldest row there is, and the next one.
    first: i64,
    next: i64,
    /// Marks in all of the rows.
    count: usize,
    /// [`ROWS_MAX`] and [`MARKS_MAX`], but for tests.
    pub(super) rows_max: i64,
    pub(super) marks_max: usize,
}

/// The newest that is said of a host.
#[derive(Clone, Copy)]
struct Newest {
    /// The row that says it.
    seq: i64,
    /// It says that the host was removed.
    removed: bool,
}

impl Marks {
    /// Reads what the rows say.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) async fn read(connection: &mut SqliteConnection) -> Result<Marks> {
        let mut marks = Marks {
            newest: HashMap::new(),
            first: 0,
            next: 0,
            count: 0,
            rows_max: ROWS_MAX,
            marks_max: MARKS_MAX,
        };
        let mut rows = sqlx::query("SELECT seq, body FROM ledger_marks ORDER BY seq").fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let seq: i64 = row.try_get(0)?;
            if marks.newest.is_empty() {
                marks.first = seq;
            }
            marks.next = seq + 1;
            for (host, mark) in unpack(row.try_get(1)?)? {
                marks.newest.insert(host, Newest { seq, removed: mark.is_none() });
                marks.count += 1;
            }
        }
        Ok(marks)
    }

    /// Whether the rows have a mark of the host, which is among the hosts then.
    pub(super) fn has(&self, host: &HostName) -> bool {
        self.newest.get(host).is_some_and(|newest| !newest.removed)
    }

    /// Appends what is new, each host once, in the order of their names; and folds the oldest rows once there are many.
    /// The hosts are there.
    ///
    /// # Errors
    /// When the database refuses; this is not to be used any more then.
    pub(super) async fn append(&mut self, to: &mut Transaction<'_>, new: &[(&HostName, Mark)]) -> Result<()> {
        let before = self.next;
        let mut rows = Vec::with_capacity(new.len().div_ceil(ROW));
        for marks in new.chunks(ROW) {
            rows.push((self.next, pack(marks)));
            for (host, mark) in marks {
                let newest = Newest { seq: self.next, removed: mark.is_none() };
                match self.newest.get_mut(*host) {
                    Some(known) => *known = newest,
                    None => {
                        self.newest.insert((*host).clone(), newest);
                    }
                }
            }
            self.next += 1;
        }
        self.count += new.len();
        APPENDED
            .insert(to, rows, |values, (seq, body)| {
                values.bind(seq).bind(body);
            })
            .await?;
        for _ in 0..self.next - before + MORE {
            if self.next - self.first <= self.rows_max && self.count <= self.marks_max {
                break;
            }
            self.fold_one(to).await?;
        }
        Ok(())
    }

    /// Writes to `hosts` what only the oldest row says, and removes the row.
    async fn fold_one(&mut self, to: &mut Transaction<'_>) -> Result<()> {
        let seq = self.first;
        let body: Vec<u8> = sqlx::query_scalar("SELECT body FROM ledger_marks WHERE seq = ?")
            .bind(seq)
            .fetch_one(to.reading().await?)
            .await?;
        let marks = unpack(&body)?;
        self.count -= marks.len();
        self.first += 1;
        let mut last = Vec::new();
        for (host, mark) in marks {
            if self.newest.get(&host).is_some_and(|newest| newest.seq == seq) {
                self.newest.remove(&host);
                last.extend(mark.map(|mark| (host, mark)));
            }
        }
        FOLDED
            .insert(to, last, |values, (host, (LedgerMark { incarnation, counter }, acknowledged))| {
                values.bind(host.as_str()).bind(incarnation.cast_signed());
                values.bind(counter.cast_signed()).bind(acknowledged.cast_signed());
            })
            .await?;
        to.add("DELETE FROM ledger_marks WHERE seq = ?").bind(seq);
        Ok(())
    }
}

/// Lays what the rows say over what `hosts` says, which is older.
///
/// # Errors
/// When the rows cannot be read.
pub(super) async fn lay_over(connection: &mut SqliteConnection, hosts: &mut [RecoveredHost]) -> Result<()> {
    let mut newest: HashMap<HostName, Mark> = HashMap::new();
    let mut rows = sqlx::query("SELECT body FROM ledger_marks ORDER BY seq").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        newest.extend(unpack(row.try_get(0)?)?);
    }
    for host in hosts {
        if let Some(Some((ledger, acknowledged))) = newest.get(&host.name) {
            host.ledger = Some(*ledger);
            host.acknowledged = *acknowledged;
        }
    }
    Ok(())
}

fn pack(marks: &[(&HostName, Mark)]) -> Vec<u8> {
    let mut packer = Packer::default();
    let mut before = "";
    for (host, mark) in marks {
        packer.text(before, host.as_str());
        before = host.as_str();
        let Some((LedgerMark { incarnation, counter }, acknowledged)) = mark else {
            packer.number(0);
            continue;
        };
        packer.number(1);
        packer.bytes(&incarnation.to_le_bytes());
        packer.number(*counter);
        packer.number(*acknowledged);
    }
    packer.into_bytes()
}

fn unpack(body: &[u8]) -> Result<Vec<(HostName, Mark)>, BodyError> {
    let mut unpacker = Unpacker::new(body);
    let mut marks = Vec::new();
    let mut name = String::new();
    while !unpacker.is_empty() {
        unpacker.text(&mut name)?;
        let mark = match unpacker.number()? {
            0 => None,
            _ => {
                let incarnation = unpacker.bytes(8)?.try_into().map_err(|_| BodyError::Columns)?;
                let incarnation = u64::from_le_bytes(incarnation);
                let ledger = LedgerMark { incarnation, counter: unpacker.number()? };
                Some((ledger, unpacker.number()?))
            }
        };
        marks.push((name.parse()?, mark));
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back_as_written() {
        let host = |name: &str| -> HostName { name.parse().expect("a name") };
        let hosts = [host("host-1"), host("host-2"), host("rack")];
        let mark =
            |counter, acknowledged| Some((LedgerMark { incarnation: u64::MAX, counter }, acknowledged));
        let marks = [(&hosts[0], mark(0, u64::MAX)), (&hosts[1], None), (&hosts[2], mark(u64::MAX, 0))];
        let read = unpack(&pack(&marks)).expect("marks");
        assert!(read.iter().map(|(host, mark)| (host, *mark)).eq(marks));
    }
}

//! What goes wrong below the store, and whether that is worth trying again.

use super::body::BodyError;
use crate::store::Error;
use curfew_types::OperationId;

/// Why something below the store did not work. Becomes an [`Error`] at the top, where it is known what was attempted.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database said no.
    Sql(sqlx::Error),
    /// The operating system said no.
    Io(std::io::Error),
    /// What is stored cannot be understood.
    Body(BodyError),
    /// The records contradict what is stored.
    Refused(String),
    /// A newer version has written it.
    Newer { found: i64, known: i64 },
}

/// What everything below the trait returns.
pub(super) type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    /// The error, with what was attempted: "cannot {attempted}".
    pub(super) fn during(self, attempted: &'static str) -> Error {
        match self {
            Fault::Sql(source) if is_away(&source) => Error::Away { attempted, source: source.into() },
            Fault::Io(source) => Error::Away { attempted, source: source.into() },
            Fault::Sql(source) => Error::Corrupt { attempted, source: source.into() },
            Fault::Body(source) => Error::Corrupt { attempted, source: source.into() },
            Fault::Refused(why) => Error::Refused { attempted, why },
            Fault::Newer { found, known } => Error::Newer { found, known },
        }
    }
}

impl Fault {
    /// The same, said of the operations that were planned in the transaction, where one of them is stored already.
    pub(super) fn of_planned(self, planned: &[OperationId]) -> Fault {
        match &self {
            Fault::Sql(sqlx::Error::Database(error))
                if error.is_unique_violation() && error.message().contains("operations.id") =>
            {
                let planned: Vec<String> = planned.iter().map(OperationId::to_string).collect();
                Fault::Refused(format!("{} is there already", planned.join(" or ")))
            }
            _ => self,
        }
    }
}

/// Whether the cause lies outside the file's contents: a full or failing disk, a lock, a lack of memory.
fn is_away(error: &sqlx::Error) -> bool {
    // The primary result codes of SQLite, each the low byte of its extended codes: PERM, BUSY, LOCKED, NOMEM,
    // READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, NOLFS, AUTH.
    const PASSING: [i32; 12] = [3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 22, 23];
    if let sqlx::Error::Database(database) = error {
        let code = database.code().and_then(|code| code.parse::<i32>().ok());
        return code.is_some_and(|code| PASSING.contains(&(code & 0xFF)));
    }
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
    )
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Fault {
        Fault::Io(error)
    }
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Fault {
        Fault::Body(error)
    }
}

impl From<prost::DecodeError> for Fault {
    fn from(error: prost::DecodeError) -> Fault {
        Fault::Body(error.into())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Fault {
        Fault::Body(error.into())
    }
}

impl From<curfew_types::id::IdError> for Fault {
    fn from(error: curfew_types::id::IdError) -> Fault {
        Fault::Body(error.into())
    }
}

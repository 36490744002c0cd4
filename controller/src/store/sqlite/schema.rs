//! The schema's versions, and how a file becomes a store or is recognised as one.

use super::body::BodyError;
use super::fault::{Fault, Result};
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqliteConnection};

/// Every version, oldest first. Listed by hand, so that the compiler sees each file change and none is forgotten in a
/// package; a version that was released never changes.
const VERSIONS: &[(i64, &str, &str)] = &[
    (1, "store", include_str!("../../../migrations/0001_store.sql")),
    (2, "steering", include_str!("../../../migrations/0002_steering.sql")),
    (3, "columns", include_str!("../../../migrations/0003_columns.sql")),
];

/// The newest version this program knows.
const NEWEST: i64 = VERSIONS[VERSIONS.len() - 1].0;

/// "Crfw", as the first version writes it.
const APPLICATION_ID: i32 = 0x4372_6677;

/// Brings the schema up to date.
///
/// # Errors
/// When the file belongs to another program or a newer version, or a step fails (it is rolled back).
pub(super) async fn ensure(connection: &mut SqliteConnection) -> Result<()> {
    // The table of versions is made before the first of them, and apart from it.
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '%_sqlx_migrations%'")
            .fetch_one(&mut *connection)
            .await?;
    if tables > 0 {
        recognise(connection).await?;
    }
    Ok(migrator(NEWEST).run_direct(None, connection, false).await?)
}

/// Makes an empty file one of an older version.
#[cfg(test)]
pub(super) async fn migrate_to(connection: &mut SqliteConnection, version: i64) -> Result<()> {
    Ok(migrator(version).run_direct(None, connection, false).await?)
}

/// Checks that the file is a store of a version this program can read.
///
/// # Errors
/// When it is another program's, or newer.
pub(super) async fn recognise(connection: &mut SqliteConnection) -> Result<()> {
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    if id != APPLICATION_ID {
        return Err(BodyError::Foreign.into());
    }
    let applied = connection.list_applied_migrations(&Migrator::DEFAULT.table_name).await?;
    match applied.iter().map(|migration| migration.version).max() {
        Some(found) if found > NEWEST => Err(Fault::Newer { found, known: NEWEST }),
        Some(_) | None => Ok(()),
    }
}

fn migrator(newest: i64) -> Migrator {
    let wanted = VERSIONS.iter().filter(|(version, _, _)| *version <= newest);
    let migrations = wanted.map(|(version, description, sql)| {
        Migration::new(*version, (*description).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

impl From<MigrateError> for Fault {
    fn from(error: MigrateError) -> Fault {
        match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => Fault::Sql(source),
            other => Fault::Body(BodyError::Schema(other)),
        }
    }
}

//! A transaction whose statements are gathered and run together: each run is a change of thread and back, which costs
//! more than most statements do.

use super::fault::Result;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Executor as _, Sqlite, SqliteConnection, Type};

/// Takes the lock of the writer at once, so that the transaction cannot fail for want of it later.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// A transaction. Dropped without [`Transaction::commit`], it is left open: the connection is to be closed then, as it is
/// after an error.
pub(super) struct Transaction<'c> {
    connection: &'c mut SqliteConnection,
    /// What is to be run next, with its values.
    script: String,
    values: Values,
    has_begun: bool,
}

/// The values of the statements that wait, in their order.
#[derive(Default)]
pub(super) struct Values {
    arguments: SqliteArguments,
    /// The first that could not be taken.
    error: Option<BoxDynError>,
}

impl<'c> Transaction<'c> {
    /// A transaction on a connection that has none.
    pub(super) fn on(connection: &'c mut SqliteConnection) -> Transaction<'c> {
        Transaction { connection, script: String::new(), values: Values::default(), has_begun: false }
    }

    /// Adds a statement; its values are to be bound to what this returns, in their order.
    pub(super) fn add(&mut self, statement: &str) -> &mut Values {
        self.begin();
        if !self.script.is_empty() {
            self.script.push_str("; ");
        }
        self.script.push_str(statement);
        &mut self.values
    }

    fn begin(&mut self) {
        if !self.has_begun {
            self.has_begun = true;
            self.script.push_str(BEGIN);
        }
    }

    /// The connection, to read what is stored, and what this transaction has written so far. The transaction begins
    /// before it: one that was dropped half-way may still be at work, and what it stores has to be seen or kept out.
    ///
    /// # Errors
    /// When the database refuses what waited.
    pub(super) async fn reading(&mut self) -> Result<&mut SqliteConnection> {
        self.begin();
        self.run().await?;
        Ok(self.connection)
    }

    /// Runs what waits, so that the texts of scripts stay few: each stays prepared.
    ///
    /// # Errors
    /// When the database refuses one of the statements.
    pub(super) async fn run(&mut self) -> Result<()> {
        if self.script.is_empty() {
            return Ok(());
        }
        let script = AssertSqlSafe(std::mem::take(&mut self.script));
        let Values { arguments, error } = std::mem::take(&mut self.values);
        if let Some(error) = error {
            return Err(sqlx::Error::Encode(error).into());
        }
        self.connection.execute(sqlx::query_with(script, arguments)).await?;
        Ok(())
    }

    /// Runs what waits and makes all of it durable.
    ///
    /// # Errors
    /// When the database refuses one of the statements; whether it is stored is unknown then.
    pub(super) async fn commit(mut self) -> Result<()> {
        if self.has_begun {
            self.add("COMMIT");
        }
        self.run().await
    }
}

impl Values {
    /// The next value.
    pub(super) fn bind<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Values {
        if let Err(error) = self.arguments.add(value) {
            self.error.get_or_insert(error);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Connection as _;

    async fn table() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("a connection");
        let create = "CREATE TABLE words (place INTEGER NOT NULL PRIMARY KEY, word TEXT NOT NULL) STRICT";
        connection.execute(create).await.expect("a table");
        connection
    }

    async fn stored(connection: &mut SqliteConnection) -> Vec<(i64, String)> {
        let rows = sqlx::query_as("SELECT place, word FROM words ORDER BY place");
        rows.fetch_all(connection).await.expect("the rows")
    }

    fn add(to: &mut Transaction<'_>, place: i64, word: &str) {
        to.add("INSERT INTO words (place, word) VALUES (?, ?)").bind(place).bind(word);
    }

    #[tokio::test]
    async fn each_statement_gets_its_own_values_whatever_is_read_between_them() {
        let mut connection = table().await;
        let mut transaction = Transaction::on(&mut connection);
        add(&mut transaction, 1, "one");
        transaction.add("UPDATE words SET word = ? WHERE place = ?").bind("first").bind(1);
        let read = stored(transaction.reading().await.expect("what waited")).await;
        assert_eq!(read, [(1, "first".to_owned())]);
        add(&mut transaction, 2, "two");
        add(&mut transaction, 3, "three");
        transaction.commit().await.expect("a commit");
        let words = ["first", "two", "three"].map(str::to_owned);
        assert_eq!(stored(&mut connection).await, (1..).zip(words).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn nothing_is_stored_of_a_transaction_with_a_statement_that_is_refused() {
        let mut connection = table().await;
        let mut transaction = Transaction::on(&mut connection);
        add(&mut transaction, 1, "one");
        add(&mut transaction, 1, "another");
        add(&mut transaction, 2, "two");
        transaction.commit().await.expect_err("a key that is there");
        // What follows an error is up to whoever holds the connection, who closes it.
        connection.execute("ROLLBACK").await.expect("it is still open");
        assert_eq!(stored(&mut connection).await, []);
    }

    #[tokio::test]
    async fn a_transaction_without_a_statement_does_nothing() {
        let mut connection = table().await;
        Transaction::on(&mut connection).commit().await.expect("nothing to do");
        connection.execute("BEGIN").await.expect("no transaction is open");
    }
}

//! Many rows in one statement, so that the cost of a statement is shared.

use super::fault::Result;
use super::transaction::{Transaction, Values};
use std::sync::OnceLock;

/// How many rows a statement takes at most: a few texts of each, so that they stay prepared. The largest shares the cost
/// of a statement between enough rows that it does not count, and stays far from the 32,766 parameters SQLite takes.
const SIZES: [usize; 4] = [1, 4, 16, 64];
/// The most rows in one statement.
pub(super) const LARGEST: usize = SIZES[SIZES.len() - 1];

/// Inserts rows of these columns into a table. The first column is never null: a row that has null there is none.
pub(super) struct Rows {
    table: &'static str,
    columns: &'static [&'static str],
    /// What follows the rows.
    tail: &'static str,
    texts: [OnceLock<String>; SIZES.len()],
}

impl Rows {
    pub(super) const fn new(
        table: &'static str,
        columns: &'static [&'static str],
        tail: &'static str,
    ) -> Rows {
        Rows { table, columns, tail, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// Inserts all of `items`, of which `bind` binds every column.
    ///
    /// # Errors
    /// When the database refuses one of the statements.
    pub(super) async fn insert<T>(
        &self,
        to: &mut Transaction<'_>,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        bind: impl Fn(&mut Values, T),
    ) -> Result<()> {
        let mut items = items.into_iter();
        while items.len() > LARGEST {
            // By itself, so that its text is one that is prepared, however many there are.
            to.run().await?;
            self.add(to, items.by_ref().take(LARGEST), &bind);
            to.run().await?;
        }
        if items.len() > 0 {
            self.add(to, items, &bind);
        }
        Ok(())
    }

    /// Adds one statement for at most the largest number of items.
    fn add<T>(
        &self,
        to: &mut Transaction<'_>,
        items: impl ExactSizeIterator<Item = T>,
        bind: impl Fn(&mut Values, T),
    ) {
        let count = items.len();
        let place = SIZES.iter().position(|size| count <= *size).unwrap_or(SIZES.len() - 1);
        let values = to.add(self.texts[place].get_or_init(|| self.text(SIZES[place])));
        for item in items {
            bind(values, item);
        }
        for _ in count * self.columns.len()..SIZES[place] * self.columns.len() {
            values.bind(None::<i64>);
        }
    }

    fn text(&self, size: usize) -> String {
        let Rows { table, tail, .. } = self;
        let columns = self.columns.join(", ");
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        if size == 1 {
            return format!("INSERT INTO {table} ({columns}) VALUES {row} {tail}");
        }
        let rows = vec![row; size].join(", ");
        let first = self.columns[0];
        format!(
            "WITH given ({columns}) AS (VALUES {rows}) \
             INSERT INTO {table} ({columns}) SELECT {columns} FROM given WHERE {first} IS NOT NULL {tail}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection as _, Executor as _, SqliteConnection};

    static NUMBERS: Rows = Rows::new(
        "numbers",
        &["number", "twice"],
        "ON CONFLICT (number) DO UPDATE SET twice = excluded.twice + 1",
    );

    async fn table() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("a connection");
        let create =
            "CREATE TABLE numbers (number INTEGER NOT NULL PRIMARY KEY, twice INTEGER NOT NULL) STRICT";
        connection.execute(create).await.expect("a table");
        connection
    }

    async fn insert(connection: &mut SqliteConnection, numbers: std::ops::Range<i64>) -> Result<()> {
        let mut transaction = Transaction::on(connection);
        let rows: Vec<i64> = numbers.collect();
        let bind = |values: &mut Values, number| {
            values.bind(number).bind(2 * number);
        };
        NUMBERS.insert(&mut transaction, rows, bind).await?;
        transaction.commit().await
    }

    async fn stored(connection: &mut SqliteConnection) -> Vec<(i64, i64)> {
        let rows = sqlx::query_as("SELECT number, twice FROM numbers ORDER BY number");
        rows.fetch_all(connection).await.expect("the rows")
    }

    #[tokio::test]
    async fn however_many_rows_there_are_each_is_inserted_once_and_no_other() {
        for count in [0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 128, 129, 200] {
            let mut connection = table().await;
            insert(&mut connection, 0..count).await.expect("an insert");
            let wanted: Vec<_> = (0..count).map(|number| (number, 2 * number)).collect();
            assert_eq!(stored(&mut connection).await, wanted, "{count} rows");
        }
    }

    #[tokio::test]
    async fn what_follows_the_rows_holds_for_one_and_for_many() {
        let mut connection = table().await;
        insert(&mut connection, 0..3).await.expect("an insert");
        insert(&mut connection, 1..2).await.expect("one that is there");
        insert(&mut connection, 2..5).await.expect("some that are there");
        assert_eq!(stored(&mut connection).await, [(0, 0), (1, 3), (2, 5), (3, 6), (4, 8)]);
    }
}

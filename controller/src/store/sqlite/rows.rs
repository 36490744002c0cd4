//! Many rows in one statement, so that the cost of a statement is shared.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};
use std::sync::{Arc, OnceLock};

/// A statement that is being bound.
pub(super) type Bound = Query<'static, Sqlite, SqliteArguments>;

/// How many rows a statement takes: four texts of each, so that they stay prepared. The largest shares the cost of a
/// statement between enough rows that it does not count, and stays far from the 32,766 parameters SQLite takes.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// `HEAD (?, ?), (?, ?) TAIL`.
pub(super) struct Rows {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    texts: [OnceLock<Arc<str>>; SIZES.len()],
}

impl Rows {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Rows {
        Rows { head, columns, tail, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// Runs it for all of `items`.
    ///
    /// # Errors
    /// When the database refuses one of the statements; the transaction is to be rolled back then.
    pub(super) async fn execute<T>(
        &self,
        connection: &mut SqliteConnection,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        bind: impl Fn(Bound, T) -> Bound,
    ) -> Result<(), sqlx::Error> {
        let mut items = items.into_iter();
        for (size, text) in SIZES.into_iter().zip(&self.texts) {
            while items.len() >= size {
                let text = text.get_or_init(|| self.text(size));
                let statement = sqlx::query(AssertSqlSafe(Arc::clone(text)));
                items.by_ref().take(size).fold(statement, &bind).execute(&mut *connection).await?;
            }
        }
        Ok(())
    }

    fn text(&self, size: usize) -> Arc<str> {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        format!("{} {} {}", self.head, vec![row; size].join(", "), self.tail).into()
    }
}

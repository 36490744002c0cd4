//! Follows page tokens until a list ends, a limit is reached, or nobody reads any more. Holds one page at a time.

use crate::error::CallError;
use crate::output::{List, Listed};
use crate::terminal::Terminal;

/// The largest page that the API gives.
pub(crate) const PAGE: u32 = 1000;

/// The largest page of tasks that is asked for: each has at most 100 results of at most 700 bytes, and a page stays well
/// below the largest answer even where hostile guests fill all of them.
pub(crate) const TASKS: u32 = 500;

/// One page: its items and the token of the next, empty on the last.
pub(crate) type Page<T> = (Vec<T>, String);

/// Writes every item of every page, at most `limit` of them.
///
/// # Errors
/// When a page cannot be fetched or written.
pub(crate) async fn write<T: Listed>(
    terminal: &mut Terminal,
    list: &mut List<T>,
    limit: Option<u64>,
    mut fetch: impl AsyncFnMut(u32, String) -> Result<Page<T>, CallError>,
) -> anyhow::Result<()> {
    let mut token = String::new();
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let size = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let (items, next) = fetch(size, token).await?;
        for item in items.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            list.item(terminal, item)?;
            left -= 1;
        }
        if next.is_empty() || terminal.is_reader_gone() {
            break;
        }
        token = next;
    }
    Ok(())
}

/// Collects at most `limit` items.
///
/// # Errors
/// When a page cannot be fetched.
pub(crate) async fn collect<T>(
    limit: usize,
    mut fetch: impl AsyncFnMut(u32, String) -> Result<Page<T>, CallError>,
) -> Result<Vec<T>, CallError> {
    let (mut all, mut token) = (Vec::new(), String::new());
    while all.len() < limit {
        let size = u32::try_from(limit - all.len()).unwrap_or(PAGE).min(PAGE);
        let (items, next) = fetch(size, token).await?;
        all.extend(items);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    all.truncate(limit);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2500 numbers in pages of the asked size.
    async fn numbers(size: u32, token: String) -> Result<Page<u32>, CallError> {
        let from: u32 = token.parse().unwrap_or(0);
        let to = (from + size).min(2500);
        Ok(((from..to).collect(), if to < 2500 { to.to_string() } else { String::new() }))
    }

    #[tokio::test]
    async fn every_page_is_followed_up_to_the_limit() {
        assert_eq!(collect(usize::MAX, numbers).await.expect("fetched").len(), 2500);
        assert_eq!(collect(1200, numbers).await.expect("fetched").len(), 1200);
        assert_eq!(
            collect(20, async |size, token| {
                assert_eq!(size, 20, "no more is asked for than wanted");
                numbers(size, token).await
            })
            .await
            .expect("fetched")
            .len(),
            20
        );
    }
}

//! The one way the harness waits for something it cannot be told about: look again, until a deadline.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, sleep, timeout_at};

/// Looks are cheap against what is waited for (boots, logins), and a guest on a loaded machine must not drown in them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Calls `look` until it succeeds. Its error means *not yet*; the last one tells why, should `limit` pass first.
pub async fn until<T, Look, Looking>(what: &str, limit: Duration, mut look: Look) -> anyhow::Result<T>
where
    Look: FnMut() -> Looking,
    Looking: Future<Output = anyhow::Result<T>>,
{
    let mut patience = Patience::new(what, limit);
    let mut before = String::new();
    loop {
        match timeout_at(patience.deadline, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(not_yet)) => {
                before = format!("; the one before: {not_yet:#}");
                patience.pause(not_yet).await?;
            }
            Err(_) => patience.pause(anyhow!("the last look did not end{before}")).await?,
        }
    }
}

/// The time that is left for something, for loops that [`until`] does not fit.
pub(super) struct Patience<'a> {
    what: &'a str,
    limit: Duration,
    deadline: Instant,
}

impl<'a> Patience<'a> {
    pub(super) fn new(what: &'a str, limit: Duration) -> Self {
        Self { what, limit, deadline: Instant::now() + limit }
    }

    /// Lets a moment pass before the next look, or fails for this reason because no time is left.
    pub(super) async fn pause(&mut self, not_yet: anyhow::Error) -> anyhow::Result<()> {
        if Instant::now() + BETWEEN_LOOKS >= self.deadline {
            return Err(not_yet.context(format!("waited {} s for {}", self.limit.as_secs_f32(), self.what)));
        }
        sleep(BETWEEN_LOOKS).await;
        Ok(())
    }
}

//! Simulated guests that count for themselves what was done in them, so that nobody has to be believed.

use crate::agreement::stamp;
use crate::child::Truth;
use crate::usage::monotonic_ns;
use async_trait::async_trait;
use curfew_agent::provider::simulated::Simulated;
use curfew_agent::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList, UndrainReply,
};
use curfew_types::{Guest, GuestId, OnlyIf, SessionKey, StatusCode};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What was done in the guests of one host since everybody logged on last.
#[derive(Default)]
pub(super) struct Book(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    /// The numbers of the sessions that were asked to end, each once: a patient agent asks some of them again. Guests stay
    /// in it, so that keeping the book costs the agent it is kept of next to nothing.
    ended: HashMap<GuestId, Vec<u32>>,
    first_call_ns: Option<u64>,
}

impl Book {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        let mut entries = self.entries();
        entries.ended.values_mut().for_each(Vec::clear);
        entries.first_call_ns = None;
    }

    /// Notes that a session was asked to end.
    fn note(&self, guest: &GuestId, session: &SessionKey) -> Result<(), Error> {
        let number: u32 = session.id.parse().map_err(|_| {
            Error::new(
                StatusCode::Unexpected,
                format!("a simulated session has a number, not {:?}", session.id),
            )
        })?;
        let mut entries = self.entries();
        let ended = match entries.ended.get_mut(guest) {
            Some(ended) => ended,
            None => entries.ended.entry(guest.clone()).or_default(),
        };
        if !ended.contains(&number) {
            ended.push(number);
        }
        Ok(())
    }

    /// What was done.
    pub(super) fn truth(&self) -> Truth {
        let entries = self.entries();
        let ended = || entries.ended.iter().filter(|(_, ended)| !ended.is_empty());
        let count = |ended: &[u32]| u32::try_from(ended.len()).unwrap_or(u32::MAX);
        let stamps = ended().map(|(guest, ended)| stamp(guest.as_str(), count(ended)));
        Truth {
            guests: ended().count() as u64,
            stamps: stamps.fold(0, u64::wrapping_add),
            first_call_ns: entries.first_call_ns,
        }
    }
}

/// Simulated guests and their book.
pub(super) struct Counted {
    guests: Simulated,
    book: Arc<Book>,
}

impl Counted {
    pub(super) fn new(guests: Simulated, book: Arc<Book>) -> Counted {
        Counted { guests, book }
    }

    /// Everybody logs on again.
    pub(super) fn log_everybody_on(&self) {
        self.guests.begin_anew();
    }
}

#[async_trait]
impl Provider for Counted {
    fn name(&self) -> &'static str {
        self.guests.name()
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        self.guests.discover().await
    }

    // Written out, so that the guests' own answer is handed on and not put into another box.
    fn list_sessions<'s, 'g, 'a>(
        &'s self,
        guest: &'g GuestId,
        look: Look,
        budget: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<SessionList, Error>> + Send + 'a>>
    where
        's: 'a,
        'g: 'a,
        Self: 'a,
    {
        self.book.entries().first_call_ns.get_or_insert_with(monotonic_ns);
        self.guests.list_sessions(guest, look, budget)
    }

    async fn notify(
        &self,
        guest: &GuestId,
        sessions: &[SessionKey],
        text: &str,
        budget: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        self.guests.notify(guest, sessions, text, budget).await
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
        budget: Duration,
    ) -> Result<EndReply, Error> {
        let reply = self.guests.end_session(guest, session, how, only_if, budget).await?;
        if matches!(reply, EndReply::Asked | EndReply::Ended) {
            self.book.note(guest, session)?;
        }
        Ok(reply)
    }

    async fn drain(
        &self,
        guest: &GuestId,
        order: &DrainOrder,
        budget: Duration,
    ) -> Result<DrainReply, Error> {
        self.guests.drain(guest, order, budget).await
    }

    async fn undrain(&self, guest: &GuestId, budget: Duration) -> Result<UndrainReply, Error> {
        self.guests.undrain(guest, budget).await
    }
}

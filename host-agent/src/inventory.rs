//! Which guests this host has: asks every provider now and then, tells the controller what changed, and knows which
//! provider reaches a guest. It ends nobody and lists no sessions.

mod book;

use crate::link::uplink::{MESSAGE_BYTES, Uplink};
use crate::provider::Provider;
use book::{Book, Discovered};
use curfew_proto::agent::v1 as wire;
use curfew_types::{Guest, GuestId};
use futures::FutureExt as _;
use prost::Message as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

pub(crate) use book::Route;

/// Time for a provider to list its guests. It must not wait for guests that do not answer, so this is for a
/// hypervisor that hangs.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most guests in one message, as the wire says.
const GUESTS_MAX: usize = 1000;

/// The guests of this host, shared by those who ask for them.
pub(crate) struct Inventory {
    providers: Vec<Arc<dyn Provider>>,
    state: Mutex<State>,
    /// Becomes true with the first discovery.
    known: watch::Sender<bool>,
}

struct State {
    book: Book,
    /// The stream that hears of changes; `None` while there is none.
    uplink: Option<Arc<Uplink>>,
}

impl Inventory {
    /// The inventory of these providers; empty until it was discovered.
    pub(crate) fn new(providers: Vec<Arc<dyn Provider>>) -> Arc<Inventory> {
        let book = Book::new(providers.iter().map(|provider| provider.name()));
        let state = Mutex::new(State { book, uplink: None });
        Arc::new(Inventory { providers, state, known: watch::Sender::new(false) })
    }

    /// Discovers the guests, then again and again; never returns. Dropping it is safe at any moment.
    pub(crate) async fn keep_current(self: Arc<Inventory>, interval: Duration) {
        loop {
            self.discover().await;
            tokio::time::sleep(interval).await;
        }
    }

    /// Asks all providers at once which guests they have.
    pub(crate) async fn discover(&self) {
        let asked = self.providers.iter().map(|provider| ask(provider.as_ref()));
        let discovered = futures::future::join_all(asked).await;
        self.apply(discovered);
        self.known.send_replace(true);
    }

    /// Returns once the guests have been discovered for the first time.
    pub(crate) async fn wait_until_known(&self) {
        // The sender lives as long as this.
        self.known.subscribe().wait_for(|known| *known).await.ok();
    }

    fn apply(&self, discovered: Vec<Discovered>) {
        let mut state = self.state();
        let change = state.book.apply(discovered);
        for note in &change.notes {
            tracing::warn!("{note}");
        }
        if change.upserts.is_empty() && change.removed.is_empty() {
            return;
        }
        tracing::debug!(
            upserts = change.upserts.len(),
            removed = change.removed.len(),
            "the inventory changed"
        );
        let fits = change.upserts.len() <= GUESTS_MAX && change.removed.len() <= GUESTS_MAX;
        let Some(uplink) = &state.uplink else { return };
        let message = wire::Inventory {
            replace: false,
            upserts: change.upserts.into_iter().map(Into::into).collect(),
            removed: change.removed.iter().map(GuestId::to_string).collect(),
            digest: state.book.digest(),
        };
        if !fits || !uplink.change_inventory(message) {
            uplink.replace_inventory(whole(&state.book));
        }
    }

    /// From now on this stream hears of changes. It hears of the whole inventory at once if `send_all` says so, or
    /// if the inventory is not the one whose digest the stream's hello told. Returns whether it does.
    pub(crate) fn attach(&self, uplink: &Arc<Uplink>, told_digest: u64, send_all: bool) -> bool {
        let mut state = self.state();
        let hears_all = send_all || state.book.digest() != told_digest;
        if hears_all {
            uplink.replace_inventory(whole(&state.book));
        }
        state.uplink = Some(Arc::clone(uplink));
        hears_all
    }

    /// Sends the whole inventory to the stream that hears of changes.
    pub(crate) fn send_all(&self) {
        let state = self.state();
        if let Some(uplink) = &state.uplink {
            uplink.replace_inventory(whole(&state.book));
        }
    }

    /// Nobody hears of changes any more.
    pub(crate) fn detach(&self) {
        self.state().uplink = None;
    }

    /// The digest of the inventory.
    pub(crate) fn digest(&self) -> u64 {
        self.state().book.digest()
    }

    /// The guests now.
    pub(crate) fn guests(&self) -> Vec<Guest> {
        self.state().book.guests().cloned().collect()
    }

    /// The provider that reaches this guest.
    pub(crate) fn route(&self, guest: &GuestId) -> Result<Arc<dyn Provider>, Route> {
        match self.state().book.route(guest) {
            Route::Provider(place) => self.providers.get(place).cloned().ok_or(Route::Unknown),
            nobody @ (Route::Unknown | Route::NotYetKnown) => Err(nobody),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inventory").field("providers", &self.providers.len()).finish_non_exhaustive()
    }
}

/// What one provider says; a provider that hangs or panics has failed, and hurts no other.
async fn ask(provider: &dyn Provider) -> Discovered {
    let asked = AssertUnwindSafe(provider.discover()).catch_unwind();
    match tokio::time::timeout(DISCOVERY_TIMEOUT, asked).await {
        Ok(Ok(Ok(guests))) => Ok(guests),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(_panic)) => Err("it panicked".into()),
        Err(_) => Err(format!("it did not answer within {} s", DISCOVERY_TIMEOUT.as_secs())),
    }
}

/// The whole inventory, in messages that are not larger than others are.
fn whole(book: &Book) -> Vec<wire::Inventory> {
    let mut messages = vec![wire::Inventory { replace: true, ..wire::Inventory::default() }];
    let mut bytes = 0;
    for guest in book.guests() {
        let guest = wire::Guest::from(guest.clone());
        if bytes >= MESSAGE_BYTES {
            messages.push(wire::Inventory::default());
            bytes = 0;
        }
        bytes += guest.encoded_len();
        if let Some(last) = messages.last_mut() {
            last.upserts.push(guest);
        }
    }
    if let Some(last) = messages.last_mut() {
        last.digest = book.digest();
    }
    messages
}

#[cfg(test)]
mod tests;

//! Asking a provider one thing: within its time, and so that a provider that hangs or panics is an answer like any
//! other. It decides nothing and tries nothing twice.

use crate::clock;
use crate::inventory::{Inventory, Route};
use crate::provider::{EndReply, Error, Look, NoticeReply, Provider, SessionList};
use curfew_agent_core::Event;
use curfew_agent_core::call::Request;
use curfew_types::{GuestId, Mono, SessionKey, StatusCode};
use futures::FutureExt as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How much longer than its time a provider is given to say itself, in better words, that the time is over.
const LATENESS: Duration = Duration::from_millis(100);

/// Puts a question of the core to the provider of the guest. `deadline` is on the clock of decisions, so that time
/// which went by since the core asked (a disk that was full, say) does not let a session be ended too late.
pub(crate) async fn answer(
    inventory: Arc<Inventory>,
    call: u64,
    guest: GuestId,
    request: Request,
    deadline: Mono,
) -> Event {
    let left = Duration::from_millis(deadline.since(clock::mono()));
    let provider = inventory.route(&guest);
    let provider = provider.map_err(|nobody| no_provider(&guest, nobody));
    match request {
        Request::List(look) => {
            let result = match provider {
                Ok(provider) => list(provider.as_ref(), &guest, look, left).await,
                Err(error) => Err(error),
            };
            Event::Listed { call, result }
        }
        Request::Notify { sessions, text } => {
            let result = match in_time(provider, left) {
                Ok(provider) => {
                    within(left, provider.as_ref(), provider.notify(&guest, &sessions, &text, left)).await
                }
                Err(error) => Err(error),
            };
            Event::Notified { call, result: result.and_then(|replies| one_each(&sessions, replies)) }
        }
        Request::End { session, how, only_if } => {
            let result = match provider {
                Ok(_) if left.is_zero() => Ok(EndReply::TooLate),
                Ok(provider) => {
                    let asked = provider.end_session(&guest, &session, how, only_if, left);
                    within(left, provider.as_ref(), asked).await
                }
                Err(error) => Err(error),
            };
            Event::Ended { call, result }
        }
        Request::Drain(order) => {
            let result = match in_time(provider, left) {
                Ok(provider) => within(left, provider.as_ref(), provider.drain(&guest, &order, left)).await,
                Err(error) => Err(error),
            };
            Event::Drained { call, result }
        }
        Request::Undrain => {
            let result = match in_time(provider, left) {
                Ok(provider) => within(left, provider.as_ref(), provider.undrain(&guest, left)).await,
                Err(error) => Err(error),
            };
            Event::Undrained { call, result }
        }
    }
}

/// The provider, unless the time was over before it could be asked.
fn in_time(provider: Result<Arc<dyn Provider>, Error>, left: Duration) -> Result<Arc<dyn Provider>, Error> {
    let provider = provider?;
    if left.is_zero() { Err(timed_out(provider.as_ref(), left)) } else { Ok(provider) }
}

/// A provider that answers for other sessions than it was asked about has told nothing.
fn one_each(asked: &[SessionKey], replies: Vec<NoticeReply>) -> Result<Vec<NoticeReply>, Error> {
    if replies.len() == asked.len() {
        return Ok(replies);
    }
    let message = format!("{} sessions were to be told, and {} answers came", asked.len(), replies.len());
    Err(Error::new(StatusCode::Unexpected, message))
}

/// Who is logged on to a guest, for those who only look.
pub(crate) async fn sessions(
    inventory: &Inventory,
    guest: &GuestId,
    budget: Duration,
) -> Result<SessionList, Error> {
    match inventory.route(guest) {
        Ok(provider) => list(provider.as_ref(), guest, Look::default(), budget).await,
        Err(nobody) => Err(no_provider(guest, nobody)),
    }
}

async fn list(
    provider: &dyn Provider,
    guest: &GuestId,
    look: Look,
    budget: Duration,
) -> Result<SessionList, Error> {
    if budget.is_zero() {
        return Err(timed_out(provider, budget));
    }
    within(budget, provider, provider.list_sessions(guest, look, budget)).await
}

async fn within<T>(
    budget: Duration,
    provider: &dyn Provider,
    asked: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    let mut asked = std::pin::pin!(AssertUnwindSafe(asked).catch_unwind());
    // Who answers at once needs no timer.
    let answer = match futures::poll!(asked.as_mut()) {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => tokio::time::timeout(budget + LATENESS, asked).await,
    };
    match answer {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => {
            let message = format!("the provider {} panicked; its log has the place", provider.name());
            Err(Error::new(StatusCode::Unexpected, message))
        }
        Err(_) => Err(timed_out(provider, budget)),
    }
}

fn timed_out(provider: &dyn Provider, budget: Duration) -> Error {
    let message = format!("the provider {} did not answer within {} ms", provider.name(), budget.as_millis());
    Error::new(StatusCode::TimedOut, message)
}

fn no_provider(guest: &GuestId, nobody: Route) -> Error {
    match nobody {
        Route::NotYetKnown => {
            let message =
                format!("it is not known yet who reaches {guest}: a provider has not listed its guests");
            Error::new(StatusCode::AdditionsNotAvail, message)
        }
        Route::Unknown | Route::Provider(_) => {
            Error::new(StatusCode::VmUnknown, format!("no provider of this host knows {guest}"))
        }
    }
}

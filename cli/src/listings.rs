//! How each thing of the API looks in a table and by itself.

mod drain;
mod fleet;
mod operation;
mod preview;
mod safeguard;
mod session;
mod task;

pub(crate) use drain::owner as drain_owner;
pub(crate) use operation::selection;
pub(crate) use preview::LiveGuest;
pub(crate) use safeguard::frozen;
pub(crate) use task::message;

fn yes(is_so: bool) -> String {
    if is_so { "yes".into() } else { "no".into() }
}

//! How each thing of the API looks in a table and by itself.

mod fleet;
mod operation;
mod preview;
mod safeguard;
mod task;

pub(crate) use operation::selection;
pub(crate) use preview::LiveGuest;
pub(crate) use safeguard::frozen;

fn yes(is_so: bool) -> String {
    if is_so { "yes".into() } else { "no".into() }
}

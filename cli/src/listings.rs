//! How each thing of the API looks in a table and by itself.

mod fleet;
mod operation;

fn yes(is_so: bool) -> String {
    if is_so { "yes".into() } else { "no".into() }
}

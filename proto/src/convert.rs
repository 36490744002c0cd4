//! Between the wire and the vocabulary. What comes in is checked here, at the door; what goes out cannot fail.

mod agent;
mod checks;
mod drain;
mod logoff;
mod operation;
mod words;

pub use drain::drain_time;
pub use operation::{SpecError, failure_budgets, operation_spec, session_filter};
pub use words::{duration, milliseconds, timestamp, wall_time};

/// Why a message is not what its type promises. Names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct ConvertError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl ConvertError {
    pub(crate) fn new(field: &'static str, why: impl Into<String>) -> ConvertError {
        ConvertError { field, why: why.into() }
    }
}

//! What went wrong, for people: which question could not be asked, why, and what to do about it.
//!
//! Displays one line; details and help are printed below it by [`lines`]. Never repeats what a source says.

use std::fmt;

/// The command line says nothing that can be done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// With what is wrong with it.
    pub fn new(message: impl Into<String>) -> Usage {
        Usage(message.into())
    }
}

/// An operation that was started and is out of sight.
#[derive(Debug, thiserror::Error)]
#[error("operation {operation_id} was started and goes on, but cannot be followed")]
pub struct Unfollowed {
    /// Its id.
    pub operation_id: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A question to the controller that got no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted}")]
pub struct CallError {
    /// What was attempted, for example `read host web-1`.
    pub attempted: String,
    /// The status code that came back.
    pub code: tonic::Code,
    /// The connection failed or went away: the question may have arrived, and asking again may help.
    pub is_lost: bool,
    /// Why, for people.
    #[source]
    pub why: Why,
}

/// A reason with its details and what to do about it.
#[derive(Debug, Default)]
pub struct Why {
    /// One line.
    pub headline: String,
    /// One line for each thing that is wrong.
    pub details: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Why {
    /// A reason with what to do about it.
    pub fn new(headline: impl Into<String>, help: impl Into<String>) -> Why {
        Why { headline: headline.into(), details: Vec::new(), help: Some(help.into()) }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for Why {}

/// The lines that report an error: the chain of causes, then details, then help.
pub fn lines(error: &anyhow::Error) -> Vec<String> {
    let mut lines = vec![format!("error: {error:#}")];
    for why in error.chain().filter_map(|cause| cause.downcast_ref::<Why>()) {
        lines.extend(why.details.iter().map(|detail| format!("  {detail}")));
        lines.extend(why.help.iter().map(|help| format!("help: {help}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_attempt_the_reason_the_details_and_the_help() {
        let mut why = Why::new("the controller does not accept it", "correct the command line");
        why.details.push("--selector: a comma is missing".into());
        let attempted = "start the operation".into();
        let error = CallError { attempted, code: tonic::Code::InvalidArgument, is_lost: false, why };
        assert_eq!(
            lines(&error.into()),
            [
                "error: cannot start the operation: the controller does not accept it",
                "  --selector: a comma is missing",
                "help: correct the command line",
            ]
        );
    }
}

//! Which sessions are meant, and how the people in them are treated: what they are told, how long they get, what is
//! done about those who do not go, and whether others may come meanwhile.

use super::values::{Before, duration, notice};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// Which sessions. With everything left out it is every session of every person.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Sessions (all of them if nothing is said; what is said must all hold)")]
pub struct SessionArgs {
    /// Only sessions of users with this name or glob; may be repeated
    ///
    /// Case does not count. Without a domain it means that user in every domain; with one, write 'DOMAIN\name' or
    /// 'name@realm'.
    #[arg(long, value_name = "GLOB")]
    pub user: Vec<String>,
    /// Leave users with this name or glob alone, whoever is included; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude_user: Vec<String>,
    /// Only sessions in this state
    #[arg(long, value_enum, value_name = "STATE")]
    pub state: Option<SessionStateWord>,
    /// Only sessions idle for at least so long; one whose system does not tell is left alone
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle_at_least: Option<Duration>,
    /// Only sessions that began before: 2027-01-31T18:00:00Z, '2027-01-31 18:00' in local time, or 2h for 2 hours ago
    ///
    /// What is ago counts from when this command is typed, not from when a guest's turn comes; with --request-id write a
    /// time, since 2h is another request each time. A session's age is what is compared, so a guest's wrong clock does no
    /// harm.
    #[arg(long, value_name = "TIME")]
    pub logged_on_before: Option<Before>,
}

/// Whether somebody sits at a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SessionStateWord {
    /// Somebody sits at it
    Active,
    /// Nobody is connected to it, or it is ending already
    Disconnected,
}

/// How people are treated. With everything left out they are told nothing, and nothing is killed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "People (told nothing, and nothing of theirs killed, if nothing is said)")]
pub struct TreatmentArgs {
    /// Tell people first; {minutes} and {seconds} stand for the time that is left
    ///
    /// One line. Without --grace they are told, and logged off at once.
    #[arg(long, value_name = "TEXT", value_parser = notice)]
    pub notice: Option<String>,
    /// How long people get after they are told; whoever logs off earlier is not waited for
    ///
    /// Without --notice they are told in a standard text.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub grace: Option<Duration>,
    /// Tell them again each time so much of the grace is over
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "grace")]
    pub repeat: Option<Duration>,
    /// Kill what has not ended by itself so long after it was asked to
    ///
    /// Without it nothing is killed: who does not go is reported as remaining, with what holds the session.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub force_after: Option<Duration>,
    /// Refuse new logons from the first notice until a guest's logoff has ended
    #[arg(long)]
    pub drain: bool,
    /// Refuse new logons from the first notice on for so long, however the logoff ends; 1s to 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub drain_for: Option<Duration>,
}

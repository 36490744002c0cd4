//! The real `curfew` binary against a controller that only plays one: what it prints, asks and answers with.

mod fake;
mod program;

mod connection;
mod following;
mod hostile;
mod listing;
mod logoff;
mod rollout;
mod safeguards;
mod steering;
mod usage;

//! The real `curfew` binary against a controller that only plays one: what it prints, asks and answers with.

mod fake;
mod program;

mod connection;
mod drains;
mod following;
mod hostile;
mod listing;
mod logoff;
mod people;
mod results;
mod rollout;
mod safeguards;
mod sessions;
mod steering;
mod usage;

//! The agent core's rules, one claim at a time, through its public API.

mod bench;
mod cancelling;
mod draining;
mod filtering;
mod following_up;
mod forcing;
mod ordering;
mod outbox;
mod recovering;
mod running;
mod safeguards;
mod telling;
mod warning;

//! The agent core's rules, one claim at a time, through its public API.

mod bench;
mod cancelling;
mod following_up;
mod ordering;
mod outbox;
mod recovering;
mod running;
mod safeguards;

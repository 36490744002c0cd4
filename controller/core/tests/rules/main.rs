//! The controller core's rules, one claim at a time, through its public API.

mod approving;
mod bench;
mod cancelling;
mod dispatching;
mod drains;
mod fleet;
mod linking;
mod recovering;
mod reporting;
mod rollout;
mod safeguards;
mod selecting;
mod steering;
mod timing;

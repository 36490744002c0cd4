//! Curfew's command line as a library: `curfew` itself and everything that shows a logoff as it does.
//!
//! [`logoff::run`] does the main job for anybody who has a [`client::Client`]; [`run::main`] is the whole program.

pub mod args;
mod attend;
pub mod client;
pub mod commands;
pub mod contexts;
mod describe;
pub mod effective;
pub mod error;
pub mod escape;
pub mod exit;
mod explain;
pub mod fates;
pub mod follow;
pub mod interrupt;
mod listings;
pub mod logoff;
pub mod output;
mod pages;
pub mod preview;
pub mod progress;
pub mod retry;
pub mod run;
mod standing;
mod start;
pub mod summary;
pub mod table;
pub mod terminal;
#[cfg(test)]
mod testing;
mod treatment;
mod words;

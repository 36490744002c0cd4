//! What is measured: the real controller, and real agents with simulated guests, each in a process of its own.

pub(crate) mod agents;
pub(crate) mod controller;
mod guests;

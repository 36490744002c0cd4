//! A guest is not trusted: whatever its agent sends, the real `qga` provider over a real socket neither panics nor waits
//! longer than it was told to, keeps little of it, and lets none of it through as it came.
//!
//! `corpus` has the cases that were thought of or found; `fuzz` looks for more. What `fuzz` finds becomes a case of the corpus.

mod agent;
mod corpus;
mod fuzz;
mod healthy;
mod probe;

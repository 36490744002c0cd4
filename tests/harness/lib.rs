//! What the tests and the demo stand on: whole fleets in one process, fleets of real processes, real guests.
//!
//! Nothing here is part of the product.

pub mod guests;
pub mod local;
pub mod processes;

//! The guests harness against real guests: what other tests build on is true of containers and of virtual machines.
//! Everything here needs root and what `tests/guests/prepare` makes.

mod containers;
mod vm;

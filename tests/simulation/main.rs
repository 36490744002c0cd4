//! The simulation: both real cores on a virtual clock, over a lossy network, with disks that crash between write and
//! sync, wall clocks that are set, guests that freeze and reboot, and operators who change their minds. After every event
//! the invariants of DESIGN.md section 5 are checked against what is true, and a reference model says on its own what may
//! be in flight; at the end everything is mended and must come to an end.
//!
//! `CURFEW_SIM_SEEDS` sets how many seeds are run, `CURFEW_SIM_SEED` replays one and prints its log.

mod agent_shell;
mod books;
mod clock;
mod controller_shell;
mod disk;
mod doors;
mod draw;
mod ending;
mod fate;
mod guest;
mod happening;
mod idling;
mod invariants;
mod ledgers;
mod model;
mod network;
mod notices;
mod operator;
mod plan;
mod planted;
mod provider;
mod results;
mod rng;
mod safety;
mod seeds;
mod shrink;
mod steering;
mod tending;
mod times;
mod treatment;
mod truth;
mod world;

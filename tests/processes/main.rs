//! The three programs as processes: the main job, restarts, kills at every named point and at random, full disks,
//! wrong clocks.

mod full_disk;
mod kills;
mod main_job;
mod operators;
mod random_kills;
mod stopping;
mod treatment;
mod whole_fleet;
mod wrong_clock;

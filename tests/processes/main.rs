//! The three programs as processes: the main job, restarts, and kills at every named point.

mod kills;
mod main_job;
mod operators;
mod stopping;

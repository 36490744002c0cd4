//! Skeleton.

pub mod guests;

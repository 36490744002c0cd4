//! Skeleton.
pub mod provider;

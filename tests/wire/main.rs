//! What the controller's port does with strangers, liars and noise, and which codes it answers with.

mod codes;
mod draining;
mod impostors;
mod surviving;

//! The services over a real port, driver and store, with agents that only play theirs: what each call does, refuses,
//! keeps over a restart, and can still do while the store is away.

#[path = "services/agent.rs"]
mod agent;
#[path = "services/approving.rs"]
mod approving;
#[path = "services/away.rs"]
mod away;
#[path = "services/draining.rs"]
mod draining;
#[path = "services/large.rs"]
mod large;
#[path = "services/looking.rs"]
mod looking;
#[path = "services/planning.rs"]
mod planning;
#[path = "services/rig.rs"]
mod rig;
#[path = "services/safeguarding.rs"]
mod safeguarding;
#[path = "services/steering.rs"]
mod steering;
#[path = "services/watching.rs"]
mod watching;

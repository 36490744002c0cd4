//! Curfew's vocabulary: ids, the contract's status codes, operation specs, selectors and outcomes.
//!
//! Nothing here performs I/O, reads a clock or knows the wire. Both cores, both shells and the command line speak
//! these types; `curfew-proto` converts them to and from protobuf.

pub mod agent;
pub mod amount;
pub mod digest;
pub mod drain;
pub mod filter;
pub mod glob;
pub mod guest;
pub mod id;
pub mod label;
pub mod logoff;
pub mod operation;
pub mod outcome;
pub mod rollout;
pub mod selector;
pub mod session;
pub mod stage;
pub mod status;
pub mod task_wait;
pub mod time;
pub mod user;
pub mod violation;

pub use amount::Amount;
pub use drain::{Drain, DrainAsk, DrainOwner, DrainState, DrainWish};
pub use filter::{Mismatch, OnlyIf, SessionFilter, StateFilter};
pub use guest::{Guest, OsFamily, PowerState};
pub use id::{GuestId, HostName, OperationId, TaskId};
pub use logoff::{DrainFor, Logoff, Notice};
pub use operation::{NotRunning, OperationSpec, OperationState, Selection};
pub use outcome::{
    Outcome, OutcomeClass, Reason, SessionCounts, SessionFate, SessionResult, TaskResult, Verdict,
};
pub use rollout::{BetweenWaves, Budgets, Rollout, Spread};
pub use session::{Session, SessionKey, SessionState};
pub use stage::Stage;
pub use status::StatusCode;
pub use time::{Mono, Now, WallTime};
pub use violation::Violation;
